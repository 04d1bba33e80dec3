"""Espressif's esptool: chips with their bootloader at a serial port."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import FLASHES_BY_SERIAL, Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import Part, raw_files
from tinyops.device.flash.faults import (
    busy,
    locked,
    lost,
    no_chip,
    no_permission,
    tool_failed,
    unsupported,
    verify_failed,
    wrong_chip,
)
from tinyops.device.flash.process import Finished, Progress, find_program, run
from tinyops.device.packages import pip_install

_BAUD = 460_800
_PERCENT = r"(?:\(|\s)(\d{1,3}(?:\.\d+)?) ?%"
_VERIFIED = "Hash of data verified"
_OLDEST = 4
#: Words that version 4 writes with an underscore.
_RENAMED = frozenset(("write-flash", "read-flash", "default-reset", "hard-reset", "no-reset"))


class _Parts:
    """esptool counts to 1 for each part."""

    def __init__(self, parts: Sequence[Part], progress: Progress) -> None:
        self._sizes, self._progress = [len(part.data) for part in parts], progress
        self._done = 0

    def __call__(self, part: float) -> None:
        self._progress((sum(self._sizes[: self._done]) + part * self._sizes[self._done]) / sum(self._sizes))

    def line(self, line: str) -> None:
        if _VERIFIED in line and self._done < len(self._sizes) - 1:
            self._done += 1


class Esptool(Backend):
    name: ClassVar[FlashBackend] = "esptool"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("serial",))
    facts = ("esptool_chip",)

    @classmethod
    def installed(cls) -> str:
        return find_program(("esptool", "esptool.py"), pip_install("esptool"))

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        """Ports of the chips themselves and of the bridges on boards, not those of debug probes."""
        ports = super().usable(devices)
        return [port for port in ports if port.usb is None or port.usb[0] in FLASHES_BY_SERIAL]

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        with raw_files(job.parts) as files:
            words = ["write-flash", *(["--erase-all"] if job.erase else [])]
            places = [word for part, path in files for word in (f"{part.address:#x}", str(path))]
            follow = _Parts(job.parts, progress)
            done = self._run(device, [*words, *places], follow, after="hard-reset" if job.reset else "no-reset")
        if len(re.findall(_VERIFIED, done.text)) != len(job.parts):
            raise verify_failed(self.where(device))
        return "by the tool"  # it compares a hash of the flash in every case

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            done = self._run(device, ["read-flash", f"{address:#x}", f"{size:#x}", str(path)], after="no-reset")
            if not path.is_file() or path.stat().st_size != size:
                raise tool_failed(self.where(device), done.lines[-2:])
            return path.read_bytes()

    def _run(self, device: Attached, words: list[str], follow: _Parts | None = None, *, after: str) -> Finished:
        program = self.installed()
        line = ["--chip", self.board.probe.esptool_chip or "", "--port", device.id, "--baud", str(_BAUD)]
        line += ["--before", "default-reset", "--after", after, *words]
        if self._version(program) < 5:
            line = [word.replace("-", "_") if word in _RENAMED else word for word in line]
        on_line = follow.line if follow else None
        where = self.where(device)
        done = run([program, *line], progress=follow, percent=_PERCENT, on_line=on_line, where=where)
        if done.code != 0 or done.has(r"A fatal error occurred"):
            raise self._fault(device, done)
        return done

    def _version(self, program: str) -> int:
        done = run([program, "version"], seconds=60, where="esptool")
        found = done.has(r"v?(\d+)\.\d+")
        if found is None or int(found[1]) < _OLDEST:
            raise unsupported("esptool", "is too old", pip_install("--upgrade esptool"))
        return int(found[1])

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if found := done.has(r"This chip is ([\w-]+),? not ([\w-]+)\."):
            return wrong_chip(where, found[1], found[2])
        if done.has(r"Permission denied|Errno 13|Access is denied.*PermissionError"):
            return no_permission(device)
        if done.has(r"Secure Download Mode|secure boot|flash encryption is enabled"):
            return locked(where, "nothing: secure boot, flash encryption and secure download mode are for ever")
        if done.has(r"Resource busy|Errno 16|multiple access on port|Could not exclusively lock"):
            return busy(where, "the serial port")
        if done.has(
            r"No such file or directory|doesn't exist|Device not configured|device disconnected|lost connection"
        ):
            return lost(where, "the serial port is gone")
        if done.has(r"MD5 of file does not match|Verification failed|verify failed"):
            return verify_failed(where)
        if done.has(r"will not fit|larger than the available flash|Detected flash size .* smaller"):
            return tool_failed(where, [line for line in done.lines if "fit" in line or "flash size" in line][-1:])
        if found := done.has(r"(No serial data received|Wrong boot mode detected[^\n.]*|Invalid head of packet)"):
            return no_chip(where, f"{found[1]}; hold BOOT, press RESET, and try again")
        if done.has(r"Failed to connect|Timed out waiting"):
            return no_chip(where, "no answer; hold BOOT, press RESET, and try again")
        return tool_failed(where, [line for line in done.lines if "rror" in line][-2:] or done.lines[-2:])
