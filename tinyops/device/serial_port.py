"""The serial port of a board that is attached to this computer."""

from __future__ import annotations

from collections.abc import Sequence

from tinyops.device.board import Board, ProbeKind
from tinyops.device.flash.attached import FLASHES_BY_SERIAL, Attached, serial_ports
from tinyops.device.flash.faults import no_permission
from tinyops.errors import DeviceError

#: What a board has at its USB connector -> vendors of the serial ports that come with it.
_VENDORS: dict[ProbeKind, frozenset[int]] = {
    "jlink": frozenset({0x1366}),
    "stlink": frozenset({0x0483}),
    "cmsis-dap": frozenset({0x0D28, 0x03EB, 0x2E8A, 0xC251}),
    "serial": FLASHES_BY_SERIAL,
}
#: Of adapters, where the board has no port of its own.
_ADAPTERS = frozenset({0x0403, 0x10C4, 0x1A86, 0x067B, 0x2E8A, 0x0D28})


def find_serial_port(board: Board, ports: Sequence[Attached] | None = None) -> str:
    """The path of the port that the board's console is on; DeviceError where none can be it, or several.

    Ports of the board's own probe or bridge come before adapters. A probe may have several ports: its first one is the
    console's. `ports` are those that are attached.
    """
    found = serial_ports() if ports is None else list(ports)
    own = _VENDORS.get(board.probe.onboard, frozenset()) if board.probe.onboard else frozenset()
    for vendors in (own, _ADAPTERS):
        candidates = _first_of_each([port for port in found if port.usb is not None and port.usb[0] in vendors])
        if len(candidates) == 1:
            if not candidates[0].allowed:
                raise no_permission(candidates[0])
            return candidates[0].id
        if candidates:
            raise DeviceError(
                f"{len(candidates)} serial ports may be its console's",
                where=f"board {board.name}",
                allowed="--port with one of: " + ", ".join(f"{port.id} ({port.title})" for port in candidates),
                hint=f"--port {candidates[0].id}",
            )
    others = ", ".join(f"{port.id} ({port.title})" for port in found)
    raise DeviceError(
        "no serial port of it is attached",
        where=f"board {board.name}",
        allowed=f"--port with its address; attached are: {others}"
        if others
        else "a board at a USB connector, or --port",
        hint="is the cable one that carries data, and is the board switched on?",
    )


def _first_of_each(ports: Sequence[Attached]) -> list[Attached]:
    """The first port of each USB device, by the order of their numbers."""
    first: dict[object, Attached] = {}
    for port in sorted(ports, key=lambda port: (len(port.id), port.id)):
        serial = port.notes.get("serial")
        first.setdefault((port.usb, serial) if serial else port.id, port)
    return list(first.values())
