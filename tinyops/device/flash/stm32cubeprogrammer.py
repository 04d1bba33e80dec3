"""ST's STM32CubeProgrammer, by its command line."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import hex_file
from tinyops.device.flash.faults import busy, locked, lost, no_chip, tool_failed, verify_failed
from tinyops.device.flash.process import Finished, Progress, find_program, run

_PERCENT = r"(\d{1,3})%"
#: Values of the option byte RDP: level 0, and level 2, which nothing undoes; all others are level 1.
_UNLOCKED, _FOR_EVER = 0xAA, 0xCC


class Stm32CubeProgrammer(Backend):
    name: ClassVar[FlashBackend] = "stm32cubeprogrammer"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("stlink",))
    facts = ("chip_id",)
    can_recover = True

    @classmethod
    def installed(cls) -> str:
        folders = [
            Path.home() / "STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin",
            Path("/opt/st/STM32CubeProgrammer/bin"),
            Path("C:/Program Files/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin"),
            Path("/Applications/STMicroelectronics/STM32Cube/STM32CubeProgrammer/STM32CubeProgrammer.app")
            / "Contents/MacOs/bin",
        ]
        names = ("STM32_Programmer_CLI", "STM32_Programmer_CLI.exe", "STM32_Programmer.sh")
        return find_program(names, "install STM32CubeProgrammer from st.com", folders)

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        self._identify(device, job.recover)
        if job.erase:
            self._run(device, ["-e", "all"], r"Mass erase successfully achieved")
        with hex_file(job.parts) as path:
            words = ["-w", str(path), *(["-v"] if job.verify else []), *(["-rst"] if job.reset else [])]
            sign = r"Download verified successfully" if job.verify else r"File download complete"
            self._run(device, words, sign, progress)
        return "by the tool" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            done = self._run(device, ["-u", f"{address:#x}", f"{size:#x}", str(path)], r"Data read successfully")
            if not path.is_file() or path.stat().st_size != size:
                raise tool_failed(self.where(device), done.lines[-2:])
            return path.read_bytes()

    def _identify(self, device: Attached, recover: bool) -> None:
        """Refuse a wrong chip, and a locked one or unlock it: before anything is written."""
        done = self._run(device, ["-ob", "displ"], r"Device ID\s*:")
        found = done.has(r"Device ID\s*:\s*0x([0-9a-f]+)")
        if found is None:
            raise no_chip(self.where(device), "it does not say which chip it is")
        self.check_chip(device, int(found[1], 16))
        level = done.has(r"^\s*RDP\s*:\s*0x([0-9a-f]+)")
        if level is None or int(level[1], 16) == _UNLOCKED:
            return
        if int(level[1], 16) == _FOR_EVER:
            raise locked(self.where(device), "nothing: readout protection of level 2 is for ever")
        if not recover:
            raise locked(self.where(device))
        self._run(device, ["-ob", f"RDP={_UNLOCKED:#x}"], r"Option bytes? successfully programmed")

    def _run(self, device: Attached, words: list[str], sign: str, progress: Progress | None = None) -> Finished:
        """Run one command; it went well when the status is 0, `sign` is there, and no line is an error.

        The last matters: after a failed write the program may well go on, compare, and report that as a success.
        """
        connect = ["-c", f"port={self.board.probe.wire.upper()}", f"sn={device.id}", "mode=UR", "reset=HWrst"]
        command = [self.installed(), *connect, *words]
        done = run(command, progress=progress, percent=_PERCENT, where=self.where(device))
        if done.code == 0 and done.has(sign) and not done.has(r"^\s*Error\s*:"):
            return done
        raise self._fault(device, done)

    def _fault(self, device: Attached, done: Finished) -> Exception:
        where = self.where(device)
        if done.has(r"readout protection|read ?out protect|read protected|RDP level|may be not erased or protected"):
            return locked(where)
        if done.has(r"ST-LINK error \(DEV_USB_COMM_ERR\)|USB communication error|DEV_CONNECT_ERR"):
            return lost(where, "USB")
        if done.has(r"No (ST-?LINK|debug probe) detected|ST-LINK .*not found|No STLINK detected"):
            return lost(where, "STM32CubeProgrammer does not find it")
        if done.has(r"already (in use|used)|DEV_USB_IN_USE|being used"):
            return busy(where, "the ST-LINK")
        if done.has(r"Mismatch|verif\w* failed|Data mismatch"):
            return verify_failed(where)
        if found := done.has(r"(No STM32 target found|Unable to get core ID|Unable to connect|DEV_TARGET_\w+)"):
            return no_chip(where, found[1])
        lines = [line for line in done.lines if re.match(r"\s*Error", line)]
        return tool_failed(where, lines[-2:] or done.lines[-2:])
