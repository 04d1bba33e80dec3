"""Nordic's nrfutil with its command `device`: J-Links at nRF chips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import hex_file
from tinyops.device.flash.faults import (
    busy,
    locked,
    lost,
    no_chip,
    tool_failed,
    unsupported,
    verify_failed,
    wrong_chip,
)
from tinyops.device.flash.process import Finished, Progress, find_program, run

_FIX = "get nrfutil from nordicsemi.com, then: nrfutil install device"
_PERCENT = r'"progressPercentage":\s*(\d{1,3})'


class Nrfutil(Backend):
    name: ClassVar[FlashBackend] = "nrfutil"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("jlink",))
    facts = ("jlink_device",)
    can_read = False
    can_recover = True

    @classmethod
    def installed(cls) -> str:
        return find_program(("nrfutil",), _FIX)

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        if job.recover:
            self._run(device, ["recover"])
        self._identify(device)
        options = {
            "chip_erase_mode": "ERASE_ALL" if job.erase else "ERASE_RANGES_TOUCHED_BY_FIRMWARE",
            "verify": "VERIFY_READ" if job.verify else "VERIFY_NONE",
            "reset": "RESET_SYSTEM" if job.reset else "RESET_NONE",
        }
        with hex_file(job.parts) as path:
            listed = ",".join(f"{name}={value}" for name, value in options.items())
            self._run(device, ["program", "--firmware", str(path), "--options", listed], progress)
        return "read back" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        raise unsupported(self.name, "cannot read memory", "another --backend")

    def _identify(self, device: Attached) -> None:
        """Compare the chip's name, such as NRF52840_xxAA_REV2, with that of the board's."""
        done = self._run(device, ["device-info"])
        found = re.search(r'"deviceVersion":\s*"([\w-]+)"', done.text)
        expected = (self.board.probe.jlink_device or "").split("_")[0]
        if found is None:
            raise no_chip(self.where(device), "nrfutil does not say which chip it is")
        if found[1].split("_")[0].upper() != expected.upper():
            raise wrong_chip(self.where(device), found[1], expected)

    def _run(self, device: Attached, verb: list[str], progress: Progress | None = None) -> Finished:
        """Run one command to its end, which must be status 0 and a task that ended well, with none that failed."""
        command = [self.installed(), "--json", "device", *verb, "--serial-number", device.id]
        done = run(command, progress=progress, percent=_PERCENT, where=self.where(device))
        ends = [message.get("data") for message in _messages(done) if message.get("type") == "task_end"]
        results = [end.get("result") for end in ends if isinstance(end, dict)]
        if done.code == 0 and results and all(result in ("success", None) for result in results):
            return done
        raise self._fault(device, done)

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if done.has(r"readback protection|APPROTECT|access port protection|NotAvailableBecauseProtection|protected"):
            return locked(where)
        if done.has(r"Subcommand .*device.* not found|no such command|unrecognized subcommand|is not installed"):
            return unsupported("nrfutil", "has no command device", "nrfutil install device")
        if done.has(r"verif\w* failed|VerifyError|Data does not match|mismatch"):
            return verify_failed(where)
        if done.has(r"No devices? (was |were )?found|cannot find device|serial number .*not found|DeviceNotFound"):
            return lost(where, "nrfutil does not find it")
        if done.has(r"in use|busy|already open"):
            return busy(where, "the J-Link")
        if done.has(r"LowVoltage|low voltage|CannotConnect|cannot connect|NoTarget|no debugger|JLinkARM DLL"):
            return no_chip(where, _last(done))
        return tool_failed(where, [_last(done)])


def _messages(done: Finished) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects, as nrfutil prints one for each thing that happens."""
    for line in done.lines:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict):
            yield message


def _last(done: Finished) -> str:
    """The last message of an error, else the last line."""
    found = [str(text) for text in re.findall(r'"(?:message|description|reason)":\s*"((?:[^"\\]|\\.)*)"', done.text)]
    texts = [text for text in found if re.search("fail|error|cannot|no ", text, re.IGNORECASE)]
    words = texts or found or list(done.lines) or ["it says nothing"]
    return words[-1][:300]
