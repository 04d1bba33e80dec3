"""What to compile and link for a board's firmware, besides the generated library and its binding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

import tinyops
from tinyops.device.board import Board
from tinyops.errors import TinyopsError
from tinyops.resources import data_dir

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True, slots=True)
class FirmwareSources:
    """Sources of the firmware without the model.

    Flags come in addition to the board's `toolchain.flags`, which every compiler and linker run gets first. When
    `linker_script_text` is set, write it to a file and link with `-T FILE`.
    """

    sources: list[Path]
    include_dirs: list[Path]
    cflags: list[str]
    ldflags: list[str]
    linker_script_text: str | None


def firmware_sources(board: Board, *, folder: Path | None = None, features: bool = False) -> FirmwareSources:
    """The firmware of `board`, from `folder` (default: the one that ships with tinyops).

    With `features` it takes raw data for the front end of the binding (`to_device_features`).

    Raises TinyopsError when the board has no port, or its facts do not name what the port needs.
    """
    root = folder or data_dir("firmware")
    common = root / "common"
    sources = sorted((common / "src").glob("*.c"))
    cflags = ["-std=c99", "-Os", *_WARNINGS, *_SECTIONS, f'-DTINYOPS_VERSION="{tinyops.__version__}"']
    cflags += ["-DTO_FEATURES"] if features else []
    if board.firmware.port == "host":
        return FirmwareSources(
            sources=[*sources, root / "host" / "port.c"],
            include_dirs=[common / "include"],
            cflags=[*cflags, "-D_POSIX_C_SOURCE=200809L"],
            ldflags=[],
            linker_script_text=None,
        )
    if board.firmware.port == "qemu":
        port, script = _qemu(board, root / "qemu")
        return FirmwareSources(
            sources=[*sources, *port],
            include_dirs=[common / "include"],
            cflags=[*cflags, "-fno-common", *_defines(board)],
            ldflags=["-nostartfiles", "-Wl,--gc-sections"],
            linker_script_text=script,
        )
    raise TinyopsError(
        f"firmware.port is {board.firmware.port!r}",
        where=f"board {board.name}",
        allowed="host or qemu",
        hint="tinyops boards",
    )


def _qemu(board: Board, folder: Path) -> tuple[list[Path], str]:
    """Sources of the bare-metal port, and its linker script."""
    uart = board.firmware.uart
    if uart not in ("semihosting", "cmsdk", "ns16550"):
        raise _missing(board, "firmware.uart", "semihosting, cmsdk or ns16550")
    family = "riscv" if board.processor.isa.startswith("rv32") else "cortex_m"
    counter = "minstret" if family == "riscv" else "systick"
    if board.firmware.counter != counter:
        raise _missing(board, "firmware.counter", counter)
    if board.flash is None or board.ram is None:
        raise _missing(board, "flash or ram", "origin and bytes of both")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    script = environment.get_template(f"{family}.ld.j2").render(
        flash_origin=f"{board.flash.origin:#010x}",
        flash_bytes=board.flash.bytes,
        ram_origin=f"{board.ram.origin:#010x}",
        ram_bytes=board.ram.bytes,
        stack_bytes=board.firmware.stack_bytes,
    )
    return [folder / "boot.c", folder / f"{family}.c", folder / f"serial_{uart}.c"], script


def _defines(board: Board) -> list[str]:
    numerator, denominator = board.firmware.instructions_per_tick
    defines = [f"-DTO_TICK_NUMERATOR={numerator}u", f"-DTO_TICK_DENOMINATOR={denominator}u"]
    if board.firmware.uart_base is not None:
        defines.append(f"-DTO_UART_BASE={board.firmware.uart_base:#x}u")
    return defines


def _missing(board: Board, fact: str, allowed: str) -> TinyopsError:
    return TinyopsError(f"{fact} is missing or unfit for this port", where=f"board {board.name}", allowed=allowed)
