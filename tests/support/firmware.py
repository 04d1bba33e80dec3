"""Compile the firmware with the fake model of tests/firmware for a board, as `firmware_sources` describes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.device.board import Board
from tinyops.device.firmware import firmware_sources

FAKE_MODEL = Path(__file__).resolve().parent.parent / "firmware" / "fake_model.c"


def compiler(board: Board) -> str:
    """The board's C compiler; the test is skipped where it is not installed."""
    name = "cc" if board.toolchain.name == "host" else f"{board.toolchain.name}-gcc"
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def build_fake(board: Board, folder: Path, *, cc: str | None = None, flags: tuple[str, ...] = ()) -> Path:
    """The path of the linked firmware; warnings are errors."""
    firmware = firmware_sources(board)
    command = [cc or compiler(board), *board.toolchain.flags, *firmware.cflags, "-Werror", *flags, *firmware.ldflags]
    if firmware.linker_script_text is not None:
        script = folder / "firmware.ld"
        script.write_text(firmware.linker_script_text)
        command += ["-T", str(script)]
    program = folder / "firmware.elf"
    includes = [f"-I{path}" for path in firmware.include_dirs]
    sources = [str(path) for path in (FAKE_MODEL, *firmware.sources)]
    result = subprocess.run(
        [*command, *includes, *sources, "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return program
