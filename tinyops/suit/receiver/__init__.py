"""A receiver of draft-ietf-suit-manifest-37 with the semantics and the reasons of the device's (firmware/common).

    outcome = receive(envelope, Device(places=[Place(MODEL, vendor.bytes, class_id.bytes, 60_000)], keys=[key]))
    outcome.reason is Reason.OK

It authenticates, validates everything, and only then acts: on a model of the device, which it does not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason
from tinyops.suit.receiver.authenticate import Authentic, authenticate
from tinyops.suit.receiver.device import Device, Place
from tinyops.suit.receiver.execute import Executor, Point
from tinyops.suit.receiver.validate import Program, validate

__all__ = ["Authentic", "Device", "Outcome", "Place", "Point", "Program", "check", "receive"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an envelope: the reason and words about it, where in the manifest it ended, what the device did
    (actions as firmware/tools/suit_check.c writes them), and the new contents by place.

    `sequence`, the counters that take it, and `signer` (an index of the device's keys) are there when the envelope
    was authentic and valid.
    """

    reason: Reason
    detail: str = ""
    point: Point = field(default_factory=Point)
    trace: tuple[str, ...] = ()
    stored: Mapping[int, bytes | None] = field(default_factory=dict)
    sequence: int | None = None
    counters: frozenset[int] = frozenset()
    signer: int | None = None


def check(envelope: bytes, device: Device) -> tuple[Authentic, Program]:
    """The authentic, valid parts of an envelope; nothing is done. Raises `SuitError`."""
    authentic = authenticate(envelope, device.keys, device.max_envelope)
    return authentic, validate(authentic, device)


def receive(envelope: bytes, device: Device, *, boot: bool = False) -> Outcome:
    """Carry out the update (payload-fetch, install, validate), or with `boot` the start (validate, load, invoke)."""
    try:
        authentic, program = check(envelope, device)
    except SuitError as error:
        return Outcome(error.reason, error.detail or "")
    executor = Executor(device, authentic, program)
    reason, detail = Reason.OK, ""
    try:
        if boot:
            executor.boot()
        else:
            executor.update()
    except SuitError as error:
        reason, detail = error.reason, error.detail or ""
    return Outcome(
        reason,
        detail,
        executor.point,
        tuple(executor.trace),
        executor.stored if reason is Reason.OK else {},
        program.sequence,
        frozenset(program.counters),
        authentic.signer,
    )
