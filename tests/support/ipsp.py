"""CoAP over UDP and IPv6 over Bluetooth (IPSP, RFC 7668), the central's side: what Linux's kernel does, on bumble.

IPv6 headers go out as they are (dispatch 0x41 of RFC 4944) and come in compressed (RFC 6282). Addresses are link-local,
made of Bluetooth addresses.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any

from bumble.core import ProtocolError
from bumble.hci import HCI_StatusError
from bumble.l2cap import LeCreditBasedChannelSpec

from tests.support.bluetooth import CENTRAL, PERIPHERAL
from tests.support.native_radio import NativeRadio
from tinyops.device.link.stream import Connect, Receiver, Stream

PSM, MTU = 0x0023, 1280
COAP = 5683
_UDP, _UNCOMPRESSED = 17, b"\x41"


def link_local(address: str) -> bytes:
    """fe80::/64 with the identifier of RFC 7668, 3.2.2."""
    octets = bytes.fromhex(address.replace(":", ""))
    return bytes.fromhex("fe80000000000000") + octets[:3] + b"\xff\xfe" + octets[3:]


def checksum(data: bytes) -> int:
    """The one's complement of the one's complement sum (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2 + len(data) % 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _summed(source: bytes, destination: bytes, datagram: bytes) -> int:
    return checksum(source + destination + struct.pack(">II", len(datagram), _UDP) + datagram)


def encode(source: bytes, destination: bytes, port: int, payload: bytes) -> bytes:
    """A datagram from `port` to CoAP's."""
    head = struct.pack(">HHH", port, COAP, 8 + len(payload))
    summed = _summed(source, destination, head + b"\0\0" + payload) or 0xFFFF
    header = struct.pack(">IHBB", 6 << 28, 8 + len(payload), _UDP, 64)
    return _UNCOMPRESSED + header + source + destination + head + struct.pack(">H", summed) + payload


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        assert count <= len(self._data), "the packet ends early"
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def rest(self) -> bytes:
        return self._data


def _address(mode: int, reader: _Reader, elided: bytes) -> bytes:
    prefix = bytes.fromhex("fe80000000000000")
    if mode == 0:
        return reader.take(16)
    if mode == 1:
        return prefix + reader.take(8)
    if mode == 2:
        return prefix + bytes.fromhex("000000fffe00") + reader.take(2)
    return elided


def decode(data: bytes, source: bytes, destination: bytes) -> tuple[int, bytes] | None:
    """Destination port and payload of a compressed UDP datagram, whose checksum must be right; None for others.

    `source` and `destination` are what is elided.
    """
    first, second = data[0], data[1]
    if first >> 5 != 0b011 or second & 0xC8:  # contexts, multicast
        return None
    reader = _Reader(data[2:])
    reader.take({0: 4, 1: 3, 2: 1, 3: 0}[first >> 3 & 3])
    follows = bool(first & 4)
    next_header = _UDP if follows else reader.take(1)[0]
    if first & 3 == 0:
        reader.take(1)
    source = _address(second >> 4 & 3, reader, source)
    destination = _address(second & 3, reader, destination)
    if next_header != _UDP:
        return None
    if not follows:
        head = reader.take(8)
        ports, summed = struct.unpack(">HH", head[:4]), struct.unpack(">H", head[6:])[0]
    else:
        kind = reader.take(1)[0]
        if kind >> 3 != 0b11110:
            return None
        ports = _ports(kind & 3, reader)
        assert not kind & 4, "an elided checksum"
        (summed,) = struct.unpack(">H", reader.take(2))
    payload = reader.rest()
    whole = struct.pack(">HHHH", *ports, 8 + len(payload), summed) + payload
    assert _summed(source, destination, whole) == 0, "the checksum is wrong"
    return ports[1], payload


def _ports(mode: int, reader: _Reader) -> tuple[int, int]:
    if mode == 3:
        both = reader.take(1)[0]
        return 0xF0B0 | both >> 4, 0xF0B0 | both & 15
    one = {0: 2, 1: 2, 2: 1}[mode], {0: 2, 1: 1, 2: 2}[mode]
    source, destination = (int.from_bytes(reader.take(count), "big") for count in one)
    return source | (0xF000 if one[0] == 1 else 0), destination | (0xF000 if one[1] == 1 else 0)


class _IpspStream:
    def __init__(self, radio: NativeRadio, connection: Any, channel: Any, receiver: Receiver) -> None:
        self._radio = radio
        self._connection = connection
        self._channel = channel
        self._ends = link_local(CENTRAL), link_local(PERIPHERAL)
        self._port = 50_000
        self._receiver = receiver
        channel.sink = self._take

    def _take(self, unit: bytes) -> None:
        datagram = decode(bytes(unit), self._ends[1], self._ends[0])
        if datagram is not None and datagram[0] == self._port:
            self._receiver.received(datagram[1])

    def write(self, data: bytes) -> None:
        self._channel.write(encode(*self._ends, self._port, data))

    def close(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self._stop())

    async def wait_closed(self) -> None:
        await self._closing

    async def _stop(self) -> None:
        with suppress(ProtocolError, HCI_StatusError):
            await self._connection.disconnect()
        await self._radio.stop()


def ipsp_link(radio: NativeRadio) -> Connect:
    """UDP to the device behind the radio."""

    async def connect(receiver: Receiver) -> Stream:
        central = await radio.start()
        connection = await central.connect(radio.address)
        channel = await connection.create_l2cap_channel(LeCreditBasedChannelSpec(psm=PSM, mtu=MTU, mps=245))
        return _IpspStream(radio, connection, channel, receiver)

    return connect
