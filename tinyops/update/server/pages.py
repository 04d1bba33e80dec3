"""What the web page shows, read from the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload

from tinyops.update import audit, registry
from tinyops.update.advance import summary
from tinyops.update.campaign import find, parts_of
from tinyops.update.tables import Assignment, AuditEntry, Bundle, Campaign, Device, Tag

#: Rows of a page of devices or of the log.
ROWS = 100
_DAY = 86400.0
_STATUSES = ("waiting", "offered", "succeeded", "reverted", "failed", "superseded", "skipped", "expired", "aborted")


def overview(session: Session, now: float) -> dict[str, Any]:
    """Numbers of the fleet, its rollouts, its versions, and the end of the log."""
    states = dict(session.execute(select(Device.state, func.count()).group_by(Device.state)).all())
    versions = session.execute(
        select(Device.sequence, func.count()).group_by(Device.sequence).order_by(Device.sequence.desc()).limit(12)
    )
    heard = session.scalar(select(func.count()).where(Device.last_seen >= now - _DAY)) or 0
    campaigns = session.scalars(select(Campaign).order_by(Campaign.created.desc(), Campaign.name).limit(20))
    return {
        "devices": sum(states.values()),
        "heard": heard,
        "busy": sum(states.get(state, 0) for state in ("downloading", "pending", "trial")),
        "bundles": session.scalar(select(func.count()).select_from(Bundle).where(Bundle.withdrawn.is_(None))) or 0,
        "versions": list(versions),
        "tags": list(session.scalars(select(Tag.tag).distinct().order_by(Tag.tag).limit(50))),
        "rollouts": [summary(session, campaign, now) for campaign in campaigns],
        "log": log(session, 0, 8)["entries"],
    }


def devices(session: Session, text: str, tag: str, state: str, page: int) -> dict[str, Any]:
    """A page of devices whose name or board contains `text`."""
    query = select(Device).options(selectinload(Device.tags))
    if text:
        query = query.where(
            or_(Device.id.contains(text, autoescape=True), Device.board.contains(text, autoescape=True))
        )
    if tag:
        query = query.where(Device.id.in_(select(Tag.device_id).where(Tag.tag == tag)))
    if state:
        query = query.where(Device.state == state)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = min(page, (max(total, 1) - 1) // ROWS)
    rows = session.scalars(query.order_by(Device.id).offset(page * ROWS).limit(ROWS))
    return {
        "rows": [registry.as_dict(row) for row in rows],
        "total": total,
        "page": page,
        "pages": max(1, -(-total // ROWS)),
    }


def device(session: Session, name: str) -> dict[str, Any]:
    """A device with its rollouts and reports; FleetError or UsageError when there is none."""
    found = registry.find(session, name)
    return {
        "device": registry.as_dict(found),
        "parts": parts_of(session, found.id),
        "reports": [registry.report_as_dict(report) for report in registry.reports(session, found.id)],
    }


def rollout(session: Session, name: str, now: float) -> dict[str, Any]:
    """A rollout with the devices that did not take the update; FleetError when there is none."""
    campaign = find(session, name)
    trouble = session.execute(
        select(Assignment.device_id, Assignment.status, Assignment.reason, Assignment.finished)
        .where(Assignment.campaign_name == name, Assignment.status.in_(("reverted", "failed")))
        .order_by(Assignment.finished.desc())
        .limit(ROWS)
    )
    counted = select(Assignment.status, func.count()).where(Assignment.campaign_name == name)
    statuses = dict(session.execute(counted.group_by(Assignment.status)).all())
    entries = select(AuditEntry).where(AuditEntry.details.contains(f'"rollout":"{name}"', autoescape=True))
    return {
        "rollout": summary(session, campaign, now),
        "bundle_name": campaign.bundle.name,
        "statuses": [(status, statuses[status]) for status in _STATUSES if status in statuses],
        "trouble": [(name, status, registry.reason_slug(reason), at) for name, status, reason, at in trouble],
        "log": [audit.as_dict(e) for e in session.scalars(entries.order_by(AuditEntry.number.desc()).limit(50))],
    }


def log(session: Session, page: int, rows: int = ROWS) -> dict[str, Any]:
    """A page of the log, newest first."""
    total = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    page = min(page, (max(total, 1) - 1) // rows)
    query = select(AuditEntry).order_by(AuditEntry.number.desc()).offset(page * rows).limit(rows)
    return {
        "entries": [audit.as_dict(entry) for entry in session.scalars(query)],
        "page": page,
        "pages": max(1, -(-total // rows)),
    }
