"""OpenOCD, from 0.12 on: most probes, most chips."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import hex_file
from tinyops.device.flash.faults import (
    busy,
    locked,
    lost,
    no_chip,
    no_permission,
    tool_failed,
    unsupported,
    verify_failed,
)
from tinyops.device.flash.process import Finished, Progress, find_program, run

_INTERFACES = {"cmsis-dap": "interface/cmsis-dap.cfg", "stlink": "interface/stlink.cfg", "jlink": "interface/jlink.cfg"}
_CHIP = "tinyops: chip "
_ERASED, _WRITTEN, _VERIFIED, _READ = (f"tinyops: {done}" for done in ("erased", "written", "verified", "read"))
#: What is done when OpenOCD has said so.
_STEPS = {_CHIP: 0.1, _ERASED: 0.3, _WRITTEN: 0.8, _VERIFIED: 1.0}


class Openocd(Backend):
    name: ClassVar[FlashBackend] = "openocd"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("cmsis-dap", "stlink", "jlink"))
    facts = ("openocd_config",)
    can_recover = True

    @classmethod
    def installed(cls) -> str:
        return find_program(("openocd",), "apt-get install openocd")

    def refuse(self, job: Job) -> None:
        super().refuse(job)
        if job.recover and self.board.probe.openocd_unlock is None:
            raise unsupported(self.name, f"does not know how {self.board.name} is unlocked", "another --backend")

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        with hex_file(job.parts) as path:
            quoted = _quoted(path)
            commands = ["flash erase_sector 0 0 last", f'echo "{_ERASED}"'] if job.erase else []
            commands += [f"flash write_image erase {quoted}", f'echo "{_WRITTEN}"']
            if job.verify:
                commands += [f"verify_image {quoted}", f'echo "{_VERIFIED}"']
            if job.reset:
                commands.append("reset run")
            done = self._run(device, commands, progress, recover=job.recover)
        self._require(device, done, _VERIFIED if job.verify else _WRITTEN)
        return "read back" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with TemporaryDirectory(prefix="tinyops-") as folder:
            path = Path(folder) / "memory.bin"
            done = self._run(device, [f"dump_image {_quoted(path)} {address:#x} {size}", f'echo "{_READ}"'])
            self._require(device, done, _READ)
            return path.read_bytes()

    def command(self, device: Attached, commands: list[str], recover: bool = False) -> list[str]:
        """The command line that runs the commands with a halted chip that is the right one."""
        probe = self.board.probe
        config = probe.openocd_config or ""
        line = [self.installed(), "-c", "gdb_port disabled; tcl_port disabled; telnet_port disabled"]
        if device.usb is not None:
            line += ["-c", f"adapter serial {device.id}"]
        if config.startswith("target/"):
            line += ["-f", _INTERFACES[device.kind]]
            line += ["-c", f"transport select {probe.wire}"] if device.kind == "jlink" else []
        line += ["-f", config]
        steps = ["init"]
        if recover and probe.openocd_unlock:
            look = "; ".join(self._identify())  # a chip that cannot be read because it is locked may be any
            steps += [f"catch {{ halt; {look} }}" if look else "", probe.openocd_unlock]
        steps += ["reset halt", *self._identify(), *commands, "shutdown"]
        return [*line, *(word for step in steps if step for word in ("-c", step))]

    def _identify(self) -> list[str]:
        """Say which chip it is, and stop at a wrong one."""
        chip = self.board.probe.chip_id
        if chip is None:
            return []
        return [
            f"set word [lindex [read_memory {chip.address:#x} 32 1] 0]",
            f'echo "{_CHIP}[format 0x%x $word]"',
            f"if {{($word & {chip.mask:#x}) != {chip.value:#x}}} {{ exit 1 }}",
        ]

    def _run(
        self, device: Attached, commands: list[str], progress: Progress | None = None, recover: bool = False
    ) -> Finished:
        reached = 0.0

        def follow(line: str) -> None:
            nonlocal reached
            reached = max([reached, *(done for text, done in _STEPS.items() if line.startswith(text))])
            if progress:
                progress(reached)

        return run(self.command(device, commands, recover), on_line=follow, where=self.where(device))

    def _require(self, device: Attached, done: Finished, sign: str) -> None:
        """Refuse what did not end well: exit status 0, and every step said that it was done."""
        where = self.where(device)
        if found := done.has(rf"^{_CHIP}(0x[0-9a-f]+)"):
            self.check_chip(device, int(found[1], 16))
        if done.code == 0 and sign in done.lines:
            return
        raise _fault(device, where, done)


def _fault(device: Attached, where: str, done: Finished) -> Exception:
    if done.has(r"LIBUSB_ERROR_ACCESS|insufficient permissions|permission denied"):
        return no_permission(device)
    if done.has(r"AP lock engaged|device protected|Device Security Bit Set|readout protection|locked"):
        return locked(where)
    if done.has(r"LIBUSB_ERROR_BUSY|resource busy"):
        return busy(where, "its USB interface is taken")
    if done.has(r"verify failed|checksum mismatch|contents differ|diff \d+ address"):
        return verify_failed(where)
    if done.has(r"LIBUSB_ERROR_NO_DEVICE|LIBUSB_ERROR_IO|LIBUSB_ERROR_PIPE|device disconnected"):
        return lost(where, "USB")
    if done.has(r"unable to find a matching|No J-Link device found|^Error: open failed|no device found"):
        return lost(where, "OpenOCD does not find it")
    if found := done.has(r"Can't find (\S+\.cfg)"):
        return unsupported("openocd", f"this version has no {found[1]}", "a newer OpenOCD, or another --backend")
    if done.has(r"invalid (sub)?command name|invalid command"):
        return unsupported("openocd", "is too old: 0.12 or newer is needed", "apt-get install openocd")
    if found := done.has(
        r"(Error connecting DP|init mode failed|Could not initialize the debug port|examination failed|"
        r"unable to connect to the target|cannot read IDR|all ones|Target not examined|DAP transaction|target voltage)"
    ):
        return no_chip(where, _line(done, found[1]))
    return tool_failed(where, [line for line in done.lines if re.match("Error", line)][-2:] or done.lines[-2:])


def _line(done: Finished, text: str) -> str:
    return next(line for line in done.lines if text.lower() in line.lower()).removeprefix("Error: ")


def _quoted(path: Path) -> str:
    """A file's name as one word of Tcl."""
    return "{" + path.as_posix() + "}"
