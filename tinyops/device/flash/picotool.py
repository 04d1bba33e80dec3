"""Raspberry Pi's picotool: RP2040 and RP2350 in BOOTSEL mode."""

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
from tinyops.device.flash.faults import lost, no_permission, tool_failed, verify_failed, wrong_chip
from tinyops.device.flash.process import Finished, Progress, find_program, run

_PERCENT = r"\]\s+(\d{1,3})%"
_CHIPS = {0x0003: "rp2040", 0x000F: "rp2350"}


class Picotool(Backend):
    name: ClassVar[FlashBackend] = "picotool"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("rp-boot",))
    facts = ("rp_chip",)

    @classmethod
    def installed(cls) -> str:
        return find_program(("picotool",), "install picotool from github.com/raspberrypi/pico-sdk-tools")

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        """Those of the board's own chip, which the USB product tells; if there is none, the others, to be refused."""
        found = super().usable(devices)
        own = [device for device in found if _chip(device) == self.board.probe.rp_chip]
        return own or found

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        chip = _chip(device)
        if chip != self.board.probe.rp_chip:
            raise wrong_chip(self.where(device), chip or "another one", self.board.probe.rp_chip or "")
        if job.erase:
            self._run(device, ["erase", "-a"])
        with raw_files(job.parts) as files:
            for i, (part, path) in enumerate(files):
                share, before = (sum(len(p.data) for p in some) / job.bytes for some in ([part], job.parts[:i]))
                words = ["load", *(["-v"] if job.verify else []), str(path), "-t", "bin", "-o", f"{part.address:#x}"]
                done = self._run(device, words, lambda d, b=before, s=share: progress(b + s * d))  # type: ignore[misc]
                if job.verify and not done.has(r"^\s*OK\s*$"):
                    raise verify_failed(self.where(device))
        if job.reset:
            self._run(device, ["reboot"])
        progress(1.0)
        return "by the tool" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            words = ["save", "-r", f"{address:#x}", f"{address + size:#x}", str(path), "-t", "bin"]
            done = self._run(device, words)
            if not path.is_file() or path.stat().st_size != size:
                raise tool_failed(self.where(device), done.lines[-2:])
            return path.read_bytes()

    def _run(self, device: Attached, words: list[str], progress: Progress | None = None) -> Finished:
        """Run it on this device, by its place at the bus: the serial numbers of all RP2040 bootloaders are the same."""
        bus = ["--bus", str(device.bus[0]), "--address", str(device.bus[1])] if device.bus else ["--ser", device.id]
        done = run([self.installed(), *words, *bus], progress=progress, percent=_PERCENT, where=self.where(device))
        if done.code != 0 or done.has(r"^\s*ERROR"):
            raise self._fault(device, done)
        return done

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if done.has(r"unable to connect|Permission|run.* sudo|LIBUSB_ERROR_ACCESS"):
            return no_permission(device)
        if done.has(r"No accessible RP|not found|disconnected|LIBUSB_ERROR|communication|Unable to (read|write)"):
            return lost(where, next((line for line in reversed(done.lines) if line), "USB"))
        if done.has(r"verif|differs"):
            return verify_failed(where)
        return tool_failed(where, [line for line in done.lines if re.search("ERROR", line)][-2:] or done.lines[-2:])


def _chip(device: Attached) -> str | None:
    return _CHIPS.get(device.usb[1]) if device.usb else None
