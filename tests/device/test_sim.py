"""Boards served by Python packages alone: zig compiles, unicorn emulates; the same bits, and QEMU's counts."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.firmware import FAKE_MODEL
from tinyops.device import emulator, route, zig
from tinyops.device.board import Board, Toolchain, find_board, list_board_files, load_board
from tinyops.device.build import build_firmware
from tinyops.device.client import DeviceClient
from tinyops.device.demo import load_demo_data, run_demo
from tinyops.device.doctor import diagnose
from tinyops.device.emulator import launch
from tinyops.device.firmware import firmware_sources
from tinyops.device.flash import flash_build
from tinyops.device.packages import package_version
from tinyops.device.route import InstalledEmulator, find_emulator, find_route
from tinyops.device.session import run_sequence
from tinyops.device.toolchain import InstalledToolchain, compile_objects, link
from tinyops.errors import DeviceError, MissingToolError, TinyopsError
from tinyops.resources import data_dir

ARM = {
    name: board
    for name, path in list_board_files().items()
    if (board := load_board(path)).toolchain.name == "arm-none-eabi"
}
EMULATED = sorted(name for name, board in ARM.items() if board.kind == "emulated")
SIMULATED = [name for name in EMULATED if name != "qemu-cortex-m55"]
OVERFLOW = -1

needs_packages = pytest.mark.skipif(
    not package_version("ziglang") or not package_version("unicorn"),
    reason='ziglang and unicorn are not installed (pip install "tinyops[sim]")',
)

Build = Callable[[str], tuple[Board, Path]]


@pytest.fixture
def pip_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer with no compiler and no QEMU in reach."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CC", raising=False)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds each board's firmware with the fake model once, with zig."""
    built: dict[str, Path] = {}

    def get(name: str) -> tuple[Board, Path]:
        if name not in built:
            built[name] = _build_fake(ARM[name], tmp_path_factory.mktemp(name))
        return ARM[name], built[name]

    return get


def _zig(toolchain: Toolchain) -> InstalledToolchain:
    found = zig.find_zig()
    assert found is not None
    program, version = found
    return InstalledToolchain(toolchain.name, program, version, zig.zig_flags(toolchain, program), zig.PACKAGE)


def _build_fake(board: Board, folder: Path) -> Path:
    firmware = firmware_sources(board)
    (folder / "firmware.ld").write_text(str(firmware.linker_script_text))
    compiled = compile_objects(
        _zig(board.toolchain),
        [FAKE_MODEL, *firmware.sources],
        folder / "obj",
        flags=[*firmware.cflags, "-Werror"],
        include=firmware.include_dirs,
    )
    flags = [*firmware.ldflags, "-T", str(folder / "firmware.ld")]
    link(_zig(board.toolchain), compiled.objects, folder / "firmware.elf", flags=flags)
    return folder / "firmware.elf"


