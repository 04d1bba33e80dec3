"""A check-in within one transaction: what it says of the device's updates, and what the device is offered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tinyops.suit.reasons import Reason
from tinyops.update.campaign import ENDED, OFFERING, OPEN
from tinyops.update.checkin import Answer, Checkin, State
from tinyops.update.database import FleetError
from tinyops.update.registry import MAX_UNASKED, device_name, keep_reports
from tinyops.update.tables import Assignment, Bundle, Campaign, Device, Refusal, Report

#: Failures of the way, not of the update: it is offered again, so many times.
TRANSIENT = frozenset(
    {
        Reason.TRUNCATED,
        Reason.NO_CLOCK,
        Reason.PAYLOAD_MISSING,
        Reason.CANCELLED,
        Reason.BUSY,
        Reason.RATE_LIMITED,
        Reason.ETAG_CHANGED,
        Reason.TIMEOUT,
    }
)
TRIES = 3
#: The model was installed and did not stay.
_UNDONE = frozenset({Reason.SELF_TEST, Reason.SELF_TEST_HANG, Reason.HEALTH})
_ON_TRIAL = (State.PENDING, State.TRIAL)
_REPORTS_KEPT = 20
#: Seconds until a device that is in the middle of an update should check in again, at most.
_BUSY_SECONDS = 60


class UnknownDeviceError(FleetError):
    """A device that nobody added checks in."""


class NotAuthenticError(FleetError):
    """A check-in in the name of a device that must authenticate, from somebody who did not."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a check-in came from: the address, and the device that a security context vouches for."""

    address: str
    authenticated: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How the server treats check-ins: seconds between two of a device, and whether unknown devices are added."""

    interval: int = 3600
    accept_new: bool = False


def check_in(session: Session, checkin: Checkin, sender: Sender, policy: Policy, now: float) -> Answer:
    """Keep what the device says, settle its parts in campaigns, and offer it what it should run.

    Raises UnknownDeviceError and NotAuthenticError.
    """
    device = _device(session, checkin, sender, policy, now)
    _keep(session, device, checkin, sender, now)
    refused = _refusals(session, device, checkin, now)
    parts = list(
        session.execute(
            select(Assignment, Campaign)
            .join(Campaign, Campaign.name == Assignment.campaign_name)
            .where(Assignment.device_id == device.id, Campaign.state.not_in(ENDED))
            .where(Assignment.status.in_((*OPEN, "succeeded")))
            .order_by(Campaign.name)
            .with_for_update(read=True, of=Campaign)
        )
    )
    for part, campaign in parts:
        _settle(part, campaign.bundle, checkin, device, now)
    chosen = _choose(parts, checkin, refused, now)
    for part, campaign in parts:
        if chosen is not None and part.status in OPEN and campaign.bundle.sequence < chosen[1].bundle.sequence:
            _end(part, "superseded", now)
    if chosen is None:
        busy = checkin.state in (State.DOWNLOADING, *_ON_TRIAL)
        return Answer(seconds=_seconds(device.id, policy.interval, busy), time=int(now))
    part, campaign = chosen
    if part.status == "waiting":
        part.status, part.offered = "offered", now
        part.score_before = checkin.health.score if checkin.health else None
    return Answer(campaign.bundle.path, _seconds(device.id, policy.interval, True), int(now))


def _device(session: Session, checkin: Checkin, sender: Sender, policy: Policy, now: float) -> Device:
    """The device's row, locked."""
    name = device_name(checkin.device)
    device = session.get(Device, name, with_for_update={"of": Device})
    if device is None:
        if not policy.accept_new:
            raise UnknownDeviceError("is unknown here", where=name, hint=f"tinyops device add {name}")
        if (session.scalar(select(func.count()).select_from(Device)) or 0) >= MAX_UNASKED:
            raise UnknownDeviceError("is unknown here, and there are too many devices to add it unasked", where=name)
        device = Device(id=name, class_id=checkin.class_id, added=now, protected=False, tags=[])
    if sender.authenticated not in (None, name):
        raise NotAuthenticError("is not the device whose security context this is", where=name)
    if device.protected and sender.authenticated != name:
        raise NotAuthenticError("must use its security context", where=name)
    device.protected = sender.authenticated == name
    session.add(device)
    return device


