"""The route from a board to code that runs: which compiler and which emulator serve it on this computer.

A board's own toolchain and QEMU come first. Where they are missing, two Python packages (the extra `sim`) take their
places: ziglang, whose clang compiles for Cortex-M and for this computer, and unicorn, which emulates Cortex-M.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tinyops.device.board import Board
from tinyops.device.packages import package_version, without_system_packages
from tinyops.device.toolchain import InstalledToolchain, find_toolchain
from tinyops.errors import MissingToolError, UsageError

#: Core of a board file -> unicorn's processor that executes its instructions. None has the Cortex-M55's (MVE).
UNICORN_CORES = {
    "cortex-m0": "UC_CPU_ARM_CORTEX_M0",
    "cortex-m0plus": "UC_CPU_ARM_CORTEX_M0",
    "cortex-m3": "UC_CPU_ARM_CORTEX_M3",
    "cortex-m4": "UC_CPU_ARM_CORTEX_M4",
    "cortex-m7": "UC_CPU_ARM_CORTEX_M7",
    "cortex-m33": "UC_CPU_ARM_CORTEX_M33",
}


@dataclass(frozen=True, slots=True)
class InstalledEmulator:
    """An emulator that is there: a program (QEMU), or the Python package `unicorn`, of which `version` is known."""

    name: str
    program: Path | None = None
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.program else f"{self.name} {self.version} (Python package)"


@dataclass(frozen=True, slots=True)
class Route:
    """What builds and runs a board's firmware here; `emulator` is None where none is needed."""

    toolchain: InstalledToolchain
    emulator: InstalledEmulator | None

    @property
    def uses_packages(self) -> bool:
        """Whether a Python package stands in for a compiler or an emulator of the system."""
        return bool(self.toolchain.package) or (self.emulator is not None and self.emulator.program is None)

    def __str__(self) -> str:
        compiler = f"compiled by {self.toolchain.title}"
        return f"{compiler}, emulated by {self.emulator}" if self.emulator else compiler


def find_route(board: Board) -> Route:
    """The board's route; MissingToolError says what is missing and how to get it."""
    return Route(find_toolchain(board.toolchain), find_emulator(board) if board.emulator else None)


def find_emulator(board: Board) -> InstalledEmulator:
    """QEMU where it is installed, else unicorn where it can stand in; MissingToolError names both ways."""
    if board.emulator is None:
        raise UsageError("has no emulator", where=f"board {board.name}", hint="tinyops boards")
    program = shutil.which(board.emulator.program)
    if program is not None:
        return InstalledEmulator(board.emulator.program, Path(program))
    hint = f"apt-get install {board.emulator.package}" if board.emulator.package else None
    why = unfit_for_unicorn(board)
    if why is None:
        version = package_version("unicorn")
        if version is not None:
            return InstalledEmulator("unicorn", version=version)
        hint = without_system_packages(hint)
    what = f"{board.emulator.program} is not installed"
    raise MissingToolError(f"{what}, and unicorn {why}" if why else what, where=f"board {board.name}", hint=hint)


def unfit_for_unicorn(board: Board) -> str | None:
    """Why unicorn cannot stand in for the board's emulator; None where it can."""
    if board.processor.core not in UNICORN_CORES:
        return f"does not emulate {board.processor.core}"
    if board.firmware.uart != "semihosting" or board.firmware.counter != "systick":
        return "serves a serial line over semihosting and a SysTick counter only"
    if board.flash is None or board.ram is None:
        return "needs the board's flash and RAM"
    return None
