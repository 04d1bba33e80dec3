"""dfu-util: bootloaders with USB DFU and ST's extensions (DfuSe)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import raw_files
from tinyops.device.flash.faults import (
    busy,
    locked,
    lost,
    no_permission,
    tool_failed,
    unsupported,
    verify_failed,
    wrong_chip,
)
from tinyops.device.flash.process import Finished, Progress, find_program, run

_PERCENT = r"\]\s+(\d{1,3})%"
_DONE = r"File downloaded successfully|Download done\."
#: A page in dfu-util's list of a device's memory.
_ALT = r"Found DFU: \[([0-9a-f]{{4}}:[0-9a-f]{{4}})\].*alt=0, name=\"@[^/]*/0x([0-9a-f]+)/.*serial=\"{serial}\""


class DfuUtil(Backend):
    name: ClassVar[FlashBackend] = "dfu-util"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("dfu",))
    facts = ("dfu_id",)
    can_recover = True

    @classmethod
    def installed(cls) -> str:
        return find_program(("dfu-util",), "apt-get install dfu-util")

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        wanted = self.board.probe.dfu_id
        found = super().usable(devices)
        return [device for device in found if device.usb and "{:04x}:{:04x}".format(*device.usb) == wanted]

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        self._identify(device)
        if job.recover:
            self._special(device, ":unprotect:force")
            raise unsupported(
                self.name, "unlocked the chip, which resets itself now", "start its bootloader again and flash"
            )
        with raw_files(job.parts) as files:
            for i, (part, path) in enumerate(files):
                modifiers = ":mass-erase:force" if job.erase and i == 0 else ""
                share = len(part.data) / job.bytes * (0.7 if job.verify else 1.0)
                before = sum(len(p.data) for p in job.parts[:i]) / job.bytes * (0.7 if job.verify else 1.0)
                words = ["-s", f"{part.address:#010x}{modifiers}", "-D", str(path)]
                self._run(device, words, _DONE, lambda done, b=before, s=share: progress(b + s * done))  # type: ignore[misc]
        for part in job.parts if job.verify else ():
            self.compare(device, part, self.read(device, part.address, len(part.data)))
        if job.reset:
            self._special(device, ":leave")
        progress(1.0)
        return "read back" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            done = self._run(device, ["-s", f"{address:#010x}:{size}", "-U", str(path)], r"Upload done\.")
            if not path.is_file() or path.stat().st_size != size:
                raise tool_failed(self.where(device), done.lines[-2:])
            return path.read_bytes()

    def _identify(self, device: Attached) -> None:
        """Refuse a bootloader whose memory does not begin where the board's does."""
        done = run([self.installed(), "-l"], seconds=60, where=self.where(device))
        if done.has(r"LIBUSB_ERROR_ACCESS"):
            raise no_permission(device)
        found = done.has(_ALT.format(serial=re.escape(device.id)))
        if found is None or found[1] != self.board.probe.dfu_id:
            raise lost(self.where(device), "dfu-util does not list it")
        origin = self.board.flash.origin if self.board.flash else None
        if origin is not None and int(found[2], 16) != origin:
            raise wrong_chip(self.where(device), f"one with flash at 0x{found[2]}", f"one with flash at {origin:#010x}")

    def _special(self, device: Attached, modifiers: str) -> None:
        """A command by itself, by way of a read of a few bytes, as dfu-util has it."""
        address = self.board.flash.origin if self.board.flash else 0
        with TemporaryDirectory(prefix="tinyops-") as folder:
            size = ":4" if modifiers == ":leave" else ""
            words = ["-s", f"{address:#010x}{size}{modifiers}", "-U", str(Path(folder) / "memory.bin")]
            self._run(device, words, r"Upload done\.|Submitting leave request|Device will reset|unprotect")

    def _run(self, device: Attached, words: list[str], sign: str, progress: Progress | None = None) -> Finished:
        """Run it on this device; status 0 (after a leave the device may be gone before it answers) and `sign`."""
        command = [self.installed(), "-d", f",{self.board.probe.dfu_id}", "-S", device.id, "-a", "0", *words]
        done = run(command, progress=progress, percent=_PERCENT, where=self.where(device))
        gone = done.has(r"Submitting leave request") and not done.has(r"dfuERROR|Error during download \(")
        if done.has(sign) and (done.code == 0 or gone):
            return done
        raise self._fault(device, done)

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if done.has(r"LIBUSB_ERROR_ACCESS|insufficient permissions"):
            return no_permission(device)
        if done.has(r"errVENDOR|read.?protect|vendor-specific error|Error during special command \"ERASE_PAGE\""):
            return locked(where)
        if done.has(r"Cannot claim interface|LIBUSB_ERROR_BUSY"):
            return busy(where, "its USB interface is taken")
        if done.has(r"failed verification"):
            return verify_failed(where)
        if done.has(
            r"No DFU capable USB device|Lost device|LIBUSB_ERROR_(NO_DEVICE|IO|PIPE|TIMEOUT)|Cannot open device"
        ):
            return lost(where, done.lines[-1])
        return tool_failed(where, done.lines[-2:])
