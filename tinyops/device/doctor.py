"""What is installed here, what is missing and how to get it; for the whole tool or for one board."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyops.device.board import Board, FlashBackend, Toolchain, list_board_files, load_board
from tinyops.device.flash.attached import find_attached
from tinyops.device.flash.choose import BACKENDS, pair, why_not
from tinyops.device.flash.udev import permission_hint
from tinyops.device.packages import SIM, package_version, pip_install
from tinyops.device.route import find_route, unfit_for_unicorn
from tinyops.device.toolchain import find_toolchain
from tinyops.errors import MissingToolError, TinyopsError

#: "missing" stops what was asked for, "optional" only what needs it, "warning" is there but may not work.
Status = Literal["ok", "warning", "optional", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` is what to type or to do, None where nothing is to be done."""

    group: str
    name: str
    status: Status
    detail: str
    fix: str | None = None


_PACKAGES = {
    "tflite-micro": ("compare with TFLite Micro itself", "tflite-micro==0.dev20261023182759"),
    "ziglang": ("compile where a toolchain is missing", SIM),
    "unicorn": ("emulate Cortex-M where QEMU is missing", SIM),
    "cryptography": ("sign updates and verify them", '"tinyops[update]"'),
    "pyhsslms": ("sign updates with HSS/LMS keys", '"tinyops[update]"'),
    "python-pkcs11": ("sign with keys on tokens", '"tinyops[hsm]"'),
    "imgtool": ("pack firmware images for MCUboot", '"tinyops[firmware]"'),
    "detools": ("make deltas of firmware images", '"tinyops[firmware]"'),
    "pyserial": ("talk to a board at a serial port", "pyserial"),
    "pyocd": ("flash boards with a CMSIS-DAP, ST-LINK or J-Link probe", "pyocd"),
    "west": ("manage workspaces of several repositories", "west"),
}

#: Backend of `tinyops flash` -> what it is for.
_BACKENDS: dict[FlashBackend, str] = {
    "pyocd": "flash with a CMSIS-DAP, ST-LINK or J-Link probe",
    "nrfutil": "flash Nordic's chips with a J-Link",
    "jlink": "flash with a J-Link",
    "openocd": "flash with most probes",
    "stm32cubeprogrammer": "flash ST's chips with an ST-LINK",
    "esptool": "flash Espressif's chips",
    "picotool": "flash RP2040 and RP2350",
    "dfu-util": "flash bootloaders with USB DFU",
}

_TOOLCHAINS = ("host", "arm-none-eabi", "riscv64-unknown-elf", "xtensa-esp-elf", "riscv32-esp-elf")


def diagnose(board: Board | None = None, *, system: Sequence[Check] | None = None) -> list[Check]:
    """All checks; with `board`, those that matter to it, and "missing" where it cannot do without.

    `system` are checks of the operating system below the firmware, which then brings the toolchain.
    """
    checks = [_python()]
    if board is None:
        checks += [_package(name) for name in _PACKAGES]
        checks += [_toolchain(Toolchain.model_validate({"name": name}), needed=name == "host") for name in _TOOLCHAINS]
        checks += _emulators(_shipped_boards())
        checks += [_backend(name) for name in _BACKENDS if name != "pyocd"]  # a package, which is named above
        checks += [_route(board, needed=False) for board in _shipped_boards() if board.kind != "real"]
        return [*checks, *_serial_ports(), *_probes()]
    checks.append(_package("tflite-micro"))
    checks += [_toolchain(board.toolchain, needed=True)] if system is None else system
    if board.emulator:
        checks += _emulators([board])
    if board.kind != "real" and system is None:
        checks.append(_route(board, needed=True))
    if board.kind == "real":
        checks += [*_board_probe(board), _package("pyserial"), *_serial_ports(), *_probes()]
    return checks


def _python() -> Check:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    return Check(
        "Python", "Python", "ok" if fine else "missing", version, None if fine else "install Python 3.11 or newer"
    )


def _package(name: str) -> Check:
    purpose, requirement = _PACKAGES[name]
    version = package_version(name)
    if version is not None:
        return Check("Python", name, "ok", version)
    if name == "tflite-micro" and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return Check("Python", name, "optional", "has packages for Linux on x86-64 only; the NumPy reference is used")
    return Check("Python", name, "optional", f"not installed; to {purpose}", pip_install(requirement))


def _toolchain(toolchain: Toolchain, *, needed: bool) -> Check:
    try:
        found = find_toolchain(toolchain)
    except MissingToolError as error:
        return Check("Compilers", toolchain.name, "missing" if needed else "optional", error.what, rights(error.hint))
    detail = f"{found.version} ({found.cc})" + (f", of the Python package {found.package}" if found.package else "")
    return Check("Compilers", toolchain.name, "ok", detail)


def _route(board: Board, *, needed: bool) -> Check:
    """What compiles and emulates for the board here."""
    try:
        return Check("Routes", board.name, "ok", str(find_route(board)))
    except MissingToolError as error:
        return Check("Routes", board.name, "missing" if needed else "optional", error.what, rights(error.hint))


