"""Networks of a RIOT application: one fragment of firmware/riot/app/network each."""

from __future__ import annotations

from pathlib import Path

from tinyops.device.riot.parts import RiotParts
from tinyops.errors import UsageError
from tinyops.resources import data_dir

#: The serial line of the console: every board has it, and `tinyops run` talks over it.
DEFAULT = "slipmux"

#: Network of the device -> kind of the link on this side, which has the same blocks and times (LINKS).
LINK_OF = {
    "slipmux": "serial",
    "ethernet": "udp",
    "wifi": "udp",
    "usb-ecm": "udp",
    "slip": "udp",
    "802154": "802154",
    "802154-mesh": "802154-mesh",
    "ble-gatt": "ble-gatt",
    "ble-l2cap": "ble-l2cap",
    "ble-ipsp": "ble-l2cap",
    "lte-m": "lte-m",
}


def network_folder() -> Path:
    """Where the fragments are."""
    return data_dir("firmware") / "riot" / "app" / "network"


def networks() -> tuple[str, ...]:
    """The choices of --network."""
    return tuple(sorted({DEFAULT, *(path.stem for path in network_folder().glob("*.mk"))}))


def network_parts(name: str) -> RiotParts:
    """What the network `name` adds; whether a board can have it the makefiles say."""
    if name not in networks():
        raise UsageError(f"there is no network {name!r}", allowed=", ".join(networks()))
    return RiotParts(variables={"TINYOPS_NETWORK": name})
