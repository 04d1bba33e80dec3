"""aiocoap over one link to one device: messages with the reliability of RFC 7252, in slipmux frames or as datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import aiocoap
import aiocoap.error
from aiocoap.interfaces import EndpointAddress, MessageInterface
from aiocoap.messagemanager import MessageManager
from aiocoap.tokenmanager import TokenManager

from tinyops.device.link import slipmux
from tinyops.device.link.framing import Framing, Slipmux
from tinyops.device.link.oscore import open_credentials, protect_requests, release
from tinyops.device.link.profile import LinkProfile
from tinyops.device.link.stream import Connect, Stream

_MAX_PINGS = 64
#: Protected blocks have the link's size inside, and are never cut again outside.
_MAX_EXPONENT, _PROTECTED_BYTES = 6, 2048

#: Called with every text of the device's console.
Console = Callable[[str], None]


class DeviceAddress(EndpointAddress):  # type: ignore[misc]
    """The one device at the other end of the link."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    hostinfo = "device"
    hostinfo_local = "host"
    uri_base = "coap://device"
    uri_base_local = "coap://host"
    blockwise_key = "device"

    def __init__(self, profile: LinkProfile) -> None:
        self.profile = profile
        self.is_protected = False

    @property
    def maximum_block_size_exp(self) -> int:
        return _MAX_EXPONENT if self.is_protected else self.profile.block_exponent

    @property
    def maximum_payload_size(self) -> int:
        return _PROTECTED_BYTES if self.is_protected else self.profile.block_bytes


class LinkInterface(MessageInterface):  # type: ignore[misc]
    """aiocoap's message interface on a link.

    `budget` is the number of bytes that the device may still send in CoAP messages; when it is used up the request
    fails, so that a transfer without an end takes no memory without an end.
    """

    def __init__(self, manager: MessageManager, console: Console, profile: LinkProfile, framing: Framing) -> None:
        self._manager: MessageManager | None = manager
        self._console = console
        self._stream: Stream | None = None
        self._framing = framing
        self._pings: dict[int, Callable[[], None]] = {}
        self._ping_count = 0
        self._last_id = 0
        self.remote = DeviceAddress(profile)
        self.budget = 0
        self.end_reason: str | None = None

    async def connect(self, connect: Connect) -> None:
        self._stream = await connect(self)
        message_bytes = getattr(self._stream, "message_bytes", None)
        if message_bytes is not None:
            self.remote.profile = self.remote.profile.fitted(message_bytes)

    # aiocoap's side

    def send(self, message: aiocoap.Message) -> None:
        self._last_id = message.mid
        if self.end_reason is not None:  # the request was begun before the end, and must not wait for its time
            asyncio.get_running_loop().call_soon(self.fail, aiocoap.error.NetworkError(self.end_reason))
        elif self._stream is not None:
            self._stream.write(self._framing.encode(message.encode()))

    async def recognize_remote(self, remote: object) -> bool:
        return remote is self.remote

    async def determine_remote(self, message: aiocoap.Message) -> DeviceAddress | None:
        return None

    async def shutdown(self) -> None:
        self._manager = None
        if self._stream is not None:
            self._stream.close()
            if hasattr(self._stream, "wait_closed"):
                await self._stream.wait_closed()
            self._stream = None

    # the stream's side

    def received(self, data: bytes) -> None:
        for frame in self._framing.feed(data):
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
            self._framing.dropped += 1
            return
        if message.mtype is aiocoap.RST and message.mid in self._pings:
            self._pings.pop(message.mid)()
            return
        self.budget -= len(content)
        if self.budget < 0:
            self.fail(aiocoap.error.NetworkError("the device sends more than it has to answer"))
        elif self._manager is not None:
            self._manager.dispatch_message(message)

    def ping(self, answered: Callable[[], None] = lambda: None) -> None:
        """Ask for a sign of life (RFC 7252, 4.3); `answered` is called when it comes.

        The device then repeats a response that was not acknowledged.
        """
        if len(self._pings) >= _MAX_PINGS:
            self._pings.clear()
        self._ping_count += 1
        number = (self._last_id + 0x8000 + self._ping_count) & 0xFFFF  # far from the requests' ids
        message = aiocoap.Message(code=aiocoap.EMPTY, _mtype=aiocoap.CON, _mid=number)
        message.remote = self.remote
        self._pings[message.mid] = answered
        if self._stream is not None:
            self._stream.write(self._framing.encode(message.encode()))

    async def answer_time(self, timeout: float) -> float | None:
        """Seconds that the answer to a ping takes; None when there is none within `timeout` seconds, or no link."""
        if self.end_reason is not None:
            return None
        loop, answered = asyncio.get_running_loop(), asyncio.Event()
        start = loop.time()
        self.ping(answered.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await answered.wait()
                return loop.time() - start
        return None


async def open_context(
    connect: Connect,
    console: Console,
    profile: LinkProfile,
    framing: Framing | None = None,
    oscore: Path | None = None,
) -> tuple[aiocoap.Context, LinkInterface]:
    """An aiocoap context whose requests to the interface's `remote` travel over the link (default: slipmux).

    With `oscore`, the folder of a security context, the requests are protected.
    """
    loop = asyncio.get_running_loop()
    context = aiocoap.Context(loop=loop, serversite=None, loggername="tinyops.coap")
    logging.getLogger("tinyops.coap").setLevel(logging.ERROR)
    tokens = TokenManager(context)
    messages = MessageManager(tokens)
    interface = LinkInterface(messages, console, profile, framing or Slipmux())
    tokens.token_interface = messages
    messages.message_interface = interface
    credentials = open_credentials(oscore) if oscore is not None else None
    await interface.connect(connect)
    context.request_interfaces.append(tokens)
    if credentials is not None:
        interface.remote.is_protected = True
        protect_requests(context, credentials, lambda: interface.remote.profile)
    return context, interface


async def close_context(context: aiocoap.Context) -> None:
    """End the context's requests, close the link, release the security context."""
    await context.shutdown()
    for credentials in context.client_credentials.values():
        release(credentials)
    context.client_credentials.clear()