def _shipped_boards() -> Iterator[Board]:
    for path in list_board_files().values():
        try:
            yield load_board(path)
        except TinyopsError:
            continue  # `tinyops boards` names a faulty file


def _emulators(boards: Iterable[Board]) -> list[Check]:
    """One check per emulator program. One board cannot do without its own, unless unicorn stands in for it."""
    boards = list(boards)
    stand_in = package_version("unicorn")
    programs: dict[str, tuple[str | None, list[str]]] = {}
    for board in boards:
        if board.emulator:
            programs.setdefault(board.emulator.program, (board.emulator.package, []))[1].append(board.name)
    checks = []
    for program, (package, names) in sorted(programs.items()):
        path = shutil.which(program)
        if path:
            checks.append(Check("Emulators", program, "ok", f"{_version(path)} ({path})"))
            continue
        served = [board.name for board in boards if stand_in and board.name in names and not unfit_for_unicorn(board)]
        status: Status = "missing" if len(boards) == 1 and boards[0].kind != "real" and not served else "optional"
        detail = f"not found; runs {', '.join(names)}"
        if served:
            detail += f"; unicorn {stand_in} stands in" + (f" for {', '.join(served)}" if served != names else "")
        fix = rights(f"apt-get install {package}") if package else f"install {program} and put it on the PATH"
        checks.append(Check("Emulators", program, status, detail, fix))
    return checks


def _backend(name: FlashBackend) -> Check:
    try:
        return Check("Probes", name, "ok", BACKENDS[name].installed())
    except MissingToolError as error:
        return Check("Probes", name, "optional", f"not found; to {_BACKENDS[name]}", rights(error.hint))


def _board_probe(board: Board) -> list[Check]:
    """A board needs one of its backends, which may lack something else; and what is attached for it."""
    checks = []
    for name in board.probe.backends:
        if name not in _BACKENDS:  # nothing is to be installed
            checks.append(Check("Probes", name, "ok", BACKENDS[name].installed()))
            continue
        check, reason = _backend(name), why_not(BACKENDS[name](board))
        if check.status == "ok" and reason is not None:
            check = Check("Probes", name, "warning", reason.what, reason.fix)
        checks.append(check)
    if checks and not any(check.status in ("ok", "warning") for check in checks):
        checks[0] = Check("Probes", checks[0].name, "missing", checks[0].detail, checks[0].fix)
    return [*checks, *_attached_to(board)]


def _attached_to(board: Board) -> list[Check]:
    """The devices that flash the board here, and with what."""
    choices, _ = pair(board, [device for device in find_attached() if device.allowed])
    ready = [
        Check(
            "Probes", choice.device.title, "ok", f"{choice.device.id} flashes {board.name} with {choice.backend.name}"
        )
        for choice in choices
    ]
    manual = board.probe.manual
    fix = manual or "plug the board in"
    return ready or [Check("Probes", board.name, "optional", "nothing is attached that flashes it", fix)]


def _serial_ports() -> list[Check]:
    """The serial ports of USB devices, and whether this user may open them."""
    if os.name == "nt":
        return []
    ports = sorted(p for pattern in ("ttyACM*", "ttyUSB*", "cu.usb*") for p in Path("/dev").glob(pattern))
    if not ports:
        return [Check("Serial ports", "serial", "optional", "no board is connected")]
    return [_access("Serial ports", str(port), port, "serial port") for port in ports]


def _probes() -> list[Check]:
    """Connected debug probes and bootloaders, and whether this user may open them."""
    return [
        Check("Probes", device.title, "ok", f"{device.kind} {device.id}")
        if device.allowed
        else Check("Probes", device.title, "warning", f"{device.node} may not be opened", permission_hint(device))
        for device in find_attached()
        if device.kind != "serial"
    ]


def _access(group: str, name: str, node: Path, kind: str) -> Check:
    if os.access(node, os.R_OK | os.W_OK):
        return Check(group, name, "ok", f"{kind} {node}" if str(node) != name else f"{kind}, may be opened")
    owner = _group_of(node)
    if kind == "serial port" and owner not in (None, "root"):
        fix = f"sudo usermod -aG {owner} $USER, then log in again"
    else:
        fix = "install udev rules for it (apt-get install openocd brings some), then plug it in again"
    return Check(group, name, "warning", f"{kind} {node} may not be opened by this user", fix)


def _group_of(path: Path) -> str | None:
    try:
        return path.group()
    except (OSError, KeyError):
        return None


def rights(command: str | None) -> str | None:
    """The command as this user must type it: with sudo, with this environment's pip."""
    if command and command.startswith("pip "):
        return pip_install(command.removeprefix("pip install "))
    if command and command.startswith("apt-get") and hasattr(os, "geteuid") and os.geteuid() != 0:
        return f"sudo {command}"
    return command


@functools.cache
def _version(program: str) -> str:
    """The first version number that `program --version` prints."""
    match = re.search(r"\d+(\.\d+)+", _run([program, "--version"]))
    return match.group() if match else "version unknown"


def _run(command: list[str]) -> str:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout
