"""The audit log: who did what to the fleet, as a chain of hashes that only grows.

    hash = SHA-256(canonical JSON of {"number", "time", "actor", "action", "details", "previous"})

in hexadecimal digits; `previous` is the hash of the entry before, 64 zeros before the first. Canonical JSON has
sorted keys, no blanks, and no characters beyond ASCII. An edit, a removal in the middle, an insertion or another
order breaks the chain. Entries cut off at the end, and a log that was made anew, are found with a head that was
kept elsewhere: the hash of the last entry at some time, which `audit_head.py` signs.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from tinyops.errors import TinyopsError
from tinyops.update.tables import AuditEntry

#: `previous` of the first entry.
START = "0" * 64
#: Key of PostgreSQL's advisory lock that lets one writer at a time extend the chain.
_LOCK = 0x746F7002
_MAX_DETAILS = 16_000
_LISTED = 6


class AuditError(TinyopsError):
    """The audit log is not what was written."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: the number of entries and the hash of the last one."""

    number: int
    hash: str


def record(session: Session, now: float, actor: str, action: str, details: Mapping[str, Any]) -> Head:
    """Append an entry within the caller's transaction, after all its other locks: both are done, or neither."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    last = session.execute(
        select(AuditEntry.number, AuditEntry.hash).order_by(AuditEntry.number.desc()).limit(1)
    ).first()
    number, previous = (last.number + 1, last.hash) if last else (1, START)
    written = canonical(details)
    if len(written) > _MAX_DETAILS:
        raise AuditError("the details of an entry of the audit log are too long", allowed=f"{_MAX_DETAILS} characters")
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = AuditEntry(
        number=number, time=time, actor=actor[:120], action=action, details=written, previous=previous, hash=""
    )
    entry.hash = entry_hash(entry)
    session.add(entry)
    session.flush()
    return Head(number, entry.hash)


def person() -> str:
    """Who acts on this computer: TINYOPS_ACTOR, else user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = str(os.getuid())
    return os.environ.get("TINYOPS_ACTOR") or f"{user}@{socket.gethostname()}"


def canonical(value: Any) -> str:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def entry_hash(entry: AuditEntry) -> str:
    """The hash that the entry must have."""
    fields = {
        "number": entry.number,
        "time": entry.time,
        "actor": entry.actor,
        "action": entry.action,
        "details": entry.details,
        "previous": entry.previous,
    }
    return hashlib.sha256(canonical(fields).encode("ascii")).hexdigest()


def as_dict(entry: AuditEntry) -> dict[str, Any]:
    """An entry for `--json` and the web page."""
    return {
        "number": entry.number,
        "time": entry.time,
        "actor": entry.actor,
        "action": entry.action,
        "details": json.loads(entry.details),
        "previous": entry.previous,
        "hash": entry.hash,
    }


def describe(details: Mapping[str, Any]) -> str:
    """The details of an entry in short, for people: what is empty is left out, what is long is cut."""
    return ", ".join(
        f"{key.replace('_', ' ')} {_short(key, value)}"
        for key, value in details.items()
        if value is not None and value not in ("", [], {}) and not (isinstance(value, dict) and not describe(value))
    )


def _short(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"({describe(value)})"
    if isinstance(value, list):
        more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
        return " ".join(_short(key, item) for item in value[:_LISTED]) + more
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return text[:16] if key == "update" else text


def entries(session: Session) -> Iterable[AuditEntry]:
    """All entries, first to last, without holding them all in memory."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.number).execution_options(yield_per=1000))


def verify(log: Iterable[AuditEntry], heads: Iterable[str] = ()) -> Head:
    """Check the whole log and that it contains `heads`; returns its end. AuditError says where it breaks."""
    wanted = {head.lower() for head in heads}
    number, previous = 0, START
    for entry in log:
        if entry.number != number + 1:
            raise AuditError(
                f"after entry {number} comes entry {entry.number}: entries were removed or renumbered",
                where=f"entry {number + 1}",
            )
        if entry.previous != previous:
            raise AuditError(
                "does not continue the entry before it: entries were removed, inserted or reordered",
                where=f"entry {entry.number}",
            )
        if entry_hash(entry) != entry.hash:
            raise AuditError("was changed after it was written", where=f"entry {entry.number}")
        number, previous = entry.number, entry.hash
        wanted.discard(previous)
    if wanted - {START}:
        raise AuditError(
            f"the head {min(wanted)[:16]}… is not in the log: it was cut off or made anew",
            where=f"the log ends with entry {number}",
        )
    return Head(number, previous)


def protect(connection: Connection) -> None:
    """Let the database refuse changes of entries: a program's mistake cannot touch them."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "CREATE FUNCTION tinyops_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
                "FOR EACH STATEMENT EXECUTE FUNCTION tinyops_append_only()"
            )
        )
        return
    for action in ("UPDATE", "DELETE"):
        connection.execute(
            text(
                f"CREATE TRIGGER audit_no_{action.lower()} BEFORE {action} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
            )
        )
