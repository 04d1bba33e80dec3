"""CoAP over Bluetooth Low Energy: in the values of a GATT service, or in an L2CAP credit-based channel.

GATT works wherever bleak does (Linux, macOS, Windows). An L2CAP channel carries one message in each of its service data
units; it is opened by the kernel of Linux, since no other system lets a program do that in a common way.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys
from collections.abc import Callable
from typing import Any, Protocol

from tinyops.device.link.fragments import Fragmenter, Reassembler
from tinyops.device.link.stream import Connect, Receiver, Stream
from tinyops.errors import DeviceError, MissingToolError, UsageError

#: The service, and its characteristics: written without response by this computer, and notified by the device.
SERVICE = "7c0a0001-52f1-4b8e-9c3e-0e5d6f2a91b4"
TO_DEVICE = "7c0a0002-52f1-4b8e-9c3e-0e5d6f2a91b4"
FROM_DEVICE = "7c0a0003-52f1-4b8e-9c3e-0e5d6f2a91b4"
#: The protocol/service multiplexer of the channel, of those that are free to use.
PSM = 0x00C0
CHANNEL_MTU = 1280
_SECONDS = 20.0
_QUEUE = 64  # messages
_ADDRESS = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class GattClient(Protocol):
    """What is used of bleak's client."""

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...

    async def start_notify(self, char_specifier: str, callback: Callable[[Any, bytearray], None]) -> None: ...

    async def write_gatt_char(self, char_specifier: str, data: bytes, response: bool) -> None: ...

    def value_bytes(self) -> int:
        """The longest value that a write without response takes."""


#: Makes a client, that calls the function when the connection is gone.
GattClients = Callable[[Callable[[], None]], GattClient]


