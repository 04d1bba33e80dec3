"""CoAP over UDP, IPv6 and IPv4: one connected socket to one device."""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

from tinyops.device.link.stream import Connect, Receiver, Stream
from tinyops.errors import DeviceError, UsageError

COAP_PORT = 5683
#: ICMP errors in a row, without an answer between them, after which nobody is there.
_MAX_REFUSALS = 3


def parse_coap_address(address: str) -> tuple[str, int]:
    """Host and port of `coap://HOST[:PORT]`; an IPv6 address stands in brackets. UsageError for anything else."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        whole = parts.netloc and not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        if parts.netloc.startswith("["):
            ipaddress.IPv6Address(host or "")
    except ValueError:
        whole, host, port = False, None, None
    if address.startswith("coaps:"):
        raise UsageError("coaps (DTLS) is not supported", where=address, hint="coap://HOST, protected: --oscore FOLDER")
    if not whole or not host or port == 0 or not address.startswith("coap:") or any(c.isspace() for c in host):
        raise UsageError(
            "is no address of a device", where=address, allowed="coap://HOST[:PORT] or coap://[IPV6][:PORT]"
        )
    return host, port or COAP_PORT


class _Endpoint(asyncio.DatagramProtocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._refusals = 0
        self._ended = False

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._refusals = 0
        self._receiver.received(data)

    def error_received(self, exc: Exception) -> None:
        self._refusals += 1
        if self._refusals == _MAX_REFUSALS and not self._ended:
            self._ended = True
            self._receiver.ended(f"nobody is there: {getattr(exc, 'strerror', None) or exc}")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._ended:
            self._ended = True
            self._receiver.ended(str(exc))


class _DatagramStream:
    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        self._transport.close()


def udp_link(address: str) -> Connect:
    """A socket that hears nobody but the device at `coap://HOST[:PORT]`."""
    host, port = parse_coap_address(address)

    async def connect(receiver: Receiver) -> Stream:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Endpoint(receiver), remote_addr=(host, port))
        except (OSError, UnicodeError) as error:
            raise DeviceError(f"cannot be reached: {error}", where=address, hint="is the address right?") from error
        return _DatagramStream(transport)

    return connect
