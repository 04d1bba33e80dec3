"""SEGGER's J-Link Commander."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import hex_file, raw_files
from tinyops.device.flash.faults import busy, locked, lost, no_chip, tool_failed, unsupported, verify_failed
from tinyops.device.flash.process import Finished, Progress, find_program, run

_SPEED = 4000
_PERCENT = r"(?:\[|^|\s)(\d{1,3})%"
_FIX = "install SEGGER's J-Link Software Pack"
_WORD = r"^{address:08X} = ([0-9A-F]{{8}})"


class Jlink(Backend):
    name: ClassVar[FlashBackend] = "jlink"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("jlink",))
    facts = ("jlink_device",)

    @classmethod
    def installed(cls) -> str:
        names = ("JLink.exe",) if os.name == "nt" else ("JLinkExe",)
        return find_program(names, _FIX, (Path("/opt/SEGGER/JLink"), Path("/Applications/SEGGER/JLink")))

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        self._identify(device)
        with hex_file(job.parts) as path, raw_files(job.parts) as raw:
            script = ["r", "h", *(["erase"] if job.erase else []), f'loadfile "{path}"']
            done = self._run(device, script, lambda part: progress(0.8 * part))
            if done.code != 0 or not done.has(r"^\s*O\.K\.\s*$") or _failed(done):
                raise self._fault(device, done)
            if job.verify:
                script = [f'verifybin "{file}", {part.address:#x}' for part, file in raw]
                done = self._run(device, ["h", *script])
                good = len(re.findall("Verify successful", done.text))
                if done.has(r"Verify failed|differs|Data mismatch") or (done.code == 0 and good != len(raw)):
                    raise verify_failed(self.where(device))
                if done.code != 0:
                    raise self._fault(device, done)
        if job.reset:
            done = self._run(device, ["r", "g"])
            if done.code != 0 or _failed(done):
                raise self._fault(device, done)
        progress(1.0)
        return "read back" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            done = self._run(device, ["h", f'savebin "{path}", {address:#x}, {size:#x}'])
            if done.code != 0 or _failed(done) or not path.is_file() or path.stat().st_size != size:
                raise self._fault(device, done)
            return path.read_bytes()

    def _identify(self, device: Attached) -> None:
        chip = self.board.probe.chip_id
        if chip is None:
            return
        done = self._run(device, ["h", f"mem32 {chip.address:#x}, 1"])
        found = done.has(_WORD.format(address=chip.address))
        if done.code != 0 or _failed(done) or found is None:
            raise self._fault(device, done)
        self.check_chip(device, int(found[1], 16))

    def _run(self, device: Attached, script: list[str], progress: Progress | None = None) -> Finished:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            file = Path(folder) / "commands.jlink"
            file.write_text("\n".join([*script, "exit", ""]), encoding="utf-8")
            probe = self.board.probe
            command = [self.installed(), "-NoGui", "1", "-ExitOnError", "1", "-USB", device.id]
            command += ["-Device", probe.jlink_device or "", "-If", probe.wire.upper(), "-Speed", str(_SPEED)]
            if probe.wire == "jtag":
                command += ["-JTAGConf", "-1,-1"]
            command += ["-AutoConnect", "1", "-CommandFile", str(file)]
            return run(command, progress=progress, percent=_PERCENT, where=self.where(device))

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if done.has(r"secured|protected|APPROTECT|readout protection|read-protected"):
            return locked(where, "--recover with --backend nrfutil, pyocd or openocd, which erases all of it")
        if done.has(r"Unknown device|is not supported by|Device .* not found"):
            return unsupported("jlink", f"this version does not know {self.board.probe.jlink_device}", _FIX)
        if done.has(r"already in use|in use by another|could not be opened|already opened"):
            return busy(where, "the J-Link")
        if done.has(r"Connecting to J-Link.*FAILED|Cannot connect to J-Link|Failed to open DLL|no emulators connected"):
            return lost(where, "J-Link Commander cannot connect to it")
        if done.has(r"Connection to emulator lost|Communication timed out|USB.*(error|lost)"):
            return lost(where, "USB")
        if done.has(r"Verify failed|Verification failed|Programming.*failed @ address .*verif"):
            return verify_failed(where)
        if found := done.has(r"(Cannot connect to (the )?target|Could not find core|VTref.*(too low|0\.000)|No CPU)"):
            return no_chip(where, found[1])
        lines = [line for line in done.lines if re.search("error|fail|cannot|could not", line, re.IGNORECASE)]
        return tool_failed(where, lines[-2:] or done.lines[-2:])


def _failed(done: Finished) -> bool:
    """J-Link Commander of old versions ends with status 0 whatever happens: its words count."""
    return bool(
        done.has(
            r"FAILED:|^Error[: ]|\*{3,}\s*Error|Unspecified error|Cannot connect|Could not (find|connect|read|write)|"
            r"Failed to (download|erase|program|open|read)|failed\.$|Writing target memory failed"
        )
    )
