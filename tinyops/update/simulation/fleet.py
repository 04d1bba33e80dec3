"""The processes of a virtual fleet: started, ended by power cuts and started again."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tinyops.errors import TinyopsError, UsageError
from tinyops.update.simulation.faults import Fate, Faults, arguments, draw_fate

#: Exit status of the firmware when its power was cut.
POWER_CUT = 75
#: Of the file that stands for a flash: bytes before the content.
_FLASH_HEADER = 64
#: A device that ends by itself more often than this is broken.
_MAX_ENDS = 8
_LISTENING = re.compile(r"listening on (coap://\S+)")
_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """A fleet of `devices` processes of `firmware`, with their files in `folder`.

    `flash_bytes` is the size of the firmware's flash region, `operations` how many an update takes. Damage happens in
    the first `damage_within` seconds, `check_in` seconds lie between check-ins, `infer` between own inferences.
    """

    firmware: Path
    folder: Path
    devices: int
    server: str | None
    faults: Faults
    flash_bytes: int
    operations: int
    check_in: int = 5
    infer: float = 0.5
    damage_within: float = 20.0


@dataclass(eq=False)
class VirtualDevice:
    """One device: its fate, its process and what has happened to it."""

    index: int
    fate: Fate
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    power_cuts: int = 0
    damaged: bool = False
    unexpected: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.fate.identifier.hex()

    @property
    def log(self) -> Path:
        return self.folder / "console.log"

    @property
    def flash(self) -> Path:
        return self.folder / "flash.bin"

    def address(self) -> str | None:
        """Where the running process listens; None before it does."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_BYTES))
            found = _LISTENING.findall(file.read().decode("utf-8", "replace").rpartition("\x0c")[2])
        return found[-1] if found else None


class Fleet:
    """Use it as a context manager; leaving ends all processes, the files stay."""

    def __init__(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.devices = [self._device(index) for index in range(settings.devices)]
        self._started = time.monotonic()
        # Devices end when nobody holds the writing end any more, however this process ends.
        self._alive_read, self._alive_write = os.pipe()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Iterator[int]:
        """Switch all devices on; yields how many are."""
        _allow_files(2 * len(self.devices) + 64)
        for count, device in enumerate(self.devices, 1):
            self._switch_on(device)
            yield count

    def step(self) -> None:
        """Do what is due: start again whom a power cut has ended, damage whom it is time to damage."""
        elapsed = time.monotonic() - self._started
        for device in self.devices:
            process = device.process
            if process is None:
                continue
            status = process.poll()
            due = device.fate.damaged_after
            if due is not None and not device.damaged and elapsed >= due:
                if status is None:
                    process.kill()
                    status = process.wait()
                self._damage(device)
                self._switch_on(device)
            elif status is not None:
                self._note_end(device, status)
                self._switch_on(device)

    def damage_pending(self) -> bool:
        """Whether devices are still to be damaged."""
        return any(d.fate.damaged_after is not None and not d.damaged for d in self.devices)

    def stop(self) -> None:
        """Switch all devices off."""
        for device in self.devices:
            if device.process is not None:
                device.process.kill()
        for device in self.devices:
            if device.process is not None:
                device.process.wait()
                device.process = None
        for end in (self._alive_read, self._alive_write):
            os.close(end)

    def _device(self, index: int) -> VirtualDevice:
        settings = self.settings
        fate = draw_fate(settings.faults, index, operations=settings.operations, seconds=settings.damage_within)
        return VirtualDevice(index, fate, settings.folder / f"{index:05}-{fate.identifier.hex()}")

    def _switch_on(self, device: VirtualDevice) -> None:
        settings = self.settings
        device.folder.mkdir(parents=True, exist_ok=True)
        command = [str(settings.firmware.resolve()), "--udp", "127.0.0.1:0", "--flash", str(device.flash)]
        command += arguments(settings.faults, device.fate, starts=device.starts, cuts=device.power_cuts)
        command += ["--while-open", "0", "--infer", str(max(1, round(1000 * settings.infer)))]
        if settings.server is not None:
            command += ["--server", settings.server, "--check-in", str(settings.check_in)]
        try:
            with device.log.open("ab") as log:
                log.write(b"\x0c")
                log.flush()
                device.process = _spawn(command, self._alive_read, log)
        except OSError as error:
            raise TinyopsError(f"cannot write: {error.strerror}", where=str(device.log)) from error
        device.starts += 1

    def _note_end(self, device: VirtualDevice, status: int) -> None:
        if status == POWER_CUT:
            device.power_cuts += 1
            return
        device.unexpected.append(status)
        if len(device.unexpected) > _MAX_ENDS or device.starts == 1:
            lines = device.log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace").splitlines()[-5:]
            raise TinyopsError(
                "\n  | ".join([f"the device's process ends with status {status}", *lines]), where=str(device.log)
            )

    def _damage(self, device: VirtualDevice) -> None:
        device.damaged = True
        if not device.flash.exists():
            return
        with device.flash.open("r+b") as file:
            for position, bit in device.fate.damage:
                offset = _FLASH_HEADER + int(position * self.settings.flash_bytes)
                file.seek(offset)
                byte = file.read(1)
                file.seek(offset)
                file.write(bytes([byte[0] ^ 1 << bit]))


def _spawn(command: Sequence[str], alive: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=alive, stdout=log, stderr=log, start_new_session=True, close_fds=True)
    except OSError as error:
        raise TinyopsError(f"cannot be started: {error.strerror}", where=command[0], hint="tinyops build") from error


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    elif soft < count:
        raise UsageError(f"needs {count} open files", allowed=f"{hard} (ulimit -Hn)", hint="a smaller --devices")
