"""Drives of UF2 bootloaders: the firmware is copied as a file in Microsoft's USB Flashing Format."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import INFO_UF2, Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import Fault, FlashError, lost, no_permission, timed_out, unsupported, wrong_chip
from tinyops.device.flash.process import Progress

#: Of the format: words at the start and the end of a block, the flag for a family ID, bytes of a block's payload.
_START, _SECOND, _END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_HAS_FAMILY = 0x2000
_PAYLOAD = 256
_HEADER = struct.Struct("<8I")
_BLOCK = 512
_ERASED = b"\xff"
_PIECE = 64 * _BLOCK
#: A bootloader takes what it got and restarts within this time.
RESTART_SECONDS = 30.0


class Uf2(Backend):
    name: ClassVar[FlashBackend] = "uf2"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("uf2",))
    facts = ("uf2_family",)
    can_read = False
    can_verify = False

    @classmethod
    def installed(cls) -> str:
        return "no program is needed"

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        """Drives of this board; if there is none, all others, to be refused."""
        found = super().usable(devices)
        return [device for device in found if self._is_own(device)] or found

    def refuse(self, job: Job) -> None:
        super().refuse(job)
        if job.erase:
            raise unsupported(self.name, "cannot erase: the bootloader does as it likes", "another --backend")
        if not job.reset:
            raise unsupported(self.name, "always starts what it wrote", "--reset, or another --backend")

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        if not self._is_own(device):
            found = device.notes.get("Board-ID") or device.title
            raise wrong_chip(self.where(device), found, self.board.probe.uf2_board or self.board.name)
        content = uf2_file(job.parts, self.board.probe.uf2_family or 0)
        drive = Path(device.id)
        last, at = len(content) - _BLOCK, -1
        try:
            with (drive / "firmware.uf2").open("wb", buffering=0) as file:
                for at, end in pairwise([*range(0, last, _PIECE), last, len(content)]):
                    file.write(content[at:end])
                    os.fsync(file.fileno())
                    progress(end / len(content))
        except OSError as error:
            if not (error.errno in (errno.EIO, errno.ENODEV, errno.ENOENT) and _is_gone(drive)):
                raise self._fault(device, error) from error
            if at != last:  # the drive may vanish with the last block, not before
                raise lost(self.where(device), "the drive is gone") from error
        _wait_until_gone(self.where(device), drive)
        return "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        raise unsupported(self.name, "cannot read memory", "another --backend")

    def _is_own(self, device: Attached) -> bool:
        wanted = self.board.probe.uf2_board
        return wanted is None or device.notes.get("Board-ID", "").lower().startswith(wanted.lower())

    def _fault(self, device: Attached, error: OSError) -> Exception:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return no_permission(device)
        if error.errno in (errno.EIO, errno.ENODEV, errno.ENOENT):
            return lost(self.where(device), "the drive is gone")
        return FlashError(
            Fault.TOOL, f"cannot write: {error.strerror}", where=self.where(device), hint="plug it in again"
        )


def uf2_file(parts: Sequence[Part], family: int) -> bytes:
    """The UF2 file of the parts: blocks of 256 bytes at multiples of 256, what lies between as erased."""
    pages: dict[int, bytearray] = {}
    for part in parts:
        for at in range(part.address // _PAYLOAD * _PAYLOAD, part.end, _PAYLOAD):
            page = pages.setdefault(at, bytearray(_ERASED * _PAYLOAD))
            first, last = max(at, part.address), min(at + _PAYLOAD, part.end)
            page[first - at : last - at] = part.data[first - part.address : last - part.address]
    blocks = []
    for number, (address, page) in enumerate(sorted(pages.items())):
        header = _HEADER.pack(_START, _SECOND, _HAS_FAMILY, address, _PAYLOAD, number, len(pages), family)
        block = (header + page).ljust(_BLOCK - 4, b"\0") + struct.pack("<I", _END)
        blocks.append(block)
    return b"".join(blocks)


def _is_gone(drive: Path) -> bool:
    try:
        return not (drive / INFO_UF2).is_file()
    except OSError:
        return True


def _wait_until_gone(where: str, drive: Path) -> None:
    """The bootloader restarts, and its drive goes, when it has every block; not before."""
    end = time.monotonic() + RESTART_SECONDS
    while not _is_gone(drive):
        if time.monotonic() > end:
            raise timed_out(where, RESTART_SECONDS)
        time.sleep(0.1)
