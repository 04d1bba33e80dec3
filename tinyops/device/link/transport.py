"""aiocoap over slipmux: messages with the reliability of RFC 7252 on one byte stream to one device."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import aiocoap
import aiocoap.error
from aiocoap.interfaces import EndpointAddress, MessageInterface
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning
from aiocoap.tokenmanager import TokenManager

from tinyops.device.link import slipmux
from tinyops.device.link.stream import Connect, Stream

_BLOCK_EXPONENT = 6
_MAX_PINGS = 64

#: Called with every text of the device's console.
Console = Callable[[str], None]


class SerialTuning(TransportTuning):  # type: ignore[misc]  # aiocoap has no types
    """A line of one hop: no congestion, and an answer within a second unless a frame was lost."""

    ACK_TIMEOUT = 1.0
    MAX_RETRANSMIT = 5


class DeviceAddress(EndpointAddress):  # type: ignore[misc]
    """The one device at the other end of the line."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    hostinfo = "device"
    hostinfo_local = "host"
    uri_base = "coap://device"
    uri_base_local = "coap://host"
    blockwise_key = "device"
    maximum_block_size_exp = _BLOCK_EXPONENT
    maximum_payload_size = 16 << _BLOCK_EXPONENT


class SlipmuxInterface(MessageInterface):  # type: ignore[misc]
    """aiocoap's message interface on a byte stream.

    `budget` is the number of bytes that the device may still send in CoAP messages; when it is used up the request
    fails, so that a transfer without an end takes no memory without an end.
    """

    def __init__(self, manager: MessageManager, console: Console) -> None:
        self._manager: MessageManager | None = manager
        self._console = console
        self._stream: Stream | None = None
        self._decoder = slipmux.Decoder()
        self._pings: set[int] = set()
        self._last_id = 0
        self.remote = DeviceAddress()
        self.budget = 0
        self.end_reason: str | None = None

    async def connect(self, connect: Connect) -> None:
        self._stream = await connect(self)

    # aiocoap's side

    def send(self, message: aiocoap.Message) -> None:
        self._last_id = message.mid
        if self.end_reason is not None:  # the request was begun before the end, and must not wait for its time
            asyncio.get_running_loop().call_soon(self.fail, aiocoap.error.NetworkError(self.end_reason))
        elif self._stream is not None:
            self._stream.write(slipmux.encode_coap(message.encode()))

    async def recognize_remote(self, remote: object) -> bool:
        return remote is self.remote

    async def determine_remote(self, message: aiocoap.Message) -> DeviceAddress | None:
        return None

    async def shutdown(self) -> None:
        self._manager = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    # the stream's side

    def received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if frame.kind is slipmux.Kind.COAP:
                self._dispatch(frame.content)
            else:
                self._console(frame.content.decode("utf-8", "replace"))

    def ended(self, reason: str) -> None:
        self.end_reason = reason
        self.fail(aiocoap.error.NetworkError(reason))

    def fail(self, error: Exception) -> None:
        """End every request that is under way; one that was cancelled already takes no error."""
        if self._manager is not None:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._manager.dispatch_error(error, self.remote)

    def _dispatch(self, content: bytes) -> None:
        try:
            message = aiocoap.Message.decode(content, self.remote)
        except (aiocoap.error.Error, ValueError, IndexError):
            self._decoder.dropped += 1
            return
        if message.mtype is aiocoap.RST and message.mid in self._pings:
            self._pings.discard(message.mid)
            return
        self.budget -= len(content)
        if self.budget < 0:
            self.fail(aiocoap.error.NetworkError("the device sends more than it has to answer"))
        elif self._manager is not None:
            self._manager.dispatch_message(message)

    def ping(self) -> None:
        """Ask for a sign of life (RFC 7252, 4.3). The device then repeats a response that was not acknowledged."""
        if len(self._pings) >= _MAX_PINGS:
            self._pings.clear()
        message = aiocoap.Message(code=aiocoap.EMPTY, _mtype=aiocoap.CON, _mid=self._last_id ^ 0x8000)
        message.remote = self.remote
        self._pings.add(message.mid)
        if self._stream is not None:
            self._stream.write(slipmux.encode_coap(message.encode()))


async def open_context(connect: Connect, console: Console) -> tuple[aiocoap.Context, SlipmuxInterface]:
    """An aiocoap context whose requests to the interface's `remote` travel over the stream."""
    loop = asyncio.get_running_loop()
    context = aiocoap.Context(loop=loop, serversite=None, loggername="tinyops.coap")
    logging.getLogger("tinyops.coap").setLevel(logging.ERROR)
    tokens = TokenManager(context)
    messages = MessageManager(tokens)
    interface = SlipmuxInterface(messages, console)
    tokens.token_interface = messages
    messages.message_interface = interface
    await interface.connect(connect)
    context.request_interfaces.append(tokens)
    return context, interface