class _GattStream:
    """Writes the fragments of one message after the other, in a task of its own."""

    def __init__(self, client: GattClient, receiver: Receiver) -> None:
        self._client = client
        self._receiver = receiver
        self._fragmenter = Fragmenter()
        self._reassembler = Reassembler()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        self._ended = False
        self._writer = asyncio.get_running_loop().create_task(self._write_all())

    @property
    def message_bytes(self) -> int:
        """The longest message that needs no second fragment."""
        return self._client.value_bytes() - 1

    def notified(self, _: Any, value: bytearray) -> None:
        message = self._reassembler.feed(bytes(value))
        if message is not None and not self._ended:
            self._receiver.received(message)

    def end(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._receiver.ended(reason)

    async def _write_all(self) -> None:
        try:
            while True:
                message = await self._queue.get()
                for fragment in self._fragmenter.cut(message, self._client.value_bytes()):
                    await self._client.write_gatt_char(TO_DEVICE, fragment, response=False)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # of the system's Bluetooth, as bleak passes it on
            self.end(str(error) or type(error).__name__)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # lost, as on any link
            self._queue.put_nowait(data)

    def close(self) -> None:
        self._ended = True
        self._writer.cancel()
        self._closing = asyncio.get_running_loop().create_task(self._disconnect())

    async def wait_closed(self) -> None:
        await self._closing

    async def _disconnect(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.disconnect(), _SECONDS)


def gatt_link(clients: GattClients, where: str) -> Connect:
    """The GATT service of the device that a client connects to."""

    async def connect(receiver: Receiver) -> Stream:
        streams: list[_GattStream] = []
        client = clients(lambda: streams[0].end("the device has disconnected") if streams else None)
        try:
            await asyncio.wait_for(client.connect(), _SECONDS)
            streams.append(_GattStream(client, receiver))
            await client.start_notify(FROM_DEVICE, streams[0].notified)
        except Exception as error:  # of the system's Bluetooth, as bleak passes it on
            if streams:
                streams[0].close()
                await streams[0].wait_closed()
            raise DeviceError(
                f"cannot connect: {error or type(error).__name__}",
                where=where,
                hint="is it switched on, near, advertising, and not connected to somebody else?",
            ) from error
        return streams[0]

    return connect


def ble_gatt(address: str) -> Connect:
    """`ble:ADDRESS`, a device by its Bluetooth address, or by the identifier that macOS has for it."""
    target = _target(address)

    def client(gone: Callable[[], None]) -> GattClient:
        try:
            from bleak import BleakClient
        except ImportError as error:
            raise MissingToolError(
                "bleak is not installed", where=address, hint='pip install "tinyops[ble]"'
            ) from error

        class Client(BleakClient):  # type: ignore[misc, unused-ignore]
            def value_bytes(self) -> int:
                characteristic = self.services.get_characteristic(TO_DEVICE)
                size: int = characteristic.max_write_without_response_size if characteristic else 20
                return size

        made: GattClient = Client(target, disconnected_callback=lambda _: gone(), services=[SERVICE])
        return made

    return gatt_link(client, address)


class Channel(Protocol):
    """An open credit-based channel: its messages stay apart, arrive, and keep their order."""

    def send(self, message: bytes) -> None: ...

    async def close(self) -> None: ...


#: Opens a channel; the functions are called with each message, and with why there will be none any more.
OpenChannel = Callable[[Callable[[bytes], None], Callable[[str], None]], Any]


class _ChannelStream:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def write(self, data: bytes) -> None:
        self._channel.send(data)

    def close(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self._channel.close())

    async def wait_closed(self) -> None:
        await self._closing


def channel_link(open_channel: OpenChannel, where: str) -> Connect:
    """A credit-based channel, however it is opened."""

    async def connect(receiver: Receiver) -> Stream:
        try:
            channel: Channel = await asyncio.wait_for(open_channel(receiver.received, receiver.ended), _SECONDS)
        except DeviceError:
            raise
        except Exception as error:  # of the system's Bluetooth
            raise DeviceError(
                f"cannot connect: {error or type(error).__name__}", where=where, hint="is it switched on and near?"
            ) from error
        return _ChannelStream(channel)

    return connect


class _SocketChannel:
    """A channel of the kernel."""

    def __init__(
        self, connected: socket.socket, received: Callable[[bytes], None], ended: Callable[[str], None]
    ) -> None:
        self._socket = connected
        self._received = received
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connected.fileno(), self._read)

    def _read(self) -> None:
        try:
            message = self._socket.recv(CHANNEL_MTU)
        except BlockingIOError:
            return
        except OSError as error:
            self._stop(str(error))
            return
        if message:
            self._received(message)
        else:
            self._stop("the device has disconnected")

    def _stop(self, reason: str) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._ended(reason)

    def send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # lost, or the reader tells
            self._socket.send(message)

    async def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


def ble_l2cap(address: str) -> Connect:
    """`ble-l2cap:ADDRESS`, the credit-based channel of a device, by its Bluetooth address; on Linux."""
    target = _target(address)
    if sys.platform != "linux" or not hasattr(socket, "AF_BLUETOOTH"):
        raise UsageError(
            "L2CAP channels cannot be opened on this system", where=address, allowed="Linux", hint=f"ble:{target}"
        )

    async def open_channel(received: Callable[[bytes], None], ended: Callable[[str], None]) -> Channel:
        from tinyops.device.link.l2cap import connect_l2cap

        connected = await asyncio.get_running_loop().run_in_executor(None, connect_l2cap, target, PSM, _SECONDS)
        return _SocketChannel(connected, received, ended)

    return channel_link(open_channel, address)


def _target(address: str) -> str:
    target = address.partition(":")[2]
    if not (_ADDRESS.fullmatch(target) or (address.startswith("ble:") and _IDENTIFIER.fullmatch(target))):
        raise UsageError(
            "is no address of a device",
            where=address,
            allowed="ble:AA:BB:CC:DD:EE:FF, ble:IDENTIFIER (macOS), ble-l2cap:AA:BB:CC:DD:EE:FF",
        )
    return target
