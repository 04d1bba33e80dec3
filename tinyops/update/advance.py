"""The engine of campaigns: counts what became of each wave, asks the gates, and opens, holds, pauses or finishes.

Any number of server processes call `advance` at any time. Each change is made under a lock of the campaign's row and
on what the database says then, so it happens once: who comes second finds the wave open, and the new wave without
reports.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from tinyops.update import audit
from tinyops.update.campaign import FINISHED, HELD, OFFERING, OPEN, PAUSED, REPORTED, Plan, give_up, open_wave, stop
from tinyops.update.database import Database
from tinyops.update.gates import Counts, Gates, Judgement, judge
from tinyops.update.tables import Assignment, Campaign, Device

ACTOR = "server"


def advance(database: Database, now: float) -> None:
    """One step of every campaign that is under way."""
    with database.read() as session:
        names = list(session.scalars(select(Campaign.name).where(Campaign.state.in_((*OFFERING, PAUSED)))))
    for name in names:
        with database.write() as session:
            query = select(Campaign).where(Campaign.name == name).with_for_update(of=Campaign)
            campaign = session.scalars(query).first()
            if campaign is not None:
                step(session, campaign, now)


def step(session: Session, campaign: Campaign, now: float) -> None:
    """One step of a locked campaign."""
    if campaign.state not in (*OFFERING, PAUSED) or campaign.deadline is None:
        return
    if now >= campaign.deadline:
        give_up(session, campaign, "expired", now)
        _finish(session, campaign, now, "its time to live is over")
        return
    if campaign.state == PAUSED:
        return
    gates = Gates.from_dict(campaign.plan["gates"])
    counted = counts(session, campaign, now)
    for wave in campaign.waves[: campaign.wave + 1]:
        assert wave.opened is not None
        judgement, why = judge(gates, counted[wave.number], now - wave.opened, waived=wave.waived)
        if judgement is Judgement.FAIL:
            stop(session, campaign, now, ACTOR, f"wave {wave.number} ({wave.label}): {why}")
            return
        if judgement is Judgement.PASS and wave.passed is None:
            wave.passed = now
    if campaign.state == HELD or campaign.waves[campaign.wave].passed is None:
        return
    if campaign.wave + 1 < len(campaign.waves):
        if Plan.from_dict(campaign.plan).approve:
            _hold(session, campaign, now)
        else:
            open_wave(session, campaign, now, ACTOR)
    elif not any(count.waiting + count.offered for count in counted):
        _finish(session, campaign, now, "")


def counts(session: Session, campaign: Campaign, now: float) -> list[Counts]:
    """What became of the devices of each wave."""
    silent_since = now - Gates.from_dict(campaign.plan["gates"]).silent_after
    silent = (
        (Assignment.status == "offered")
        & (Assignment.offered <= silent_since)
        & (func.coalesce(Device.last_seen, 0.0) <= silent_since)
    )
    both = (
        (Assignment.status == "succeeded") & Assignment.score_before.is_not(None) & Assignment.score_after.is_not(None)
    )
    query = (
        select(
            Assignment.wave,
            Assignment.status,
            func.count(),
            func.sum(case((silent, 1), else_=0)),
            func.sum(case((both, 1), else_=0)),
            func.sum(case((both, Assignment.score_before), else_=0)),
            func.sum(case((both, Assignment.score_after), else_=0)),
        )
        .outerjoin(Device, Device.id == Assignment.device_id)
        .where(Assignment.campaign_name == campaign.name, Assignment.status.in_((*OPEN, *REPORTED)))
        .group_by(Assignment.wave, Assignment.status)
    )
    found: list[dict[str, float]] = [{} for _ in campaign.waves]
    for wave, status, count, quiet, scored, before, after in session.execute(query):
        values = found[wave]
        values[status] = count
        if quiet:
            values["silent"] = int(quiet)
        if scored:
            values |= {
                "scored": int(scored),
                "score_before": float(before) / int(scored),
                "score_after": float(after) / int(scored),
            }
    return [Counts(**values) for values in found]  # type: ignore[arg-type]  # the counts among them are int


def summary(session: Session, campaign: Campaign, now: float) -> dict[str, Any]:
    """A campaign and its waves for `--json` and the web page."""
    gates = Gates.from_dict(campaign.plan["gates"])
    waves = []
    for wave, count in zip(campaign.waves, counts(session, campaign, now), strict=True):
        opened = wave.opened is not None
        said = judge(gates, count, now - (wave.opened or now), waived=wave.waived)[1] if opened else "not open"
        waves.append(
            {"number": wave.number, "label": wave.label, "target": wave.target, "opened": wave.opened}
            | {"passed": wave.passed, "waived": wave.waived, "gates": said}
            | {"devices": count.devices, "drift": round(count.drift, 1) if count.scored else None}
            | {key: value for key, value in asdict(count).items() if not key.startswith("score_")}
        )
    return {
        "name": campaign.name,
        "bundle": campaign.bundle_id,
        "sequence": campaign.bundle.sequence,
        "state": campaign.state,
        "reason": campaign.reason,
        "wave": campaign.wave,
        "devices": campaign.devices,
        "created": campaign.created,
        "started": campaign.started,
        "deadline": campaign.deadline,
        "plan": campaign.plan,
        "waves": waves,
    }


def _hold(session: Session, campaign: Campaign, now: float) -> None:
    following = campaign.waves[campaign.wave + 1]
    campaign.state = HELD
    campaign.reason = f"wave {following.number} ({following.label}) waits for approval"
    session.flush()
    audit.record(session, now, ACTOR, "rollout hold", {"rollout": campaign.name, "wave": following.number})


def _finish(session: Session, campaign: Campaign, now: float, reason: str) -> None:
    campaign.state, campaign.reason = FINISHED, reason
    session.flush()
    audit.record(session, now, ACTOR, "rollout finish", {"rollout": campaign.name, "reason": reason})
