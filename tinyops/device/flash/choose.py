"""Which backend flashes a board through which of the devices that are attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyops.device.board import Board, FlashBackend
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend
from tinyops.device.flash.dfu_util import DfuUtil
from tinyops.device.flash.esptool import Esptool
from tinyops.device.flash.faults import no_permission, no_probe, several_probes, unknown_probe, unsupported
from tinyops.device.flash.jlink import Jlink
from tinyops.device.flash.nrfutil import Nrfutil
from tinyops.device.flash.openocd import Openocd
from tinyops.device.flash.picotool import Picotool
from tinyops.device.flash.pyocd import Pyocd
from tinyops.device.flash.stm32cubeprogrammer import Stm32CubeProgrammer
from tinyops.device.flash.uf2 import Uf2
from tinyops.errors import MissingToolError, UsageError

_CLASSES: tuple[type[Backend], ...] = (
    Pyocd,
    Nrfutil,
    Jlink,
    Openocd,
    Stm32CubeProgrammer,
    Esptool,
    Picotool,
    Uf2,
    DfuUtil,
)
BACKENDS: dict[FlashBackend, type[Backend]] = {kind.name: kind for kind in _CLASSES}


@dataclass(frozen=True, slots=True)
class Choice:
    """A device, and the backend that uses it."""

    backend: Backend
    device: Attached


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a backend is out of the question here, and what to type to change that."""

    backend: FlashBackend
    what: str
    fix: str | None = None


def choose(
    board: Board,
    devices: Sequence[Attached],
    *,
    backend: str | None = None,
    probe: str | None = None,
    every: bool = False,
) -> list[Choice]:
    """The device that flashes the board with the best backend that is installed; with `every`, all that can.

    `backend` and `probe` narrow the choice. Without them devices of the kind that the board has on it come first.
    Raises FlashError for no device, several, an unknown one, and one that may not be opened; MissingToolError when
    devices are there but no program for them; UsageError for a backend that the board's file does not name.
    """
    names = _backends(board, backend)
    found, reasons = pair(board, devices, names)
    if probe is not None:
        matching = [choice for choice in found if choice.device.matches(probe)]
        if not matching and any(device.matches(probe) for device in devices):
            raise _no_program(board, reasons) if reasons else no_probe(board, _wanted(names), devices)
        if len(matching) != 1:
            raise unknown_probe(probe, [choice.device for choice in found] or devices)
        found = matching
    elif any(choice.device.kind == board.probe.onboard for choice in found):
        found = [choice for choice in found if choice.device.kind == board.probe.onboard]
    if not found:
        raise _no_program(board, reasons) if reasons else no_probe(board, _wanted(names), devices)
    if len(found) > 1 and not every:
        raise several_probes(board, [choice.device for choice in found])
    for choice in found:
        if not choice.device.allowed:
            raise no_permission(choice.device)
    return found


def pair(
    board: Board, devices: Sequence[Attached], names: Sequence[FlashBackend] | None = None
) -> tuple[list[Choice], list[Reason]]:
    """Each device that can flash the board with its best backend; and why backends with a device are left out."""
    found: dict[Attached, Choice] = {}
    reasons: list[Reason] = []
    for name in board.probe.backends if names is None else names:
        backend = BACKENDS[name](board)
        if not any(device.kind in backend.kinds for device in devices):
            continue
        reason = why_not(backend)
        if reason is not None:
            reasons.append(reason)
            continue
        for device in backend.usable(devices):
            found.setdefault(device, Choice(backend, device))
    if any(device.kind == "uf2" for device in found):  # the drive of a bootloader whose USB interface is barred
        found = {d: choice for d, choice in found.items() if d.kind != "rp-boot" or d.allowed}
    return list(found.values()), reasons


def why_not(backend: Backend) -> Reason | None:
    """What keeps a backend from serving its board on this computer."""
    try:
        backend.installed()
    except MissingToolError as error:
        return Reason(backend.name, "is not installed", error.hint)
    lacking = backend.lacks()
    if lacking is None:
        return None
    what, _, fix = lacking.partition(": ")
    return Reason(backend.name, what, fix or None)


def _backends(board: Board, wanted: str | None) -> tuple[FlashBackend, ...]:
    if not board.probe.backends:
        raise UsageError("its file names no backend", where=f"board {board.name}", allowed=", ".join(BACKENDS))
    if wanted is None:
        return board.probe.backends
    chosen = tuple(name for name in board.probe.backends if name == wanted)
    if not chosen:
        raise UsageError(
            f"{wanted} does not flash it", where=f"board {board.name}", allowed=", ".join(board.probe.backends)
        )
    return chosen


def _wanted(names: Sequence[FlashBackend]) -> list[str]:
    """What could be attached, for people."""
    titles = {
        "cmsis-dap": "a CMSIS-DAP probe",
        "stlink": "an ST-LINK",
        "jlink": "a J-Link",
        "serial": "a serial port",
        "rp-boot": "the board in BOOTSEL mode",
        "uf2": "a mounted drive of its UF2 bootloader",
        "dfu": "the board in its USB bootloader (DFU)",
    }
    kinds = dict.fromkeys(kind for name in names for kind in sorted(BACKENDS[name].kinds))
    return [titles[kind] for kind in kinds]


def _no_program(board: Board, reasons: Sequence[Reason]) -> Exception:
    """Something is attached, and nothing that could use it is ready."""
    texts = [f"{reason.backend} {reason.what}" for reason in reasons]
    fixes = [reason.fix for reason in reasons if reason.fix]
    hint = " or: ".join(fixes) or None
    if all(reason.what == "is not installed" for reason in reasons):
        return MissingToolError(
            "a device is attached, and no program that flashes the board with it is installed",
            where=f"board {board.name}",
            allowed=", ".join(reason.backend for reason in reasons),
            hint=hint,
        )
    return unsupported(f"board {board.name}", "no backend can use what is attached: " + "; ".join(texts), hint)
