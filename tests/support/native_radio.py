"""A RIOT application on native64 with NimBLE, whose Bluetooth controller is one of bumble behind a pty (H4).

It takes the place of a Radio (tests/support/bluetooth.py): the host stack, the GATT service and the L2CAP channel on
the device's side are those of boards.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path

from bumble.controller import Controller
from bumble.device import Device
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink

from tests.support.bluetooth import CENTRAL, PERIPHERAL

_SECONDS = 20.0


class NativeRadio:
    """Both ends of the air; `start` runs the program and waits until it advertises."""

    address = Address(PERIPHERAL, Address.PUBLIC_DEVICE_ADDRESS)

    def __init__(self, program: Path, *arguments: str, mtu: int = 247, folder: Path | None = None) -> None:
        """`folder` is where the process runs, and has its memory devices."""
        self._program = [str(program), *arguments]
        self._where = folder
        self.mtu = mtu
        self.console = b""
        self.central: Device | None = None

    async def start(self) -> Device:
        """Switch both on; the central."""
        link = LocalLink()
        self._folder = tempfile.TemporaryDirectory(prefix="tinyops-hci-")
        tty = Path(self._folder.name) / "tty"
        self._transport = await open_transport(f"pty:{tty}")
        self._controller = Controller(
            "device",
            host_source=self._transport.source,
            host_sink=self._transport.sink,
            link=link,
            public_address=PERIPHERAL,
        )
        self._controller.random_address = self.address  # bumble's links know the other side by it
        controller = Controller("central", link=link, public_address=CENTRAL)
        self.central = Device(address=Address(CENTRAL), host=Host(controller, AsyncPipeSink(controller)))
        await self.central.power_on()
        self.process = await asyncio.create_subprocess_exec(
            *self._program,
            "-c",
            str(tty),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            cwd=self._where,
        )
        self._reader = asyncio.get_running_loop().create_task(self._read_console())
        await asyncio.wait_for(self._advertisement(), _SECONDS)
        return self.central

    async def _advertisement(self) -> None:
        """Until the device is there."""
        assert self.central is not None
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(advertisement: object) -> None:
            self.advertised = advertisement
            if not seen.done():
                seen.set_result(None)

        self.central.on("advertisement", take)
        await self.central.start_scanning()
        await seen
        await self.central.stop_scanning()

    async def stop(self) -> None:
        """End the program, with the helpers that it has forked."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self._reader.cancel()
        await self._transport.close()
        self._folder.cleanup()

    async def _read_console(self) -> None:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(4096):
            self.console += data