def _keep(session: Session, device: Device, checkin: Checkin, sender: Sender, now: float) -> None:
    """What the device says now, and a report if that is news."""
    before = (device.sequence, device.state, device.attempt, device.reason, device.digest)
    device.class_id, device.firmware, device.address = checkin.class_id, checkin.firmware, sender.address[:80]
    device.sequence, device.state, device.digest = checkin.sequence, checkin.state.value, checkin.digest
    device.attempt, device.reason, device.last_seen = checkin.attempt, checkin.reason, now
    if checkin.health is not None:
        device.inferences, device.score = checkin.health.inferences, checkin.health.score
    session.flush()
    if before == (device.sequence, device.state, device.attempt, device.reason, device.digest):
        return
    session.add(
        Report(
            device_id=device.id,
            time=now,
            sequence=checkin.sequence,
            state=checkin.state.value,
            attempt=checkin.attempt,
            reason=checkin.reason,
            digest=checkin.digest,
            data=checkin.report,
        )
    )
    session.flush()
    keep_reports(session, device.id, _REPORTS_KEPT)


def refusal(checkin: Checkin) -> str | None:
    """What the device's last attempt ended as, if it is not to be made again: "reverted", "failed" or None."""
    if not checkin.attempt or checkin.state in _ON_TRIAL:
        return None
    if checkin.reason in _UNDONE:
        return "reverted"
    return "failed" if checkin.reason != Reason.OK and checkin.reason not in TRANSIENT else None


def _refusals(session: Session, device: Device, checkin: Checkin, now: float) -> set[int]:
    """All sequence numbers that the device must not be offered again."""
    refused = set(session.scalars(select(Refusal.sequence).where(Refusal.device_id == device.id)))
    if refusal(checkin) and checkin.attempt not in refused:
        session.add(Refusal(device_id=device.id, sequence=checkin.attempt, reason=checkin.reason, time=now))
        refused.add(checkin.attempt)
    return refused


def _settle(part: Assignment, bundle: Bundle, checkin: Checkin, device: Device, now: float) -> None:
    """What the check-in says of one part in a campaign."""
    mine = checkin.attempt in (bundle.sequence, 0)  # 0: what it fetched was not authentic, or it says no more
    refused = refusal(checkin) if checkin.attempt == bundle.sequence else None
    if refused:
        _end(part, refused, now, checkin.reason)
    elif part.status == "succeeded":
        part.score_after = device.score if checkin.health else part.score_after
    elif checkin.state in _ON_TRIAL:
        return
    elif _runs(bundle, checkin):
        _end(part, "succeeded", now)
        part.score_after = checkin.health.score if checkin.health else None
    elif bundle.component == "model" and checkin.sequence > bundle.sequence:
        _end(part, "superseded", now)
    elif bundle.component == "model" and checkin.sequence == bundle.sequence:
        _end(part, "failed", now, Reason.SEQUENCE_REPLAYED)  # other content has taken its number
    elif bundle.class_id is not None and checkin.class_id != bundle.class_id:
        _end(part, "skipped", now, Reason.CLASS_MISMATCH)
    elif mine and part.status == "offered" and checkin.reason != Reason.OK:
        part.tries += 1
        if part.tries >= TRIES:
            _end(part, "failed", now, checkin.reason)


def _runs(bundle: Bundle, checkin: Checkin) -> bool:
    """Whether the device has the update, beyond its trial."""
    if bundle.component == "model":
        return checkin.sequence == bundle.sequence and bundle.digest in (None, checkin.digest)
    return checkin.attempt == bundle.sequence and checkin.reason == Reason.OK and checkin.state is not State.DOWNLOADING


def _choose(
    parts: Sequence[tuple[Assignment, Campaign]], checkin: Checkin, refused: set[int], now: float
) -> tuple[Assignment, Campaign] | None:
    """The part whose update the device is offered: of those that are open to it, the newest sequence."""
    best: tuple[Assignment, Campaign] | None = None
    if checkin.state in _ON_TRIAL:  # a trial is not disturbed
        return None
    for part, campaign in parts:
        sequence = campaign.bundle.sequence
        if part.status not in OPEN or campaign.state not in OFFERING or part.wave > campaign.wave:
            continue
        if campaign.deadline is None or now >= campaign.deadline:
            continue
        if sequence in refused:
            _end(part, "skipped", now)
        elif best is None or sequence > best[1].bundle.sequence:
            best = (part, campaign)
    return best


def _end(part: Assignment, status: str, now: float, reason: int = 0) -> None:
    part.status, part.finished, part.reason = status, now, int(reason)


def _seconds(device_id: str, interval: int, busy: bool) -> int:
    """Seconds until the next check-in: spread by a hash of the device, so that a fleet does not come all at once."""
    base = min(interval, _BUSY_SECONDS) if busy else interval
    spread = hashlib.sha256(device_id.encode()).digest()[0] / 255 - 0.5
    return max(1, round(base * (1 + 0.2 * spread)))
