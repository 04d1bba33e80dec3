"""What to compile and link for a board's firmware, besides the generated library and its binding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import jinja2

import tinyops
from tinyops.device.board import Board
from tinyops.device.update import UpdateBuild, update_defines
from tinyops.errors import TinyopsError
from tinyops.resources import data_dir

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion")
#: Clients that the process of a host answers beside one another without forgetting an answer.
_HOST_PEERS = 4
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
#: Of firmware/common: what every firmware is made of, and what one with a network needs besides; the rest is updates.
BASE = frozenset(
    ("main", "to_cbor", "to_coap", "to_describe", "to_device", "to_exchange", "to_resources", "to_slipmux", "to_text")
)
_NETWORK = ("to_fetch", "to_uri")
#: Of firmware/common: cryptographic primitives of our own, and what joins those of libraries.
PRIMITIVES = {"to_aes", "to_ed25519", "to_hmac", "to_hsslms", "to_p256", "to_sha256"}
#: Of firmware/host: the file that stands for a flash, for updates alone.
_HOST_FLASH = ("flash", "flash_file")
#: Signature checks take more stack than anything else.
_UPDATE_STACK_BYTES = 8192


@dataclass(frozen=True, slots=True)
class FirmwareSources:
    """Sources of the firmware without the model.

    Flags come in addition to the board's `toolchain.flags`, which every compiler and linker run gets first. When
    `linker_script_text` is set, write it to a file and link with `-T FILE`. `libraries` are sources of other projects,
    to be compiled with `library_cflags` besides `cflags`.
    """

    sources: list[Path]
    include_dirs: list[Path]
    cflags: list[str]
    ldflags: list[str]
    linker_script_text: str | None
    libraries: tuple[Path, ...] = ()
    library_cflags: tuple[str, ...] = ()


def firmware_sources(
    board: Board, *, folder: Path | None = None, features: bool = False, update: UpdateBuild | None = None
) -> FirmwareSources:
    """The firmware of `board`, from `folder` (default: the one that ships with tinyops).

    With `features` it takes raw data for the front end of the binding (`to_device_features`). With `update` it
    receives updates of the model.

    Raises TinyopsError when the board has no port, or its facts do not name what the port needs.
    """
    own = _own_sources(board, folder, features, update)
    if update is None:
        return own
    crypto = update.crypto
    return replace(
        own,
        include_dirs=[*own.include_dirs, *crypto.include_dirs],
        cflags=[*own.cflags, *crypto.cflags],
        libraries=crypto.sources,
        library_cflags=crypto.source_cflags,
    )


def _own_sources(board: Board, folder: Path | None, features: bool, update: UpdateBuild | None) -> FirmwareSources:
    root = folder or data_dir("firmware")
    common = root / "common"
    network = board.firmware.port == "host"
    chosen = {*BASE, *(_NETWORK if network else ())}
    sources = [path for path in sorted((common / "src").glob("*.c")) if update is not None or path.stem in chosen]
    cflags = ["-std=c99", "-Os", *_WARNINGS, *_SECTIONS, f'-DTINYOPS_VERSION="{tinyops.__version__}"']
    cflags += ["-DTO_FEATURES"] if features else []
    cflags += update_defines(update) if update is not None else []
    if board.firmware.port == "host":
        if update is not None and "aes" in update.settings.algorithms:
            cflags.append("-DTO_OSCORE")
        port = sorted((root / "host").glob("*.c"))
        port = [path for path in port if update is not None or path.stem not in _HOST_FLASH]
        return FirmwareSources(
            sources=[*(path for path in sources if path.name != "main.c"), *port],
            include_dirs=[common / "include"],
            cflags=[*cflags, "-D_POSIX_C_SOURCE=200809L", "-DTO_NETWORK", f"-DTO_DEVICE_PEERS={_HOST_PEERS}"],
            ldflags=[],
            linker_script_text=None,
        )
    if board.firmware.port == "qemu":
        port, script = _qemu(board, root / "qemu", update)
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


def _qemu(board: Board, folder: Path, update: UpdateBuild | None) -> tuple[list[Path], str]:
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
        stack_bytes=max(board.firmware.stack_bytes, _UPDATE_STACK_BYTES if update else 0),
        update_bytes=update.region.nbytes if update else 0,
    )
    flash = [folder / "flash_ram.c"] if update else []
    return [folder / "boot.c", folder / f"{family}.c", folder / f"serial_{uart}.c", *flash], script


def _defines(board: Board) -> list[str]:
    numerator, denominator = board.firmware.instructions_per_tick
    defines = [f"-DTO_TICK_NUMERATOR={numerator}u", f"-DTO_TICK_DENOMINATOR={denominator}u"]
    if board.firmware.uart_base is not None:
        defines.append(f"-DTO_UART_BASE={board.firmware.uart_base:#x}u")
    return defines


def _missing(board: Board, fact: str, allowed: str) -> TinyopsError:
    return TinyopsError(f"{fact} is missing or unfit for this port", where=f"board {board.name}", allowed=allowed)
