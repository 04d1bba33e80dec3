"""Bluetooth LE without hardware: a device's radio and this computer's on one link of bumble, in one process.

Behind the peripheral is the device's own code (tests/support/ble_device.py): it cuts messages into values and puts them
together, and has the L2CAP channel. The central has the interface of bleak's client, or opens a channel.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bumble.controller import Controller
from bumble.core import UUID, ProtocolError
from bumble.device import Device, Peer
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address, HCI_StatusError
from bumble.host import Host
from bumble.l2cap import LeCreditBasedChannelSpec
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from tinyops.device.link.ble import CHANNEL_MTU, FROM_DEVICE, PSM, SERVICE, TO_DEVICE

CENTRAL, PERIPHERAL = "F0:F0:F0:F0:F0:F0", "F1:F1:F1:F1:F1:F1"
_SECONDS = 20.0


class Radio:
    """Both ends of the air, and the program behind the far one. It lives in the loop that `start` is called in.

    `lose` is asked of each value whether it is lost; `fragments` counts those that were written.
    """

    address = Address(PERIPHERAL)

    def __init__(self, program: Path, *arguments: str, mtu: int = 247) -> None:
        self._program = [str(program), *arguments]
        self.mtu = mtu
        self.lose: Callable[[bytes], bool] = lambda _: False
        self.fragments = 0
        self.refused: list[int] = []
        self.central: Device | None = None
        self._channel: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> Device:
        """Switch both on, and advertise what the device says; the central."""
        link = LocalLink()
        made = []
        for name, address in (("central", CENTRAL), ("peripheral", PERIPHERAL)):
            controller = Controller(name, link=link, public_address=address)
            made.append(Device(address=Address(address), host=Host(controller, AsyncPipeSink(controller))))
        self.central, self.peripheral = made
        self._add_service()
        self.peripheral.create_l2cap_server(
            LeCreditBasedChannelSpec(psm=PSM, mtu=CHANNEL_MTU, mps=245), self._accept_channel
        )
        self.peripheral.on("connection", self._connected)
        for device in made:
            await device.power_on()
        self.process = await asyncio.create_subprocess_exec(
            *self._program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._advertising = asyncio.get_running_loop().create_future()
        self._spawn(self._read_records())
        self.advertised: bytes = await asyncio.wait_for(self._advertising, _SECONDS)
        await self.peripheral.start_advertising(advertising_interval_min=1.0)
        return self.central

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    def put(self, kind: str, content: bytes = b"") -> None:
        """Tell the device what has happened."""
        assert self.process.stdin is not None
        if self.process.returncode is None:
            self.process.stdin.write(kind.encode() + struct.pack("<H", len(content)) + content)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # the device's side

    def _add_service(self) -> None:
        writable = Characteristic.Properties.WRITE_WITHOUT_RESPONSE | Characteristic.Properties.WRITE
        self._notified: Any = Characteristic(FROM_DEVICE, Characteristic.Properties.NOTIFY, 0, b"")
        self._notified.on("subscription", lambda _connection, notify, _indicate: self.put("S", bytes([notify])))
        written: Any = Characteristic(
            TO_DEVICE, writable, Characteristic.WRITEABLE, CharacteristicValue(write=self._written)
        )
        self.peripheral.add_service(Service(SERVICE, [written, self._notified]))

    def _connected(self, connection: Any) -> None:
        self.put("C")
        connection.on("connection_att_mtu_update", lambda: self.put("M", struct.pack("<H", connection.att_mtu)))
        connection.on("disconnection", lambda *_: self.put("D"))

    def _written(self, connection: Any, value: bytes) -> None:
        self.fragments += 1
        if not self.lose(value):
            self.put("W", bytes(value))

    def _accept_channel(self, channel: Any) -> None:
        self._channel = channel
        self.put("O")
        channel.sink = lambda unit: self.put("U", bytes(unit))
        channel.on("close", lambda: self.put("X"))

    async def _read_records(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with suppress(asyncio.IncompleteReadError):
            while True:
                kind, length = struct.unpack("<cH", await stream.readexactly(3))
                await self._take(kind.decode(), await stream.readexactly(length))

    async def _take(self, kind: str, content: bytes) -> None:
        if kind == "A" and not self._advertising.done():
            self._advertising.set_result(content)
        elif kind == "N" and not self.lose(content):
            await self.peripheral.notify_subscribers(self._notified, content)
        elif kind == "U":
            self._channel.write(content)
        elif kind == "X":
            await self._channel.disconnect()
        elif kind == "E":
            self.refused.extend(content)


class GattClient:
    """bleak's client, on the central of a Radio."""

    def __init__(self, radio: Radio, gone: Callable[[], None]) -> None:
        self._radio = radio
        self._gone = gone
        self._mtu = 23

    async def connect(self) -> None:
        central = await self._radio.start()
        self.connection = await central.connect(self._radio.address)
        self.connection.on("disconnection", lambda *_: self._gone())
        self._peer = Peer(self.connection)
        self._mtu = await self._peer.request_mtu(self._radio.mtu)
        await self._peer.discover_services()
        for service in self._peer.services:
            await service.discover_characteristics()

    def _find(self, uuid: str) -> Any:
        return self._peer.get_characteristics_by_uuid(UUID(uuid))[0]

    async def start_notify(self, char_specifier: str, callback: Callable[[Any, bytearray], None]) -> None:
        await self._peer.subscribe(self._find(char_specifier), lambda value: callback(None, bytearray(value)))

    async def write_gatt_char(self, char_specifier: str, data: bytes, response: bool) -> None:
        assert len(data) <= self.value_bytes()
        await self._peer.write_value(self._find(char_specifier), data, with_response=response)

    def value_bytes(self) -> int:
        return self._mtu - 3

    async def disconnect(self) -> None:
        if hasattr(self, "connection"):
            with suppress(ProtocolError, HCI_StatusError):  # it is gone already
                await self.connection.disconnect()
        await self._radio.stop()


class _Channel:
    def __init__(self, radio: Radio, channel: Any) -> None:
        self._radio = radio
        self._channel = channel

    def send(self, message: bytes) -> None:
        self._channel.write(message)

    async def close(self) -> None:
        await self._radio.stop()


def channels(radio: Radio) -> Any:
    """An OpenChannel through the radio."""

    async def open_channel(received: Callable[[bytes], None], ended: Callable[[str], None]) -> _Channel:
        central = await radio.start()
        connection = await central.connect(radio.address)
        channel = await connection.create_l2cap_channel(LeCreditBasedChannelSpec(psm=PSM, mtu=CHANNEL_MTU, mps=245))
        channel.sink = received
        connection.on("disconnection", lambda *_: ended("the device has disconnected"))
        return _Channel(radio, channel)

    return open_channel
