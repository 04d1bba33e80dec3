"""`tinyops build`: what is in the folder, what the report says, and what is refused before anything is compiled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tinyops.device import build
from tinyops.device.board import find_board

CHECKOUT = Path(__file__).resolve().parents[2]


def test_report_is_read_from_the_elf(tinyops: Any, digits: Path, emulator: str) -> None:
    done = tinyops("build", digits, "-b", emulator, "-o", "out", "--json", "r.json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(Path("out/report.json").read_text())
    assert report == json.loads(Path("r.json").read_text())
    memory = report["memory"]
    sizes = subprocess.run(["arm-none-eabi-size", "out/firmware.elf"], capture_output=True, text=True, check=True)
    text, data, bss = map(int, sizes.stdout.splitlines()[1].split()[:3])
    assert memory["flash_bytes"] == text + data
    assert memory["ram_bytes"] == data + bss
    assert memory["flash_bytes"] == Path("out/firmware.bin").stat().st_size
    assert memory["flash_model_bytes"] == 8032  # models/digits/model.toml, weight_bytes
    assert memory["arena_lower_bound_bytes"] <= memory["arena_bytes"] < memory["ram_bytes"]
    assert memory["flash_model_bytes"] + memory["flash_library_bytes"] < memory["flash_bytes"]
    assert report["model"]["macs"] == 132_096
    assert report["board"]["name"] == emulator
    for name in ("firmware.elf", "firmware.bin", "firmware.hex", "lib/digits.c", "lib/digits.h", "model.tflite"):
        assert (Path("out") / name).stat().st_size > 0
    assert Path("out/firmware.hex").read_text().startswith(":")
    assert not list(Path("out").rglob(".*")), "no temporary file is left"


def test_summary_for_people(tinyops: Any, digits: Path, emulator: str) -> None:
    done = tinyops("build", digits, "-b", emulator)
    memory = json.loads(Path(f"build/{emulator}/report.json").read_text())["memory"]
    assert f"build/{emulator}/firmware.elf" in done.out
    assert f"flash {memory['flash_bytes']:,} of 4,194,304 B" in done.out
    assert f"arena {memory['arena_bytes']:,}" in done.out
    assert f"next: tinyops run build/{emulator} --verify" in done.out


@pytest.mark.parametrize("optimize", ["size", "balanced", "speed"])
def test_kernels_made_for_the_processor(optimize: str, tinyops: Any, digits: Path) -> None:
    board = "qemu-cortex-m4"
    done = tinyops("build", digits, "-b", board, "--optimize", optimize, "-o", "out")
    assert (done.code, done.err) == (0, "")
    files = {path.name for path in Path("out/lib/kernels").iterdir()}
    wide = "to_conv2d_gemm16_s8_armv7em.c" if optimize == "speed" else "to_conv2d_gemm_s8_armv7em.c"
    assert wide in files
    assert ("to_depthwise3_s8_armv7em.c" in files) == (optimize != "size")
    ran = tinyops("run", "out", "--verify", "--json")
    assert (ran.code, ran.json()["mismatches"]) == (0, 0)
    assert ran.json()["instructions"] < 600_000  # a third of what portable kernels take


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-b", "host"), "there are no kernels for host alone yet"),
        (("-b", "qemu-riscv32"), "there are no kernels for rv32imac alone yet"),
    ],
)
def test_nothing_to_optimize_with(words: tuple[str, ...], message: str, tinyops: Any, digits: Path) -> None:
    done = tinyops("build", digits, *words, "--optimize", "speed", "-o", "out")
    assert done.code == 2
    assert message in done.err
    assert "leave --optimize out" in done.err
    assert not Path("out").exists()


def test_updatable_firmware_has_portable_kernels(
    tinyops: Any, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYOPS_KEYS", str(tmp_path / "keys"))
    assert tinyops("keys", "generate", "release").code == 0
    done = tinyops("build", digits, "-b", "qemu-cortex-m4", "--updatable", "--optimize", "size", "-o", "out")
    assert done.code == 2
    assert "updatable firmware has the portable kernels" in done.err
    assert "leave --optimize or --updatable out" in done.err
    assert not Path("out").exists()


def test_flash_too_small(tinyops: Any, digits: Path, small_board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board = small_board(flash=8192, ram=65536)
    monkeypatch.setenv("PATH", "")  # a compiler would be missed
    done = tinyops("build", digits, "-b", board, "--json")
    assert done.code == 1
    what = done.json()["error"]
    needed = 10_256 + 6 * 1024
    assert f"needs at least {needed:,} B of flash, {needed - 8192:,} B more than there are" in what
    assert what.count(" B;") == 2, "three causes"
    assert "constant" in what
    assert done.json()["allowed"] == "8,192 B of flash"
    assert done.json()["where"] == "board small"
    assert not Path("build").exists()


def test_ram_too_small(tinyops: Any, digits: Path, small_board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board = small_board(flash=1 << 20, ram=4096)
    monkeypatch.setenv("PATH", "")
    done = tinyops("run", digits, "-b", board)
    assert done.code == 1
    assert "B of RAM" in done.err
    assert "output of" in done.err
    assert not Path("build").exists()
    assert "does not fit" in tinyops("inspect", digits, "-b", board).out


def test_firmware_too_large_for_the_linker(tinyops: Any, digits: Path, small_board: Any, emulator: str) -> None:
    """What only the linker can find: the lower bound fits, the firmware with its stack does not."""
    done = tinyops("build", digits, "-b", small_board(flash=1 << 20, ram=8192))
    assert done.code == 1
    assert "too small by" in done.err
    assert "board small" in done.err
    assert "collect2" not in done.err
    assert not Path("build/small/report.json").exists()


def test_a_folder_is_used_again(tinyops: Any, digits: Path, speakers: Path) -> None:
    """Another model in the same folder: nothing of the first is left, the old image is not booted."""
    assert tinyops("run", digits, "-b", "host", "--verify").code == 0
    assert Path("build/host/flash.img").exists()
    assert tinyops("build", speakers, "-b", "host").code == 0
    assert not Path("build/host/flash.img").exists()
    assert not list(Path("build/host/lib").glob("digits*"))
    done = tinyops("run", "build/host", "--verify", "--json")
    assert (done.code, done.json()["mismatches"], done.json()["invocations"]) == (0, 0, 1)
    assert any(layer["op"] == "READ_STATE" for layer in done.json()["layers"])
    assert tinyops("build", "build/host/model.tflite", "-b", "host", "-o", "build/host").code == 0, "its own model"


def test_folders_of_others_are_left_alone(tinyops: Any, digits: Path) -> None:
    Path("mine").mkdir()
    Path("mine/model.tflite").write_bytes(b"precious")
    done = tinyops("build", digits, "-b", "host", "-o", "mine")
    assert done.code == 2
    assert "mine: holds other files" in done.err
    assert [path.name for path in Path("mine").iterdir()] == ["model.tflite"]
    assert Path("mine/model.tflite").read_bytes() == b"precious"
    Path("file").touch()
    assert "is a file" in tinyops("build", digits, "-b", "host", "-o", "file").err


@pytest.mark.parametrize("folder", ["file/below", "/proc/tinyops/below"])
def test_folders_that_cannot_be_written(tinyops: Any, digits: Path, folder: str) -> None:
    Path("file").touch()
    done = tinyops("build", digits, "-b", "host", "-o", folder)
    assert done.code == 1
    assert f"{folder}: cannot be written to" in done.err


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_a_broken_build_leaves_no_report(
    digits: Path, host_build: Path, failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise failure

    monkeypatch.setattr(build, "link", fail)
    with pytest.raises(failure):
        build.build_firmware(digits, find_board("host"), host_build, name="digits")
    assert not (host_build / "report.json").exists()
    monkeypatch.undo()
    build.build_firmware(digits, find_board("host"), host_build, name="digits")
    assert (host_build / "report.json").exists(), "the next build takes the folder over"


def test_interrupted(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "link", interrupt)
    done = tinyops("build", digits, "-b", "host")
    assert (done.code, done.err.strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("board", "package"), [("qemu-cortex-m4", "gcc-arm-none-eabi"), ("qemu-riscv32", "gcc-riscv64"), ("host", "gcc")]
)
def test_missing_compiler(
    tinyops: Any, digits: Path, board: str, package: str, no_packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    done = tinyops("build", digits, "-b", board)
    assert done.code == 1
    assert f"apt-get install {package}" in done.err
    assert not Path("build").exists()


def test_missing_emulator(
    tinyops: Any, digits: Path, emulator: str, no_packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tinyops("build", digits, "-b", emulator).code == 0
    monkeypatch.setenv("PATH", "")
    done = tinyops("run", f"build/{emulator}")
    assert done.code == 1
    assert "qemu-system-arm is not installed" in done.err
    assert "apt-get install qemu-system-arm" in done.err


@pytest.mark.parametrize("board", ["nrf52840dk", "esp32-wroom-32", "rpi-pico2"])
@pytest.mark.parametrize("verb", ["build", "run"])
def test_boards_without_port(tinyops: Any, digits: Path, verb: str, board: str) -> None:
    done = tinyops(verb, digits, "-b", board, "--os", "bare")
    assert done.code == 2
    assert f"board {board}: has no bare-metal firmware port" in done.err
    assert "--os riot" in done.err
    assert "tinyops emit MODEL" in done.err
    assert not Path("build").exists()


@pytest.mark.parametrize(("given", "near"), [("qemu-m4", "qemu-cortex-m4"), ("hots", "host"), ("NRF52DK", "nrf52dk")])
def test_unknown_boards(tinyops: Any, digits: Path, given: str, near: str) -> None:
    done = tinyops("build", digits, "-b", given)
    assert (done.code, near in done.err, repr(given) in done.err) == (2, True, True)


def test_symbol_names(tinyops: Any, digits: Path) -> None:
    for name, proposal in (("9lives", "m_9lives"), ("int", "m_int"), ("Kws", "kws"), ("a-b", "a_b")):
        done = tinyops("build", digits, "-b", "host", "--name", name)
        assert done.code == 2
        assert f"--name {proposal}" in done.err
    awkward = Path(shutil.copy(digits, "9 [red] [" + "x" * 80 + "].tflite"))
    done = tinyops("build", awkward, "-b", "host", "-o", "o[/]ut")
    assert done.code == 0
    assert "o[/]ut/firmware.elf" in done.out
    assert list(Path("o[/]ut/lib").glob("m_9_red_x*.h"))


def test_a_warm_build_is_quick(tmp_path: Path, digits: Path, emulator: str) -> None:
    command = [sys.executable, "-m", "tinyops", "build", digits, "-b", emulator]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    start = time.monotonic()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert time.monotonic() - start < 10
