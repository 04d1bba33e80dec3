"""Campaigns: an update goes to a cohort wave by wave, each behind gates. What people do with them.

    draft -> running <-> held (waits for approval) -> finished
                 \\<-> paused                          any -> aborted

`advance.py` opens waves and stops campaigns by their gates, `offers.py` decides what a device is offered. The devices
of all waves, and the order, are fixed at the start. Every change happens in one transaction with its entry in the
audit log, under a lock of the campaign's row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tinyops.errors import UsageError
from tinyops.update import audit
from tinyops.update.cohort import Cohort, check_waves, members, rank, wave_targets
from tinyops.update.database import FleetError
from tinyops.update.gates import Gates
from tinyops.update.registry import check_tag, reason_slug
from tinyops.update.tables import Assignment, Bundle, Campaign, Device, Wave

DRAFT, RUNNING, HELD, PAUSED, FINISHED, ABORTED = "draft", "running", "held", "paused", "finished", "aborted"
#: Devices of open waves are offered the update in these states.
OFFERING = (RUNNING, HELD)
#: Nothing changes any more.
ENDED = (FINISHED, ABORTED)
#: What can become of a device's part in a campaign; the device may still take the update in the first two.
OPEN = ("waiting", "offered")
REPORTED = ("succeeded", "reverted", "failed")
#: Of no use to the gates: a newer campaign took the device, or it is no device for this update any more.
LEFT = ("superseded", "skipped", "expired", "aborted")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_WAVES = (5.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a campaign goes: for whom, in which waves (per cent of the cohort, after `canary` devices), behind which
    gates; with `approve` a person opens each wave; devices that do not come within `ttl` seconds are given up."""

    cohort: Cohort = field(default_factory=Cohort)
    gates: Gates = field(default_factory=Gates)
    canary: int = 1
    canary_tag: str | None = None
    waves: tuple[float, ...] = _WAVES
    approve: bool = False
    ttl: float = 30 * 86400.0

    def __post_init__(self) -> None:
        check_waves(self.canary, self.waves)
        if self.canary_tag is not None:
            check_tag(self.canary_tag)
        if not 0 < self.ttl < 10 * 366 * 86400:
            raise UsageError("the time to live is out of range", allowed="up to ten years")

    def as_dict(self) -> dict[str, Any]:
        return {
            "cohort": self.cohort.as_dict(),
            "gates": self.gates.as_dict(),
            "canary": self.canary,
            "canary_tag": self.canary_tag,
            "waves": list(self.waves),
            "approve": self.approve,
            "ttl": self.ttl,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        return cls(
            Cohort.from_dict(values["cohort"]),
            Gates.from_dict(values["gates"]),
            values["canary"],
            values["canary_tag"],
            tuple(values["waves"]),
            values["approve"],
            values["ttl"],
        )


def create(session: Session, name: str, bundle: Bundle, plan: Plan, now: float, actor: str) -> Campaign:
    """A draft; nothing is offered before `start`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} is no name of a rollout",
            allowed="small letters, digits, and . _ - after the first, 48 at most",
        )
    if session.get(Campaign, name) is not None:
        raise FleetError("there is a rollout of this name", where=name, hint="another one with --name")
    campaign = Campaign(name=name, bundle=bundle, state=DRAFT, created=now, plan=plan.as_dict(), wave=-1)
    session.add(campaign)
    session.flush()
    audit.record(session, now, actor, "rollout create", {"rollout": name, "update": bundle.id} | plan.as_dict())
    return campaign


def start(session: Session, name: str, now: float, actor: str) -> Campaign:
    """Fix the devices and their order, and open the first wave."""
    campaign = _locked(session, name, (DRAFT,))
    plan = Plan.from_dict(campaign.plan)
    devices = members(session, plan.cohort, campaign.bundle)
    _check_canary(plan, devices, name)
    devices = rank(name, devices, plan.canary_tag)
    targets = wave_targets(len(devices), plan.canary, plan.waves)
    if not targets:
        raise FleetError(
            "no device can take the update: none matches, or all have it or have refused it",
            where=name,
            hint="tinyops device list",
        )
    campaign.waves = [Wave(number=k, label=label, target=target) for k, (label, target) in enumerate(targets)]
    place = 0
    for number, (_, target) in enumerate(targets):
        for device in devices[place:target]:
            session.add(Assignment(campaign_name=name, device_id=device.id, wave=number, rank=place, status="waiting"))
            place += 1
    campaign.devices = place
    campaign.state, campaign.reason = RUNNING, ""
    campaign.started, campaign.deadline = now, now + plan.ttl
    session.flush()
    audit.record(session, now, actor, "rollout start", {"rollout": name, "devices": place})
    open_wave(session, campaign, now, actor)
    return campaign


def _check_canary(plan: Plan, devices: Sequence[Device], name: str) -> None:
    """FleetError when too few devices have the canary's tag: others would be the first."""
    tagged = sum(plan.canary_tag in device.tag_names for device in devices)
    if plan.canary_tag is not None and devices and tagged < min(plan.canary, len(devices)):
        raise FleetError(
            f"{tagged} of its devices have the tag {plan.canary_tag}, and the canary are {plan.canary}",
            where=name,
            hint=f"tinyops device tag ID {plan.canary_tag}, or another --canary or --canary-tag",
        )


def pause(session: Session, name: str, now: float, actor: str, reason: str = "") -> Campaign:
    """No device gets the update, also none that has begun to download it, until `resume`."""
    campaign = _locked(session, name, OFFERING)
    stop(session, campaign, now, actor, reason or "paused by hand")
    return campaign


def resume(session: Session, name: str, now: float, actor: str, *, waive: bool = False) -> Campaign:
    """Go on. A campaign that its gates stopped stops again, unless `waive` lets its open waves off the gates."""
    campaign = _locked(session, name, (PAUSED,))
    waived = [wave.number for wave in campaign.waves if wave.opened is not None and not wave.waived] if waive else []
    for wave in campaign.waves:
        wave.waived = wave.waived or wave.number in waived
    campaign.state, campaign.reason = RUNNING, ""
    session.flush()
    audit.record(session, now, actor, "rollout resume", {"rollout": name, "waived": waived})
    return campaign


def approve(session: Session, name: str, now: float, actor: str) -> Campaign:
    """Open the next wave of a campaign that waits for it."""
    campaign = _locked(session, name, (HELD,))
    campaign.state, campaign.reason = RUNNING, ""
    audit.record(session, now, actor, "rollout approve", {"rollout": name, "wave": campaign.wave + 1})
    open_wave(session, campaign, now, actor)
    return campaign


def abort(session: Session, name: str, now: float, actor: str, reason: str = "") -> Campaign:
    """End it: nobody else gets the update."""
    campaign = _locked(session, name, (DRAFT, *OFFERING, PAUSED))
    give_up(session, campaign, "aborted", now)
    campaign.state, campaign.reason = ABORTED, reason or "aborted by hand"
    session.flush()
    audit.record(session, now, actor, "rollout abort", {"rollout": name, "reason": campaign.reason})
    return campaign


def open_wave(session: Session, campaign: Campaign, now: float, actor: str) -> None:
    """Open the next wave of a locked campaign."""
    campaign.wave += 1
    wave = campaign.waves[campaign.wave]
    wave.opened = now
    session.flush()
    details = {"rollout": campaign.name, "wave": wave.number, "label": wave.label, "target": wave.target}
    audit.record(session, now, actor, "wave open", details)


def stop(session: Session, campaign: Campaign, now: float, actor: str, reason: str) -> None:
    """Pause a locked campaign."""
    campaign.state, campaign.reason = PAUSED, reason
    session.flush()
    audit.record(session, now, actor, "rollout pause", {"rollout": campaign.name, "reason": reason})


def give_up(session: Session, campaign: Campaign, status: str, now: float) -> None:
    """End the parts of all devices that have not reported."""
    session.execute(
        update(Assignment)
        .where(Assignment.campaign_name == campaign.name, Assignment.status.in_(OPEN))
        .values(status=status, finished=now)
    )


def find(session: Session, name: str) -> Campaign:
    """The campaign of that name; FleetError when there is none."""
    campaign = session.get(Campaign, name)
    if campaign is None:
        raise FleetError("there is no such rollout", where=name, hint="tinyops update rollout list")
    return campaign


def parts_of(session: Session, device_id: str) -> list[dict[str, Any]]:
    """A device's part in all campaigns, newest first, for `--json`."""
    query = select(Assignment, Campaign).join(Campaign, Campaign.name == Assignment.campaign_name)
    query = query.where(Assignment.device_id == device_id).order_by(Campaign.created.desc(), Campaign.name)
    return [
        {
            "rollout": campaign.name,
            "sequence": campaign.bundle.sequence,
            "wave": part.wave,
            "status": part.status,
            "reason": reason_slug(part.reason),
            "offered": part.offered,
            "finished": part.finished,
        }
        for part, campaign in session.execute(query)
    ]


def _locked(session: Session, name: str, states: Sequence[str]) -> Campaign:
    """The campaign, with its row locked; FleetError unless it is in one of `states`."""
    find(session, name)
    query = select(Campaign).where(Campaign.name == name).with_for_update(of=Campaign)
    campaign = session.scalars(query.execution_options(populate_existing=True)).one()
    if campaign.state not in states:
        raise FleetError(f"the rollout is {campaign.state}", where=name, allowed=f"one that is {' or '.join(states)}")
    return campaign
