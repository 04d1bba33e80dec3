"""Bluetooth LE without hardware: a device's radio and this computer's on one link of bumble, in one process.

The peripheral joins its GATT service and its L2CAP channel to the serial line of a firmware process, so that real
device code answers. The central has the interface of bleak's client, or opens a channel.
"""

from __future__ import annotations

import asyncio
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
from tinyops.device.link.fragments import Fragmenter, Reassembler
from tinyops.device.link.slipmux import Decoder, Kind, encode_coap

CENTRAL, PERIPHERAL = "F0:F0:F0:F0:F0:F0", "F1:F1:F1:F1:F1:F1"


class Radio:
    """Both ends of the air, and the firmware behind the far one. It lives in the loop that `start` is called in."""

    def __init__(self, program: Path, *arguments: str, mtu: int = 247) -> None:
        self._program = [str(program), *arguments]
        self.mtu = mtu
        self.lose: Callable[[bytes], bool] = lambda _: False
        self.fragments = 0
        self.central: Device | None = None
        self._reply: Callable[[bytes], Any] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> Device:
        """Switch both on, and advertise; the central."""
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
        for device in made:
            await device.power_on()
        await self.peripheral.start_advertising(advertising_interval_min=1.0)
        self.process = await asyncio.create_subprocess_exec(
            *self._program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._spawn(self._read_line())
        return self.central

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # the device's side

    def _add_service(self) -> None:
        self._to_line = Reassembler()
        self._from_line = Fragmenter()
        writable = Characteristic.Properties.WRITE_WITHOUT_RESPONSE | Characteristic.Properties.WRITE
        self._notified: Any = Characteristic(FROM_DEVICE, Characteristic.Properties.NOTIFY, 0, b"")
        written: Any = Characteristic(
            TO_DEVICE, writable, Characteristic.WRITEABLE, CharacteristicValue(write=self._written)
        )
        self.peripheral.add_service(Service(SERVICE, [written, self._notified]))

    def _written(self, connection: Any, value: bytes) -> None:
        self.fragments += 1
        self._reply = self._notify
        if not self.lose(value):
            message = self._to_line.feed(value)
            if message is not None:
                self._put_on_line(message)

    async def _notify(self, message: bytes) -> None:
        for fragment in self._from_line.cut(message, self.mtu - 3):
            if not self.lose(fragment):
                await self.peripheral.notify_subscribers(self._notified, fragment)

    def _accept_channel(self, channel: Any) -> None:
        channel.sink = self._put_on_line

        async def reply(message: bytes) -> None:
            channel.write(message)

        self._reply = reply

    def _put_on_line(self, message: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode_coap(bytes(message)))

    async def _read_line(self) -> None:
        decoder = Decoder()
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(4096):
            for frame in decoder.feed(data):
                if frame.kind is Kind.COAP and self._reply is not None:
                    await self._reply(frame.content)


class GattClient:
    """bleak's client, on the central of a Radio."""

    def __init__(self, radio: Radio, gone: Callable[[], None]) -> None:
        self._radio = radio
        self._gone = gone
        self._mtu = 23

    async def connect(self) -> None:
        central = await self._radio.start()
        self.connection = await central.connect(Address(PERIPHERAL))
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
        connection = await central.connect(Address(PERIPHERAL))
        channel = await connection.create_l2cap_channel(LeCreditBasedChannelSpec(psm=PSM, mtu=CHANNEL_MTU, mps=245))
        channel.sink = received
        connection.on("disconnection", lambda *_: ended("the device has disconnected"))
        return _Channel(radio, channel)

    return open_channel
