"""The registry: which devices there are, what they run, what they said."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tinyops.errors import UsageError
from tinyops.suit.reasons import Reason
from tinyops.update import audit
from tinyops.update.checkin import MAX_DEVICE, State
from tinyops.update.database import FleetError
from tinyops.update.tables import Assignment, Device, Report, Tag

#: The most devices of a fleet that are made without a person, by checking in.
MAX_UNASKED = 10_000
_NAME = re.compile(r"(?!0x)[A-Za-z0-9][A-Za-z0-9._:-]{0,31}")
_HEX = re.compile(r"0x(?:[0-9a-f]{2}){1,32}")
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_BOARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to be added; checked by `add`."""

    id: str
    class_id: str | None = None
    board: str | None = None
    tags: Sequence[str] = ()


def device_name(device: bytes) -> str:
    """The text form of a device's bytes: themselves if they are a plain name, else 0x and hexadecimal digits."""
    text = device.decode("ascii", "replace")
    return text if _NAME.fullmatch(text) else "0x" + device.hex()


def check_name(text: str) -> str:
    """`text` as the name of a device; UsageError when it is none."""
    if _HEX.fullmatch(text):
        return device_name(bytes.fromhex(text[2:]))
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text[:60]!r} is no name of a device",
            allowed=f"1 to {MAX_DEVICE} letters, digits, and . _ : - after the first, or 0x and hexadecimal digits",
        )
    return text


def check_tag(text: str) -> str:
    """`text` as a tag; UsageError when it is none."""
    if not _TAG.fullmatch(text):
        raise UsageError(
            f"{text[:60]!r} is no tag", allowed="small letters, digits, and . _ - after the first, 48 at most"
        )
    return text


def check_class(text: str) -> uuid.UUID:
    """`text` as a class id; UsageError when it is no UUID."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise UsageError(
            f"{text[:60]!r} is no class", allowed="a UUID, as `tinyops build` and `tinyops update inspect` print it"
        ) from error


def add(session: Session, devices: Iterable[NewDevice], now: float, actor: str) -> list[Device]:
    """Add devices, all or none of them."""
    rows = []
    for new in devices:
        name = check_name(new.id)
        if session.get(Device, name) is not None:
            raise FleetError("there is a device of this name", where=name, hint=f"tinyops device show {name}")
        if new.board is not None and not _BOARD.fullmatch(new.board):
            raise UsageError(f"{new.board[:60]!r} is no board's name", where=name, hint="tinyops boards")
        row = Device(
            id=name,
            class_id=check_class(new.class_id) if new.class_id else None,
            board=new.board,
            added=now,
            state=State.IDLE.value,
            tags=[Tag(device_id=name, tag=tag) for tag in sorted({check_tag(tag) for tag in new.tags})],
        )
        session.add(row)
        rows.append(row)
    session.flush()
    for start in range(0, len(rows), 100):
        names = [row.id for row in rows[start : start + 100]]
        audit.record(session, now, actor, "device add", {"devices": names})
    return rows


def find(session: Session, name: str, *, lock: bool = False) -> Device:
    """The device of that name; FleetError when there is none."""
    query = select(Device).where(Device.id == check_name(name))
    device = session.scalars(query.with_for_update() if lock else query).first()
    if device is None:
        raise FleetError("there is no such device", where=name, hint="tinyops device list")
    return device


def tag(session: Session, name: str, put: Iterable[str], take: Iterable[str], now: float, actor: str) -> Device:
    """Put tags on a device, take others off."""
    device = find(session, name, lock=True)
    put, take = {check_tag(text) for text in put}, {check_tag(text) for text in take}
    if put & take:
        raise UsageError(f"the tag {min(put & take)!r} is both put on and taken off", where=name)
    wanted = sorted((set(device.tag_names) | put) - take)
    changes = {
        "put": sorted(set(wanted) - set(device.tag_names)),
        "take": sorted(set(device.tag_names) - set(wanted)),
    }
    if any(changes.values()):
        kept = {row.tag: row for row in device.tags}
        device.tags = [kept.get(text) or Tag(device_id=device.id, tag=text) for text in wanted]
        session.flush()
        audit.record(session, now, actor, "device tag", {"device": device.id} | changes)
    return device


def remove(session: Session, name: str, now: float, actor: str) -> None:
    """Forget a device; campaigns go on without it."""
    device = find(session, name, lock=True)
    session.execute(
        update(Assignment)
        .where(Assignment.device_id == device.id, Assignment.status.in_(("waiting", "offered")))
        .values(status="skipped", finished=now)
    )
    session.delete(device)
    session.flush()
    audit.record(session, now, actor, "device remove", {"device": device.id})


def reports(session: Session, name: str) -> list[Report]:
    """What a device said, newest first."""
    query = select(Report).where(Report.device_id == check_name(name)).order_by(Report.id.desc())
    return list(session.scalars(query))


def keep_reports(session: Session, device_id: str, count: int) -> None:
    """Forget all but the newest `count` reports of a device."""
    newest = (
        select(Report.id).where(Report.device_id == device_id).order_by(Report.id.desc()).offset(count).limit(1)
    ).scalar_subquery()
    session.execute(delete(Report).where(Report.device_id == device_id, Report.id <= newest))


def as_dict(device: Device) -> dict[str, Any]:
    """A device for `--json` and the web page."""
    return {
        "id": device.id,
        "class": str(device.class_id) if device.class_id else None,
        "board": device.board,
        "tags": device.tag_names,
        "added": device.added,
        "last_seen": device.last_seen,
        "address": device.address,
        "sequence": device.sequence,
        "digest": device.digest.hex() if device.digest else None,
        "state": device.state,
        "reason": reason_slug(device.reason),
        "attempt": device.attempt,
        "firmware": device.firmware,
        "inferences": device.inferences,
        "score": device.score,
        "protected": device.protected,
    }


def report_as_dict(report: Report) -> dict[str, Any]:
    """A report for `--json`."""
    return {
        "time": report.time,
        "sequence": report.sequence,
        "state": report.state,
        "attempt": report.attempt,
        "reason": reason_slug(report.reason),
        "digest": report.digest.hex(),
        "suit_report": report.data.hex() if report.data is not None else None,
    }


def reason_slug(code: int) -> str:
    """The name of a coded reason; the number where this program does not know it."""
    found = next((reason for reason in Reason if reason == code), None)
    return found.slug if found is not None else f"reason-{code}"