@contextmanager
def _simulated(board: Board, image: Path) -> Iterator[DeviceClient]:
    """`launch` with unicorn, QEMU or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "find_emulator", lambda _: InstalledEmulator("unicorn", version="any"))
        with launch(board, image) as client:
            yield client


def _counts(client: DeviceClient, first: int, second: int) -> tuple[int | None, tuple[int, ...]]:
    inputs = [np.zeros((1, 1500), np.int8), np.array([first, second], np.int32)]
    assert client.infer(inputs)[1][0] == first + second
    client.infer(inputs, profile=True)
    profile = client.profile()
    assert profile.kind == "emulated-instructions"
    return profile.invocation, profile.layers


@needs_packages
@pytest.mark.slow
@pytest.mark.usefixtures("pip_only")
@pytest.mark.parametrize("name", ["host", "qemu-cortex-m0plus", "qemu-cortex-m4"])
def test_demo(name: str, tmp_path: Path) -> None:
    result = run_demo(load_demo_data(), find_board(name), tmp_path / "build", limit=4)
    assert result.mismatches == 0
    assert result.build.report["toolchain"]["package"] == "ziglang"
    assert result.run.kind == (None if name == "host" else "emulated-instructions")


@needs_packages
@pytest.mark.slow
@pytest.mark.usefixtures("pip_only")
@pytest.mark.parametrize("name", SIMULATED)
def test_a_model_with_state(name: str, tmp_path: Path) -> None:
    board, folder = find_board(name), data_dir("models") / "speakers"
    with np.load(folder / "test.npz", allow_pickle=False) as arrays:
        inputs, expected = arrays["inputs"][:6], arrays["outputs"][:6]
    build_firmware(folder / "speakers.tflite", board, tmp_path / "build", name="speakers")
    with launch(board, flash_build(tmp_path / "build", board).image) as client:
        (shape,) = [tensor.shape for tensor in client.info().inputs]
        result = run_sequence(client, [[row.reshape(shape)] for row in inputs])
    np.testing.assert_array_equal(np.stack([row[0].reshape(-1) for row in result.outputs]), expected.reshape(6, -1))


@needs_packages
@pytest.mark.parametrize("name", SIMULATED)
def test_counts_of_known_loops(name: str, build: Build) -> None:
    with _simulated(*build(name)) as client:
        invocation, (add, spinning, empty, total) = _counts(client, 1, 1)
        assert invocation is not None
        assert empty <= 2
        for first, second in [(2, 1), (1, 2), (7, 5), (1000, 999)]:
            more = 2 * (first - 1) + 3 * (second - 1)
            assert _counts(client, first, second) == (invocation + more, (add, spinning + more, empty, total))


@needs_packages
@pytest.mark.slow
@pytest.mark.parametrize("name", ["qemu-cortex-m0plus", "qemu-cortex-m33"])
def test_counts_over_the_timers_wrap(name: str, build: Build) -> None:
    with _simulated(*build(name)) as client:
        invocation, (add, spinning, empty, total) = _counts(client, 1, 1)
        assert invocation is not None
        more = 2 * (7_000_000 - 1)  # the timer wraps after 10.5 or 13.1 million instructions
        assert _counts(client, 7_000_000, 1) == (invocation + more, (add, spinning + more, empty, total))


@needs_packages
@pytest.mark.parametrize("name", EMULATED)
def test_counts_are_those_of_qemu(name: str, build: Build) -> None:
    board, image = build(name)
    program = board.emulator.program if board.emulator else ""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    # The same message identifiers for both: a byte of one that is equal to the stack's paint hides its word.
    random.seed(1)
    with launch(board, image) as client:
        wanted = _counts(client, 12, 34)
        stack = client.profile().stack_bytes_used
    if name not in SIMULATED:
        return
    random.seed(1)
    with _simulated(board, image) as client:
        assert _counts(client, 12, 34) == wanted
        assert client.profile().stack_bytes_used == stack


@needs_packages
@pytest.mark.parametrize("name", SIMULATED)
def test_stack_overflow_is_reported(name: str, build: Build) -> None:
    inputs = [np.zeros((1, 1500), np.int8), np.array([OVERFLOW, 1], np.int32)]
    with (
        pytest.raises(DeviceError, match=r"(?s)exit status 70.*stack overflow"),
        _simulated(*build(name)) as client,
    ):
        client.infer(inputs)


#: Counts the timer's interrupts while they are masked and while they are not; device accesses in an IT block.
INTERRUPTS = """
.syntax unified
.thumb
.section .vectors, "a"
.word to_stack_top, reset_handler, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, systick
.text
.thumb_func
systick: adds r7, #1
    movs r0, #0
    mvns r1, r0
    bx lr
