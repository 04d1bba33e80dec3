"""A board is a file of facts: processor, memories, toolchain, firmware port, emulator, probe, names in other systems.

Code never branches on a board's name, only on these facts.
"""

from __future__ import annotations

import os
import tomllib
import typing
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from tinyops.errors import TinyopsError, UsageError
from tinyops.resources import data_dir

_MAX_BOARD_FILE = 65536


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Processor(_Facts):
    core: str = Field(description="core as compilers call it, for example cortex-m4")
    isa: Literal[
        "host",
        "armv6-m",
        "armv7-m",
        "armv7e-m",
        "armv8-m.base",
        "armv8-m.main",
        "armv8.1-m.main",
        "rv32imc",
        "rv32imac",
        "xtensa-lx6",
        "xtensa-lx7",
    ]
    features: tuple[str, ...] = ()
    clock_hz: int | None = Field(default=None, gt=0)
    cores: int = Field(default=1, gt=0)

    @property
    def kernels(self) -> str:
        """The instruction set that kernels are made for, as kernels/manifest.toml names it; "c": none."""
        return "armv7em" if self.isa.startswith("armv") and "dsp" in self.features else "c"


class Memory(_Facts):
    origin: int = Field(ge=0)
    bytes: int = Field(gt=0)
    wait_states: int | None = None
    erase_bytes: int | None = Field(default=None, gt=0)
    write_bytes: int | None = Field(default=None, gt=0)
    note: str | None = None


class Toolchain(_Facts):
    name: Literal["host", "arm-none-eabi", "riscv64-unknown-elf", "xtensa-esp-elf", "riscv32-esp-elf"]
    flags: tuple[str, ...] = ()


class Firmware(_Facts):
    port: str | None = Field(default=None, description="folder below firmware/ with our own port, if there is one")
    uart: Literal["stdio", "semihosting", "cmsdk", "ns16550"] | None = Field(
        default=None, description="driver of the serial line that carries the device protocol"
    )
    uart_base: int | None = None
    counter: Literal["none", "systick", "minstret", "dwt", "mcycle", "mpccr", "ccount"] = Field(
        default="none", description="what counts: of an emulated board instructions, of a real one cycles"
    )
    instructions_per_tick: tuple[PositiveInt, PositiveInt] = Field(
        default=(1, 1), description="numerator and denominator; the counter is exact when it is at most 1"
    )
    stack_bytes: int = Field(default=4096, ge=1024)


class Emulator(_Facts):
    program: str
    args: tuple[str, ...]
    package: str | None = Field(default=None, description="Debian package that brings the program")


class Os(_Facts):
    riot: str | None = Field(default=None, description="BOARD= name in RIOT")
    ariel: str | None = Field(default=None, description="laze builder name in Ariel OS")


#: What writes to a board's flash; each is a module of tinyops.device.flash.
FlashBackend = Literal[
    "pyocd",
    "nrfutil",
    "jlink",
    "openocd",
    "stm32cubeprogrammer",
    "esptool",
    "picotool",
    "uf2",
    "dfu-util",
]
#: What a computer sees at its USB when a board is attached and ready to be flashed.
ProbeKind = Literal["cmsis-dap", "stlink", "jlink", "serial", "rp-boot", "dfu", "uf2"]


class ChipId(_Facts):
    """A word that tells which chip it is: `value` after `mask`, read at `address`."""

    address: int = Field(ge=0, lt=1 << 32)
    value: int = Field(ge=0, lt=1 << 32)
    mask: int = Field(default=0xFFFFFFFF, gt=0, lt=1 << 32)


class Probe(_Facts):
    backends: tuple[FlashBackend, ...] = Field(default=(), description="what can flash the board, best first")
    onboard: ProbeKind | None = Field(default=None, description="what the board itself has at its USB connector")
    wire: Literal["swd", "jtag"] = "swd"
    chip_id: ChipId | None = None
    pyocd_target: str | None = None
    openocd_config: str | None = Field(
        default=None, description="board/... brings its probe, target/... works with any"
    )
    openocd_unlock: str | None = Field(default=None, description="command that erases and unlocks a locked chip")
    jlink_device: str | None = None
    esptool_chip: str | None = None
    dfu_id: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$", description="USB vendor:product of the bootloader"
    )
    rp_chip: Literal["rp2040", "rp2350"] | None = None
    uf2_family: int | None = Field(default=None, gt=0, lt=1 << 32, description="family ID of UF2 files")
    uf2_board: str | None = Field(default=None, description="how the Board-ID in INFO_UF2.TXT begins")
    manual: str | None = Field(default=None, description="what a person must do first, such as to hold a button")


