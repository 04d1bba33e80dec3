"""What every backend of `tinyops flash` can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from tinyops.device.board import Board, FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.content import Part, first_difference
from tinyops.device.flash.faults import unsupported, verify_failed, wrong_chip
from tinyops.device.flash.process import Progress

Verified = Literal["read back", "by the tool", "not at all"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with one board.

    With `erase` all of the flash is erased first, else the erase units that are written alone. With `recover` a
    locked chip is unlocked first, which erases it. With `reset` the board starts afterwards.
    """

    parts: tuple[Part, ...]
    verify: bool = True
    erase: bool = False
    reset: bool = True
    recover: bool = False

    @property
    def bytes(self) -> int:
        return sum(len(part.data) for part in self.parts)


class Backend(ABC):
    """One way to flash. Everything raises FlashError for what has a name, and nothing is half a success:
    `write` returns when all that the job asks for was done, and how it was verified."""

    name: ClassVar[FlashBackend]
    kinds: ClassVar[frozenset[ProbeKind]]
    #: The keys of [probe] that it needs.
    facts: ClassVar[tuple[str, ...]] = ()
    can_read: ClassVar[bool] = True
    can_verify: ClassVar[bool] = True
    can_recover: ClassVar[bool] = False

    def __init__(self, board: Board) -> None:
        self.board = board

    @classmethod
    @abstractmethod
    def installed(cls) -> str:
        """The path of its program, or its version; MissingToolError when it is not there."""

    def lacks(self) -> str | None:
        """What keeps it from serving this board, in a few words; None when it can. It is installed."""
        missing = [name for name in self.facts if getattr(self.board.probe, name) is None]
        return f"the board's file has no {missing[0]}" if missing else None

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        """Those of `devices` that it can flash this board with."""
        return [device for device in devices if device.kind in self.kinds]

    @abstractmethod
    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        """Do the job; `progress` gets what is done of it, from 0 to 1."""

    @abstractmethod
    def read(self, device: Attached, address: int, size: int) -> bytes:
        """`size` bytes of the board's memory from `address` on."""

    def refuse(self, job: Job) -> None:
        """FlashError, before anything is touched, for a job that the backend cannot do."""
        if job.recover and not self.can_recover:
            raise unsupported(self.name, "cannot unlock chips", hint="another --backend, or the vendor's own tool")

    def where(self, device: Attached) -> str:
        """The place that errors name."""
        return f"{self.name}, {device.title} ({device.id})"

    def check_chip(self, device: Attached, word: int) -> None:
        """Refuse the chip whose identification word is not that of the board."""
        chip = self.board.probe.chip_id
        if chip is not None and word & chip.mask != chip.value:
            expected = f"{self.board.name}'s {chip.value:#x}"
            raise wrong_chip(self.where(device), f"{word & chip.mask:#x}", expected)

    def compare(self, device: Attached, part: Part, found: bytes) -> None:
        """Refuse memory that does not hold the part."""
        address = first_difference(part, found)
        if address is not None:
            raise verify_failed(self.where(device), address)
