"""The firmware with the fake model on the host and on every emulated board."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.firmware import build_fake, compiler
from tinyops.device import route
from tinyops.device.board import Board, list_board_files, load_board
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.errors import DeviceError, MissingToolError, UsageError

BOARDS = {name: board for name, path in list_board_files().items() if (board := load_board(path)).kind != "real"}
EMULATED = sorted(name for name, board in BOARDS.items() if board.kind == "emulated")
A = (np.arange(1500) % 251 - 125).astype(np.int8)[None]
OVERFLOW = -1

Array = np.ndarray[Any, Any]
Build = Callable[[str], tuple[Board, Path]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds each board's firmware once."""
    built: dict[str, Path] = {}

    def get(name: str) -> tuple[Board, Path]:
        if name not in built:
            built[name] = build_fake(BOARDS[name], tmp_path_factory.mktemp(name))
        return BOARDS[name], built[name]

    return get


@pytest.fixture(autouse=True)
def _emulator(request: pytest.FixtureRequest) -> None:
    import shutil

    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    emulator = BOARDS[name].emulator if name in BOARDS else None
    if emulator is not None and shutil.which(emulator.program) is None:
        pytest.skip(f"{emulator.program} is not installed")


def check(outputs: list[Array], loops: tuple[int, int], invocation: int) -> None:
    total, count = outputs[1].tolist()
    assert (total, count) == (sum(loops), invocation)
    assert np.array_equal(outputs[0], A + np.int8(invocation))


def spin(client: DeviceClient, first: int, second: int = 1, **options: Any) -> list[Array]:
    return client.infer([A, np.array([first, second], np.int32)], **options)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_runs(name: str, build: Build) -> None:
    heard: list[str] = []
    board, program = build(name)
    with launch(board, program, console=heard.append) as client:
        info = client.info()
        assert (info.model, info.arena_bytes, info.state_bytes) == ("fake", 3040, 4)
        assert info.counter == ("none" if name == "host" else "emulated-instructions")
        for step in range(3):
            check(spin(client, step + 1), (step + 1, 1), 7 + step)
        check(spin(client, 5, reset=True, profile=True), (5, 1), 7)
        check(spin(client, 5), (5, 1), 8)
        client.reset()
        check(spin(client, 5), (5, 1), 7)
        profile = client.profile()
        assert profile.frames_dropped == 0
        if name == "host":
            assert (profile.invocation, profile.layers) == (None, ())
        else:
            assert len(profile.layers) == len(info.layers)
            assert 200 < profile.stack_bytes_used < 2048
    assert "model fake, 3040 B arena" in "".join(heard)


def counts(client: DeviceClient, first: int, second: int) -> tuple[int, tuple[int, ...]]:
    spin(client, first, second)
    spin(client, first, second, profile=True)
    profile = client.profile()
    assert profile.invocation is not None
    return profile.invocation, profile.layers


@pytest.mark.parametrize("name", EMULATED)
def test_counts_are_exact(name: str, build: Build) -> None:
    """Loops of known length, of every remainder to the counter's ticks, and over its wrap."""
    with launch(*build(name)) as client:
        invocation, (add, spinning, empty, total) = counts(client, 1, 1)
        assert empty <= 2
        assert 0 < total < 400
        assert 0 <= invocation - (add + spinning + total) < 30
        loops = [(first, second) for first in range(1, 45, 2) for second in (1, 2)]
        for first, second in [*loops, (5_242_860, 1), (5_242_880, 2), (20_000_000, 1)]:
            more = 2 * (first - 1) + 3 * (second - 1)
            assert counts(client, first, second) == (invocation + more, (add, spinning + more, empty, total))


@pytest.mark.parametrize("name", EMULATED)
def test_stack_overflow_is_reported(name: str, build: Build) -> None:
    with (
        pytest.raises(DeviceError, match=r"(?s)exit status 70.*stack overflow") as caught,
        launch(*build(name)) as client,
    ):
        spin(client, OVERFLOW)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", EMULATED)
def test_boots_from_a_flash_image(name: str, build: Build, tmp_path: Path) -> None:
    board, program = build(name)
    image = tmp_path / "flash, with a comma.img"
    objcopy = compiler(board).removesuffix("gcc") + "objcopy"
    subprocess.run([objcopy, "-O", "binary", str(program), str(image)], check=True)
    image.write_bytes(image.read_bytes() + b"\xff" * 5000)
    with launch(board, image) as client:
        check(spin(client, 1), (1, 1), 7)


@pytest.mark.parametrize(
    ("name", "uart"), [("qemu-cortex-m4", "cmsdk"), ("qemu-cortex-m55", "cmsdk"), ("qemu-riscv32", "ns16550")]
)
def test_runs_over_a_uart(name: str, uart: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    board = board.model_copy(update={"firmware": board.firmware.model_copy(update={"uart": uart})})
    with launch(board, build_fake(board, tmp_path)) as client:
        check(spin(client, 1), (1, 1), 7)


def test_firmware_is_small(build: Build) -> None:
    board, program = build("qemu-cortex-m4")
    size = f"{board.toolchain.name}-size"
    text, data, bss = map(
        int, subprocess.run([size, str(program)], capture_output=True, check=True).stdout.split()[6:9]
    )
    model = 3040 + 4
    assert text + data < 12_000
    assert data + bss - model - board.firmware.stack_bytes < 4096


def test_a_missing_emulator_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "flash.img"
    image.write_bytes(b"x")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(route, "package_version", lambda _: None)
    with pytest.raises(MissingToolError, match="qemu-system-arm") as caught, launch(BOARDS["qemu-cortex-m4"], image):
        pass
    assert str(caught.value.hint).startswith("apt-get install qemu-system-arm; or, with Python packages alone: ")
    assert str(caught.value.hint).endswith('pip install "tinyops[sim]"')


def test_a_program_that_ends_is_explained(tmp_path: Path) -> None:
    program = tmp_path / "firmware.elf"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(DeviceError, match=r"(?s)exit status 3.*broken"), launch(BOARDS["host"], program) as client:
        client.info()
    with pytest.raises(UsageError), launch(BOARDS["host"], tmp_path / "nothing"):
        pass


@pytest.mark.parametrize("name", ["host", "qemu-cortex-m4"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_no_process_is_left(
    name: str, error: type[BaseException], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    board, program = build(name)
    monkeypatch.setattr(subprocess, "Popen", record)
    with pytest.raises(error), launch(board, program):
        raise error
    assert [process.returncode for process in started] == [-9]