class Board(_Facts):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str
    kind: Literal["host", "emulated", "real"]
    processor: Processor
    flash: Memory | None = None
    ram: Memory | None = None
    toolchain: Toolchain
    firmware: Firmware = Firmware()
    emulator: Emulator | None = None
    os: Os = Os()
    probe: Probe = Probe()
    links: tuple[str, ...] = Field(default=(), description="ble, 802.15.4, lte-m, wifi, ethernet, uart, usb, lora")
    source: str | None = Field(default=None, description="where the facts were read")

    @property
    def is_hardware(self) -> bool:
        """Whether nothing here stands in for it: it is flashed, and reached by a serial port or a network."""
        return self.kind == "real" and self.emulator is None


def board_folders(project: Path | None = None) -> list[Path]:
    """Folders with board files, the first that has a name wins: project, user, shipped."""
    folders = [(project or Path.cwd()) / "boards", Path(platformdirs.user_config_dir("tinyops")) / "boards"]
    return [*folders, data_dir("boards")]


def load_board(path: Path) -> Board:
    """Read one board file; every error names the file, the key and what is allowed."""
    try:
        size = path.stat().st_size
        if size > _MAX_BOARD_FILE:
            raise TinyopsError(f"board file of {size} bytes", where=str(path), allowed=f"up to {_MAX_BOARD_FILE} bytes")
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TinyopsError(f"not a readable board file: {error}", where=str(path)) from error
    facts.setdefault("name", path.stem)
    try:
        board = Board.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        raise TinyopsError(
            f"unknown key {key!r}" if unknown else f"{key}: {first['msg']}",
            where=str(path),
            allowed=_known_keys(first["loc"][:-1]) if unknown else None,
            hint="tinyops boards show qemu-cortex-m4 --toml",
        ) from error
    if board.name != path.stem:
        raise TinyopsError(f"name is {board.name!r}", where=str(path), allowed=f"the file's own name, {path.stem!r}")
    return board


def _known_keys(section: tuple[int | str, ...]) -> str:
    """The keys that a board file, or one of its sections, may have."""
    facts: type[BaseModel] = Board
    for name in section:
        nested = facts.model_fields[str(name)].annotation
        options = (nested, *typing.get_args(nested))
        facts = next((t for t in options if isinstance(t, type) and issubclass(t, BaseModel)), facts)
    return ", ".join(facts.model_fields)


def find_board(name: str, project: Path | None = None, *, hint: str = "tinyops boards") -> Board:
    """The board `name`; an unknown one is an error that lists the nearest names."""
    for folder in board_folders(project):
        path = folder / f"{name}.toml"
        if os.sep not in name and path.is_file():
            return load_board(path)
    import difflib

    known = sorted(list_board_files(project))
    near = difflib.get_close_matches(name, known, n=3)
    raise UsageError(
        f"no board is called {name!r}",
        allowed="did you mean " + " or ".join(near) + "?" if near else ", ".join(known),
        hint=hint,
    )


def find_riot_board(name: str, project: Path | None = None) -> Board | None:
    """The board `name`, which may be its name in RIOT; None where there is no file for it."""
    files = list_board_files(project)
    if name in files:
        return load_board(files[name])
    for path in files.values():
        try:
            board = load_board(path)
        except TinyopsError:
            continue  # `tinyops boards` names a faulty file
        if board.os.riot == name:
            return board
    return None


def list_board_files(project: Path | None = None) -> dict[str, Path]:
    """Name -> file, of all boards that can be had here."""
    found: dict[str, Path] = {}
    for folder in reversed(board_folders(project)):
        if folder.is_dir():
            found.update({path.stem: path for path in sorted(folder.glob("*.toml"))})
    return found
