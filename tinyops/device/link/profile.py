"""What a link can carry, and how long an answer takes on it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from aiocoap.numbers.constants import TransportTuning

from tinyops.errors import UsageError

#: Of a message with a block: header, token, options, marker.
_HEADERS = 40
BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """Settings of one kind of link.

    `block_bytes` is the size of a block (RFC 7959) in either direction; `ack_timeout` in seconds and `max_retransmit`
    are those of RFC 7252; `answer_seconds` is how long a whole request may take, blocks included. With `adapts` the
    block size is chosen anew when the link knows how much it carries at once.
    """

    name: str
    block_bytes: int
    ack_timeout: float
    max_retransmit: int
    answer_seconds: float
    meaning: str
    adapts: bool = False

    @property
    def block_exponent(self) -> int:
        """SZX of RFC 7959."""
        return self.block_bytes.bit_length() - 5

    def fitted(self, message_bytes: int) -> LinkProfile:
        """The same link with the largest blocks whose messages have at most `message_bytes`, if it adapts."""
        if not self.adapts:
            return self
        fitting = [size for size in BLOCK_SIZES if size + _HEADERS <= message_bytes]
        return dataclasses.replace(self, block_bytes=max(fitting, default=BLOCK_SIZES[0]))

    def within(self, block_bytes: int) -> LinkProfile:
        """The same link with blocks of at most `block_bytes`, or 16."""
        if self.block_bytes <= block_bytes:
            return self
        fitting = [size for size in BLOCK_SIZES if size <= block_bytes]
        return dataclasses.replace(self, block_bytes=max(fitting, default=BLOCK_SIZES[0]))

    def tuning(self) -> TransportTuning:
        """The link's times in aiocoap's terms."""
        return _Tuning(self.ack_timeout, self.max_retransmit)


class _Tuning(TransportTuning):  # type: ignore[misc]  # aiocoap has no types
    def __init__(self, ack_timeout: float, max_retransmit: int) -> None:
        self.ACK_TIMEOUT = ack_timeout
        self.MAX_RETRANSMIT = max_retransmit


#: By name. A line of one hop has no congestion: an answer comes within a second unless a frame was lost.
LINKS = {
    profile.name: profile
    for profile in (
        LinkProfile("serial", 1024, 1.0, 5, 20.0, "serial line, pty, TCP or Unix socket, in slipmux frames"),
        LinkProfile("udp", 1024, 2.0, 4, 30.0, "UDP over Ethernet, USB or Wi-Fi"),
        LinkProfile("802154-mesh", 64, 3.0, 4, 120.0, "802.15.4 over several hops"),
        LinkProfile("802154", 256, 2.0, 4, 60.0, "802.15.4, one good hop to the border router"),
        LinkProfile("ble-l2cap", 512, 2.0, 4, 60.0, "Bluetooth LE, L2CAP credit-based channel or IPSP"),
        LinkProfile("ble-gatt", 128, 2.0, 4, 60.0, "Bluetooth LE, GATT; as large as the negotiated MTU allows", True),
        LinkProfile("lte-m", 1024, 5.0, 4, 120.0, "LTE-M modem"),
        LinkProfile("nb-iot", 512, 10.0, 4, 300.0, "NB-IoT modem"),
    )
}


def find_link(name: str, block_size: int | None = None) -> LinkProfile:
    """The link called `name`, with another block size if one is given; UsageError for what there is not."""
    if name not in LINKS:
        raise UsageError("no such link", where=name, allowed=", ".join(LINKS))
    if block_size is None:
        return LINKS[name]
    if block_size not in BLOCK_SIZES:
        raise UsageError(
            "no such block size", where=str(block_size), allowed=", ".join(map(str, BLOCK_SIZES)), hint="--block-size"
        )
    return dataclasses.replace(LINKS[name], block_bytes=block_size, adapts=False)
