"""A model by itself into one of the two banks of updatable firmware, through a probe.

The device is told by its journal, as an update does: at its next start it tries the model, and takes it back when
the self-test or the inferences of the trial fail. Sequence numbers and revoked keys stay as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tinyops.device.board import Board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import verify_failed
from tinyops.device.flash.journal import BANKS, FACTORY, Image, Journal, Record, State
from tinyops.device.flash.process import Progress
from tinyops.emit.capsule import Capsule, read_capsule
from tinyops.errors import UsageError

_UPDATABLE = "tinyops build MODEL --updatable, then tinyops flash once without --model-bank"


@dataclass(frozen=True, slots=True)
class Region:
    """Where journal and banks of a build are in the board's memory; all in bytes."""

    address: int
    erase_bytes: int
    write_bytes: int
    page_bytes: int
    bank_bytes: int
    erased: int = 0xFF  # the value of erased bytes

    @classmethod
    def of(cls, report: dict[str, Any], board: Board) -> Region:
        """That of a build's report; its address is given there, or it is the end of the flash.

        Raises UsageError for firmware that takes no updates, or keeps them where a probe does not see them.
        """
        update = report.get("update")
        if not isinstance(update, dict):
            raise UsageError("the firmware takes no other models", where="--model-bank", hint=_UPDATABLE)
        try:
            stored = update["region"]
            names = ("bytes", "erase_bytes", "write_bytes", "journal_page_bytes", "bank_bytes")
            size, erase, write, page, bank = (int(stored[name]) for name in names)
            end = board.flash.origin + board.flash.bytes if board.flash else 0
            address, erased = stored.get("address", end - size), int(stored.get("erased", 0xFF))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError('"update" is unsound', where="report.json", hint=_UPDATABLE) from error
        if address is None:
            raise UsageError(
                "its models are not in memory that a probe writes",
                where=f"board {board.name}",
                hint="tinyops update push, over the network",
            )
        sound = 0 <= address < 1 << 32 and write > 0 and erase > 0 and page % erase == 0 and bank % erase == 0
        if (
            not sound
            or address % erase
            or page <= 0
            or bank <= 0
            or size != 2 * (page + bank)
            or erased not in (0x00, 0xFF)
        ):
            raise UsageError('"update.region" is unsound', where="report.json", hint=_UPDATABLE)
        return cls(address, erase, write, page, bank, erased)

    def bank(self, number: int) -> int:
        """The address of a bank."""
        return self.address + 2 * self.page_bytes + number * self.bank_bytes


def check_capsule(encoded: bytes, report: dict[str, Any], region: Region) -> Capsule:
    """The capsule, when it runs in the build's firmware and fits a bank; else UsageError says what differs."""
    capsule = read_capsule(encoded)
    update = report["update"]
    for what, found, expected in (
        ("has another structure", capsule.plan.hex(), update.get("plan")),
        ("was made for kernels of another version", capsule.kernel_abi.hex(), update.get("kernel_abi")),
    ):
        if found != expected:
            raise UsageError(
                f"the model {what} than the firmware",
                where=f"capsule {capsule.name}",
                allowed=f"{str(expected)[:16]}..., not {found[:16]}...",
                hint="tinyops build MODEL --updatable, then tinyops flash",
            )
    if len(encoded) > region.bank_bytes:
        raise UsageError(
            f"a capsule of {len(encoded):,} B",
            where=f"capsule {capsule.name}",
            allowed=f"{region.bank_bytes:,} B, the size of a bank",
            hint="a larger --bank-bytes in the next firmware",
        )
    return capsule


def write_model(
    backend: Backend, device: Attached, report: dict[str, Any], encoded: bytes, reset: bool, progress: Progress
) -> tuple[int, int]:
    """Write a capsule into the bank that is not in use, and into the journal that it is to be tried.

    Returns the bytes of the capsule and the number of the bank. Everything that is written is compared, and a power
    cut on the way leaves the device with the model that it has.
    """
    region = Region.of(report, backend.board)
    check_capsule(encoded, report, region)
    pages = backend.read(device, region.address, 2 * region.page_bytes)
    journal = Journal.scan(pages, region.page_bytes, region.write_bytes, region.erased)
    running = _running(backend, device, region, journal.newest)
    bank = 1 if running == 0 else 0
    page, content = journal.append(_pending(journal.newest, running, bank, encoded))
    whole = -(-len(encoded) // region.write_bytes) * region.write_bytes
    parts = (
        Part(region.bank(bank), encoded.ljust(whole, bytes((region.erased,)))),
        Part(region.address + page * region.page_bytes, content),
    )
    ordered = tuple(sorted(parts, key=lambda part: part.address))
    job = Job(ordered, verify=True, reset=reset)
    backend.refuse(job)
    if backend.write(device, job, progress) == "not at all":
        raise verify_failed(backend.where(device))
    return len(encoded), bank


def _pending(old: Record, running: int, bank: int, encoded: bytes) -> Record:
    """The record of an update that is complete and to be tried, as `to_banks_pending` writes it."""
    image = Image(len(encoded), old.sequences[0], hashlib.sha256(encoded).digest())
    images = tuple(image if i == bank else old.images[i] if i == running else Image() for i in range(BANKS))
    return Record(state=State.PENDING, bank=bank, confirmed=running, attempt=old.sequences[0], images=images)


def _running(backend: Backend, device: Attached, region: Region, record: Record) -> int:
    """The bank that the device runs after a start, as `to_banks_running` finds it."""
    if record.confirmed == FACTORY:
        return FACTORY
    other = record.confirmed ^ 1
    if _is_whole(backend, device, region, record, record.confirmed):
        return record.confirmed
    waiting = record.state in (State.PENDING, State.TRY) and record.bank == other
    return other if not waiting and _is_whole(backend, device, region, record, other) else FACTORY


def _is_whole(backend: Backend, device: Attached, region: Region, record: Record, bank: int) -> bool:
    image = record.images[bank]
    if not 0 < image.nbytes <= region.bank_bytes:
        return False
    return hashlib.sha256(backend.read(device, region.bank(bank), image.nbytes)).digest() == image.digest
