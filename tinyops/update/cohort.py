"""Cohorts: which devices a campaign is for, in which order, and in which waves."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from tinyops.errors import UsageError
from tinyops.update.registry import check_class, check_name, check_tag
from tinyops.update.tables import Assignment, Bundle, Campaign, Device, Refusal

_CONDITION = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*")
_NUMBERS: dict[str, Callable[[Device], int | None]] = {
    "sequence": lambda device: device.sequence,
    "score": lambda device: device.score,
    "inferences": lambda device: device.inferences,
    "reason": lambda device: device.reason,
}
_TEXTS: dict[str, Callable[[Device], str]] = {
    "id": lambda device: device.id,
    "class": lambda device: str(device.class_id or ""),
    "board": lambda device: device.board or "",
    "firmware": lambda device: device.firmware or "",
    "state": lambda device: device.state,
    "digest": lambda device: device.digest.hex() if device.digest else "",
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Cohort:
    """Devices that have all of `tags`, are of `class_id` (default: the bundle's), and hold all conditions `where`.

    A condition is FIELD OP VALUE: numbers (sequence, score, inferences, reason) with = != < <= > >=, texts (id,
    class, board, firmware, state, digest) with = != and ~, a pattern with * and ?. `devices` names devices one by one.
    """

    tags: tuple[str, ...] = ()
    class_id: str | None = None
    where: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for tag in self.tags:
            check_tag(tag)
        for name in self.devices:
            check_name(name)
        if self.class_id is not None:
            check_class(self.class_id)
        for text in self.where:
            condition(text)

    def as_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cohort:
        return cls(tuple(values["tags"]), values["class_id"], tuple(values["where"]), tuple(values["devices"]))


def condition(text: str) -> Callable[[Device], bool]:
    """The test that a condition stands for; UsageError when it cannot be read."""
    found = _CONDITION.fullmatch(text)
    if found is None or (found[1] not in _NUMBERS and found[1] not in _TEXTS):
        raise UsageError(
            f"the condition {text[:60]!r} cannot be read",
            allowed=f"FIELD OP VALUE with a field of {', '.join((*_NUMBERS, *_TEXTS))}",
        )
    field, sign, value = found.groups()
    if field in _NUMBERS:
        if sign == "~" or not re.fullmatch(r"\d{1,10}", value):
            raise UsageError(f"the condition {text[:60]!r} compares {field} with no number", allowed=f"{field} < 5")
        number, limit, compare = _NUMBERS[field], int(value), _COMPARE[sign]
        return lambda device: (known := number(device)) is not None and compare(known, limit)
    if sign not in ("=", "!=", "~"):
        raise UsageError(f"the condition {text[:60]!r} compares a text with {sign}", allowed="= != ~")
    string = _TEXTS[field]
    if sign == "~":
        return lambda device: fnmatch.fnmatchcase(string(device), value)
    return lambda device: _COMPARE[sign](string(device), value)


def members(session: Session, cohort: Cohort, bundle: Bundle) -> list[Device]:
    """The devices of a cohort that can take the bundle: of its class or of none yet, older, and not refused by them."""
    wanted = check_class(cohort.class_id) if cohort.class_id else bundle.class_id
    refused = set(session.scalars(select(Refusal.device_id).where(Refusal.sequence == bundle.sequence)))
    done = set() if bundle.component == "model" else _updated(session, bundle)
    return [
        device
        for device in matching(session, cohort)
        if device.id not in refused
        and device.id not in done
        and (wanted is None or device.class_id in (wanted, None))
        and (bundle.component != "model" or device.sequence < bundle.sequence)
    ]


def _updated(session: Session, bundle: Bundle) -> set[str]:
    """Devices with this or a newer update of a component whose sequence number they do not report."""
    query = (
        select(Assignment.device_id)
        .join(Campaign, Campaign.name == Assignment.campaign_name)
        .join(Bundle, Bundle.id == Campaign.bundle_id)
        .where(Assignment.status == "succeeded")
        .where(Bundle.component == bundle.component, Bundle.sequence >= bundle.sequence)
    )
    return set(session.scalars(query))


def matching(session: Session, cohort: Cohort) -> list[Device]:
    """The devices with the tags and conditions of a cohort, by name."""
    query = select(Device).options(selectinload(Device.tags)).order_by(Device.id)
    if cohort.devices:
        names = {check_name(name) for name in cohort.devices}
        unknown = names - set(session.scalars(select(Device.id).where(Device.id.in_(names))))
        if unknown:
            raise UsageError("there is no such device", where=min(unknown), hint="tinyops device list")
        query = query.where(Device.id.in_(names))
    if cohort.class_id is not None:
        query = query.where((Device.class_id == check_class(cohort.class_id)) | Device.class_id.is_(None))
    tests = [condition(text) for text in cohort.where]
    tags = set(cohort.tags)
    return [
        device
        for device in session.scalars(query)
        if tags <= set(device.tag_names) and all(test(device) for test in tests)
    ]


def rank(campaign: str, devices: Sequence[Device], first_tag: str | None = None) -> list[Device]:
    """The order in which devices are updated: those with `first_tag` before the others, then by a hash.

    The hash is SHA-256 of the campaign's name, a zero byte and the device's name: the same on every server, not
    the same devices first in every campaign, and nothing that a device can choose for itself.
    """

    def key(device: Device) -> tuple[bool, bytes]:
        chosen = first_tag is not None and first_tag in device.tag_names
        return not chosen, hashlib.sha256(f"{campaign}\0{device.id}".encode()).digest()

    return sorted(devices, key=key)


def wave_targets(devices: int, canary: int, percents: Sequence[float]) -> list[tuple[str, int]]:
    """(label, devices up to and with this wave) of each wave; waves without a device of their own are left out."""
    steps = [("canary", min(canary, devices))] if canary else []
    steps += [(f"{percent:g} %", math.ceil(devices * percent / 100)) for percent in percents]
    waves: list[tuple[str, int]] = []
    for label, target in steps:
        if target > (waves[-1][1] if waves else 0):
            waves.append((label, target))
    return waves


def check_waves(canary: int, percents: Sequence[float]) -> None:
    """UsageError when the waves do not grow."""
    if canary < 0:
        raise UsageError(f"{canary} canary devices", allowed="0 or more")
    if not percents or any(not 0 < percent <= 100 for percent in percents):
        raise UsageError("the waves are no percentages", allowed="such as 5,25,50,100")
    if any(a >= b for a, b in itertools.pairwise(percents)):
        raise UsageError("the waves do not grow", allowed="such as 5,25,50,100")
