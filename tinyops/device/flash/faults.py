"""What can go wrong when a board is flashed: each fault has its own name and message."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from enum import StrEnum

from tinyops.device.board import Board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.udev import permission_hint
from tinyops.errors import DeviceError


class Fault(StrEnum):
    NO_PROBE = "no probe"
    SEVERAL_PROBES = "several probes"
    UNKNOWN_PROBE = "unknown probe"
    NO_PERMISSION = "no permission"
    BUSY = "busy"
    NO_CHIP = "no chip"
    WRONG_CHIP = "wrong chip"
    LOCKED = "locked"
    UNSUPPORTED = "unsupported"
    VERIFY = "verify"
    LOST = "lost"
    TIMEOUT = "timeout"
    TOOL = "tool"


class FlashError(DeviceError):
    """Flashing failed; `fault` says how. What the flash holds then is not known, unless the message says it."""

    def __init__(
        self, fault: Fault, what: str, *, where: str | None = None, allowed: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, where=where, allowed=allowed, hint=hint)
        self.fault = fault

    def as_dict(self) -> dict[str, str | None]:
        return {**super().as_dict(), "fault": str(self.fault)}


def no_probe(board: Board, wanted: Sequence[str], others: Sequence[Attached]) -> FlashError:
    """Nothing is attached that can flash the board."""
    seen = f" (attached: {_titles(others)})" if others else ""
    return FlashError(
        Fault.NO_PROBE,
        f"nothing is attached that can flash it{seen}",
        where=f"board {board.name}",
        allowed=", ".join(wanted) or None,
        hint=board.probe.manual or "plug the board in; then tinyops flash --list",
    )


def several_probes(board: Board, found: Sequence[Attached]) -> FlashError:
    """More than one device could be meant."""
    return FlashError(
        Fault.SEVERAL_PROBES,
        f"{len(found)} devices can flash it: {_titles(found)}",
        where=f"board {board.name}",
        allowed="one of them, or all of them with --all",
        hint=f"--probe {shlex.quote(found[0].id)}",
    )


def unknown_probe(wanted: str, found: Sequence[Attached]) -> FlashError:
    """No device has what --probe asks for in its name, or several have."""
    matching = [device for device in found if device.matches(wanted)]
    what = f"{len(matching)} devices match {wanted!r}" if matching else f"no device matches {wanted!r}"
    return FlashError(
        Fault.SEVERAL_PROBES if matching else Fault.UNKNOWN_PROBE,
        what,
        where="--probe",
        allowed=_titles(matching or found) or "none is attached",
        hint="tinyops flash --list",
    )


def no_permission(device: Attached) -> FlashError:
    """This user may not open the device; the hint has the rule for udev."""
    return FlashError(
        Fault.NO_PERMISSION,
        f"{device.title} may not be opened by this user",
        where=device.node or device.id,
        hint=permission_hint(device),
    )


def locked(where: str, advice: str | None = None) -> FlashError:
    """The chip's debug access or its flash is protected."""
    return FlashError(
        Fault.LOCKED,
        "the chip is locked: it lets nobody read or write its flash",
        where=where,
        hint=advice or "tinyops flash --recover, which erases all of it, models and sequence numbers included",
    )


def wrong_chip(where: str, found: str, expected: str) -> FlashError:
    """The chip that answers is not that of the board; nothing was written."""
    return FlashError(
        Fault.WRONG_CHIP,
        f"the chip there is {found}, not {expected}; nothing was written",
        where=where,
        hint="is this the right board? tinyops flash --list, then --probe ID",
    )


def no_chip(where: str, detail: str) -> FlashError:
    """The probe is there, and the chip behind it does not answer."""
    return FlashError(
        Fault.NO_CHIP, f"the chip does not answer: {detail}", where=where, hint="is it powered, and the cable right?"
    )


def busy(where: str, detail: str) -> FlashError:
    """Another program has the probe or the port."""
    return FlashError(
        Fault.BUSY,
        f"is used by another program: {detail}",
        where=where,
        hint="close serial consoles, debuggers and tinyops run --port",
    )


def verify_failed(where: str, address: int | None = None) -> FlashError:
    """The flash does not hold what was written."""
    place = "" if address is None else f" at {address:#010x}"
    return FlashError(
        Fault.VERIFY,
        f"reads back differently{place}: the board does not hold what was to be written",
        where=where,
        hint="tinyops flash --erase",
    )


def lost(where: str, detail: str) -> FlashError:
    """The device went away on the way; the flash may be half written."""
    return FlashError(
        Fault.LOST,
        f"was lost while flashing ({detail}): the board may hold half of the firmware",
        where=where,
        hint="check cable and power, then flash again",
    )


def timed_out(where: str, seconds: float) -> FlashError:
    """It took too long; the flash may be half written."""
    return FlashError(
        Fault.TIMEOUT,
        f"not done after {seconds:g} s: the board may hold half of the firmware",
        where=where,
        hint="unplug the board, plug it in and flash again",
    )


def tool_failed(tool: str, lines: Sequence[str]) -> FlashError:
    """A program failed in a way that has no name here: its own last words."""
    text = "; ".join(line.strip() for line in lines if line.strip()) or "it says nothing"
    return FlashError(Fault.TOOL, f"failed: {text}", where=tool)


def unsupported(backend: str, what: str, hint: str | None = None) -> FlashError:
    """The backend cannot do what was asked for."""
    return FlashError(Fault.UNSUPPORTED, what, where=backend, hint=hint)


def _titles(devices: Sequence[Attached]) -> str:
    return ", ".join(f"{device.title} ({device.id})" for device in devices)
