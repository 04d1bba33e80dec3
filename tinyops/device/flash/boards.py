"""`tinyops flash` for real boards: the firmware of a build through one device or all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.device.board import Board
from tinyops.device.flash.attached import Attached, find_attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.bank import write_model
from tinyops.device.flash.choose import Choice, choose
from tinyops.device.flash.content import build_parts
from tinyops.device.flash.faults import unsupported
from tinyops.device.flash.process import Progress
from tinyops.errors import TinyopsError, UsageError

#: Gets the device's title, and returns what takes the progress of it.
Follow = Callable[[Choice], Progress]


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """How to flash. `verify` None: where the backend can. `model` is a capsule that goes into a bank by itself."""

    backend: str | None = None
    probe: str | None = None
    every: bool = False
    verify: bool | None = None
    erase: bool = False
    reset: bool = True
    recover: bool = False
    model: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one device. With an `error` nothing is to be relied on."""

    board: str
    backend: str
    device: Attached
    bytes: int = 0
    verified: Verified = "not at all"
    seconds: float = 0.0
    bank: int | None = None
    error: TinyopsError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "board": self.board,
            "backend": self.backend,
            "probe": self.device.id,
            "title": self.device.title,
            "bytes": self.bytes,
            "verified": self.verified != "not at all",
            "verified_how": self.verified,
            "seconds": round(self.seconds, 3),
            **({} if self.bank is None else {"bank": self.bank}),
            **({} if self.error is None else {"failed": self.error.as_dict()}),
        }


def flash_board(
    folder: Path,
    report: dict[str, Any],
    board: Board,
    options: FlashOptions,
    *,
    follow: Follow = lambda _: lambda _: None,
    devices: Sequence[Attached] | None = None,
) -> list[Outcome]:
    """Flash the build in `folder` with that report to `board`, through one device, or all with `options.every`.

    What fails before anything is touched is raised: FlashError, MissingToolError or UsageError. What fails on a
    device is raised, too, when it is the only one; of several each has its outcome, and `error` where it failed.
    """
    if options.model is not None and (options.erase or options.recover):
        raise UsageError(
            "--model-bank writes a model and keeps everything else", allowed="neither --erase nor --recover"
        )
    if not board.probe.backends:
        system = report.get("os")
        by_riot = isinstance(system, dict) and system.get("name") == "riot"
        raise UsageError(
            "no backend is known to flash it",
            where=f"board {board.name}",
            allowed="a board whose file has backends in its table [probe]",
            hint=f"make -C {folder} flash-only, by RIOT's own programmer"
            if by_riot
            else "tinyops boards show nrf52840dk --toml",
        )
    parts = build_parts(folder, report, board) if options.model is None else []
    found = find_attached() if devices is None else devices
    choices = choose(board, found, backend=options.backend, probe=options.probe, every=options.every)
    jobs = [(choice, _job(choice.backend, options, parts)) for choice in choices]
    outcomes = []
    for choice, job in jobs:
        try:
            outcomes.append(_flash(choice, job, report, options, follow(choice)))
        except TinyopsError as error:
            if len(jobs) == 1:
                raise
            outcomes.append(Outcome(board.name, choice.backend.name, choice.device, error=error))
    return outcomes


def _job(backend: Backend, options: FlashOptions, parts: Sequence[Any]) -> Job:
    if options.verify and not backend.can_verify:
        raise unsupported(backend.name, "cannot verify: the board cannot be read back", "another --backend")
    if options.model is not None and not backend.can_read:
        raise unsupported(
            backend.name,
            "cannot write a model by itself: that needs the journal, which it cannot read",
            "another --backend",
        )
    verify = backend.can_verify if options.verify is None else options.verify
    job = Job(tuple(parts), verify, options.erase, options.reset, options.recover)
    backend.refuse(job)
    return job


def _flash(choice: Choice, job: Job, report: dict[str, Any], options: FlashOptions, progress: Progress) -> Outcome:
    started, bank = time.monotonic(), None
    if options.model is None:
        size, verified = job.bytes, choice.backend.write(choice.device, job, progress)
    else:
        size, bank = write_model(choice.backend, choice.device, report, options.model, options.reset, progress)
        verified = "read back"
    return Outcome(
        choice.backend.board.name,
        choice.backend.name,
        choice.device,
        size,
        verified,
        time.monotonic() - started,
        bank,
    )