.global reset_handler
.thumb_func
reset_handler: ldr r4, =0xE000E010
    movs r7, #0
    cpsid i
    ldr r1, =9999
    str r1, [r4, #4]
    movs r5, #0
    str r5, [r4, #8]
    movs r6, #7
    cmp r5, #0
    ittt eq
    streq r6, [r4]
    ldreq r5, [r4, #4]
    subeq r5, r5, r1
    ldr r0, =20000
1:  subs r0, #1
    bne 1b
    mov r8, r7
    cpsie i
    nop
    ldr r6, =50000
2:  subs r6, #1
    bne 2b
    add r7, r7, r5
    add r7, r7, r8, lsl #5
    ldr r0, =0x20026
    push {r0, r7}
    movs r0, #0x20
    mov r1, sp
    bkpt 0xab
    b .
.end
"""


@needs_packages
def test_interrupts_wait_while_they_are_masked(tmp_path: Path) -> None:
    """Of many wraps under the mask one interrupt is left; 100,000 instructions are 16 wraps of 10,000 ticks."""
    board = ARM["qemu-cortex-m4"]
    (tmp_path / "interrupts.S").write_text(INTERRUPTS)
    (tmp_path / "firmware.ld").write_text(str(firmware_sources(board).linker_script_text))
    toolchain, program = _zig(board.toolchain), tmp_path / "interrupts.elf"
    objects = compile_objects(toolchain, [tmp_path / "interrupts.S"], tmp_path / "obj").objects
    link(toolchain, objects, program, flags=["-nostartfiles", "-T", str(tmp_path / "firmware.ld")])

    assert board.emulator is not None
    runs = [[sys.executable, "-m", "tinyops.device.simulator", board.model_dump_json(), str(program)]]
    if qemu := shutil.which(board.emulator.program):
        semihosting = ["-semihosting-config", "enable=on,target=native", "-nographic", "-monitor", "none"]
        runs.append([qemu, *board.emulator.args, *semihosting, "-device", f"loader,file={program}"])
    path = os.pathsep.join(sys.path)
    for command in runs:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}, timeout=60)
        assert done.returncode == 17, command[0]


@needs_packages
def test_no_process_is_left(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    board, program = build("qemu-cortex-m4")
    monkeypatch.setattr(subprocess, "Popen", record)
    with pytest.raises(KeyboardInterrupt), _simulated(board, program):
        raise KeyboardInterrupt
    assert [process.returncode for process in started] == [-9]


@needs_packages
@pytest.mark.parametrize("name", sorted(ARM))
def test_zig_compiles_for_the_same_processor_as_gcc(name: str, tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    (tmp_path / "empty.c").touch()
    flags = ARM[name].toolchain.flags
    toolchain = _zig(ARM[name].toolchain)

    def features(*command: str) -> dict[str, str]:
        result = subprocess.run(
            [*command, "-O2", "-dM", "-E", str(tmp_path / "empty.c")], capture_output=True, text=True, check=True
        )
        macros = {name: value for _, name, value in (f"{line} ".split(" ", 2) for line in result.stdout.splitlines())}
        wanted = ("ARCH", "ARCH_ISA_THUMB", "PCS_VFP", "FEATURE_DSP", "FEATURE_MVE", "FEATURE_FMA", "FEATURE_IDIV")
        found = {macro: macros[f"__ARM_{macro}"].strip() for macro in wanted if f"__ARM_{macro}" in macros}
        # Bits 1 to 3: half, single and double precision; GCC does not set that of conversions from half.
        return found | {"FP": str(int(macros.get("__ARM_FP", "0"), 0) & 0xC), "SOFT": str("__SOFTFP__" in macros)}

    assert features(str(toolchain.cc), *toolchain.flags) == features("arm-none-eabi-gcc", *flags)


@pytest.mark.usefixtures("pip_only")
def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zig, "package_version", lambda _: None)
    monkeypatch.setattr(route, "package_version", lambda _: None)
    board = find_board("qemu-cortex-m4")
    with pytest.raises(MissingToolError, match="arm-none-eabi-gcc") as compiler:
        find_route(board)
    with pytest.raises(MissingToolError, match="qemu-system-arm") as machine:
        find_emulator(board)
    for error in (compiler, machine):
        assert "apt-get install" in str(error.value.hint)
        assert str(error.value.hint).endswith('pip install "tinyops[sim]"')


@pytest.mark.usefixtures("pip_only")
def test_what_the_packages_cannot_do_is_said() -> None:
    with pytest.raises(MissingToolError, match="unicorn does not emulate cortex-m55") as error:
        find_emulator(find_board("qemu-cortex-m55"))
    assert error.value.hint == "apt-get install qemu-system-arm"
    with pytest.raises(MissingToolError, match="riscv64-unknown-elf-gcc") as error:
        find_route(find_board("qemu-riscv32"))
    assert "tinyops[sim]" not in str(error.value.hint)


def test_a_flag_without_counterpart_is_refused(tmp_path: Path) -> None:
    toolchain = Toolchain(name="arm-none-eabi", flags=("-mcpu=cortex-m4", "-mthumb", "-mslow-flash-data"))
    with pytest.raises(TinyopsError, match="-mslow-flash-data has no counterpart"):
        zig.zig_flags(toolchain, tmp_path / "zig")


def test_libm_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="no libm for Armv6-M"):
        zig.with_libm(zig.zig_flags(ARM["qemu-cortex-m0plus"].toolchain, tmp_path / "zig"))
    assert "-static" in zig.with_libm(zig.zig_flags(ARM["qemu-cortex-m4"].toolchain, tmp_path / "zig"))


@needs_packages
@pytest.mark.usefixtures("pip_only")
def test_the_doctor_names_the_route() -> None:
    checks = {(check.group, check.name): check for check in diagnose(find_board("qemu-cortex-m4"))}
    assert not [check for check in checks.values() if check.status == "missing"]
    assert checks["Routes", "qemu-cortex-m4"].detail == (
        f"compiled by zig {package_version('ziglang')} (Python package), "
        f"emulated by unicorn {package_version('unicorn')} (Python package)"
    )
    assert "stands in" in checks["Emulators", "qemu-system-arm"].detail
    assert [c.status for c in diagnose(find_board("qemu-cortex-m55")) if c.group == "Routes"] == ["missing"]
