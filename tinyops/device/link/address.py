"""From an address as people write it to a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyops.device.link.ble import ble_gatt, ble_l2cap
from tinyops.device.link.datagram import udp_link
from tinyops.device.link.framing import Datagrams, Framing, Slipmux
from tinyops.device.link.stream import Connect, open_address
from tinyops.errors import UsageError

_ALLOWED = "a serial port, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], ble:ADDRESS, ble-l2cap:ADDRESS"


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach a device. `link` names the kind of link in LINKS."""

    connect: Connect
    framing: Callable[[], Framing]
    link: str


def find_target(address: str, *, baudrate: int = 115200) -> Target:
    """What `address` stands for; UsageError when it is no address."""
    scheme, separator, _ = address.partition(":")
    if separator and scheme in ("coap", "coaps"):
        return Target(udp_link(address), Datagrams, "udp")
    if separator and scheme == "ble":
        return Target(ble_gatt(address), Datagrams, "ble-gatt")
    if separator and scheme == "ble-l2cap":
        return Target(ble_l2cap(address), Datagrams, "ble-l2cap")
    if "://" in address and scheme != "tcp":
        raise UsageError("is no address of a device", where=address, allowed=_ALLOWED)
    return Target(open_address(address, baudrate=baudrate), Slipmux, "serial")
