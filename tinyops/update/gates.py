"""The gates of a wave: when the next one may open, and when a campaign must stop. Pure arithmetic on counts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from tinyops.errors import UsageError


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits that every open wave must hold; shares are percentages.

    A wave passes when `reports` of its devices have reported a result, `soak` seconds have gone by since it
    opened, and of those that reported at least `success` run the update and at most `rollback` undid it. A
    device that was offered the update and was not heard of for `silent_after` seconds is silent: at most `silent` of
    those that were offered it may be. With `drift`, the mean health score (0 to 1000) of the devices that run the
    update may differ from their mean before it by at most so much, and as many as `reports` must have told both.
    """

    reports: float = 80.0
    success: float = 95.0
    silent: float = 10.0
    rollback: float = 5.0
    drift: float | None = None
    silent_after: float = 86400.0
    soak: float = 0.0

    def __post_init__(self) -> None:
        for name in ("reports", "success", "silent", "rollback"):
            if not 0 <= getattr(self, name) <= 100:
                raise UsageError(f"{name} is {getattr(self, name):g} %", allowed="0 to 100 %")
        if self.reports == 0:
            raise UsageError("a gate without reports would open every wave at once", allowed="--reports above 0 %")
        if self.drift is not None and not 0 <= self.drift <= 1000:
            raise UsageError(f"the drift is {self.drift:g}", allowed="0 to 1000")
        if not (0 < self.silent_after < math.inf and 0 <= self.soak < math.inf):
            raise UsageError("a time of the gates is out of range", allowed="silent_after above 0, soak from 0 seconds")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Gates:
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True, slots=True)
class Counts:
    """A wave's devices by what became of them; `silent` are among those `offered`, `scored` among `succeeded`.

    `score_before` and `score_after` are means over the `scored`. Devices that the wave cannot update any more
    (superseded, removed) are in none of the counts.
    """

    waiting: int = 0
    offered: int = 0
    silent: int = 0
    succeeded: int = 0
    reverted: int = 0
    failed: int = 0
    scored: int = 0
    score_before: float = 0.0
    score_after: float = 0.0

    @property
    def devices(self) -> int:
        return self.waiting + self.offered + self.reported

    @property
    def reported(self) -> int:
        return self.succeeded + self.reverted + self.failed

    @property
    def drift(self) -> float:
        return abs(self.score_after - self.score_before)


class Judgement(Enum):
    """What the gates say of a wave."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"


def judge(gates: Gates, counts: Counts, age: float, *, waived: bool = False) -> tuple[Judgement, str]:
    """What the gates say of a wave that opened `age` seconds ago, and why.

    A wave fails as soon as it can no longer pass, whatever the devices that have not reported yet will say.
    A waived wave does not fail, and passes when enough have reported.
    """
    failure = None if waived else _failure(gates, counts)
    if failure:
        return Judgement.FAIL, failure
    needed = math.ceil(counts.devices * gates.reports / 100)
    if counts.reported < needed:
        return Judgement.WAIT, f"{counts.reported} of {needed} reports are in"
    if age < gates.soak:
        return Judgement.WAIT, f"soaks for {gates.soak - age:.0f} s more"
    if gates.drift is not None and not waived and counts.scored < min(needed, counts.succeeded):
        return Judgement.WAIT, f"{counts.scored} of {min(needed, counts.succeeded)} health scores are in"
    return Judgement.PASS, f"{counts.succeeded} of {counts.reported} are good"


def _failure(gates: Gates, counts: Counts) -> str | None:
    """The gate that a wave can no longer hold, in words, or None."""
    needed = math.ceil(counts.devices * gates.reports / 100)
    # once enough have reported the shares are of the reports; before that, of all devices: the best that is left
    of = counts.reported if counts.reported >= needed else counts.devices
    if of:
        lost = counts.reverted + counts.failed
        if (of - lost) * 100 < gates.success * of:
            return f"success is {_share(of - lost, of)}, the gate asks for {gates.success:g} %"
        if counts.reverted * 100 > gates.rollback * of:
            return f"{_share(counts.reverted, of)} rolled back, the gate allows {gates.rollback:g} %"
    asked = counts.offered + counts.reported
    if asked and counts.silent * 100 > gates.silent * asked:
        return f"{_share(counts.silent, asked)} went silent, the gate allows {gates.silent:g} %"
    told = counts.scored and counts.scored >= min(needed, counts.succeeded)
    if gates.drift is not None and told and counts.drift > gates.drift:
        return (
            f"the health score moved from {counts.score_before:.0f} to {counts.score_after:.0f} "
            f"({counts.scored} devices), the gate allows {gates.drift:g}"
        )
    return None


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} % ({part} of {of})".replace(".0 %", " %")
