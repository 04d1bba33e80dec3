"""The audit log: whatever is done to it afterwards is found."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.postgres import binaries, cluster
from tinyops.errors import UsageError
from tinyops.update import audit
from tinyops.update.audit import START, AuditError
from tinyops.update.audit_head import make_head, read_head
from tinyops.update.database import Database, FleetError, open_database
from tinyops.update.keystore import Keystore
from tinyops.update.tables import AuditEntry

ENTRIES = 6


def write(database: Database, count: int, actor: str = "ann") -> None:
    for k in range(count):
        with database.write() as session:
            audit.record(session, 1000.0 + k, actor, "rollout start", {"rollout": f"r{k}", "devices": k})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(str(tmp_path / "fleet.db"), create=True)
    write(opened, ENTRIES)
    yield opened
    opened.close()


def check(database: Database, *heads: str) -> audit.Head:
    with database.read() as session:
        return audit.verify(audit.entries(session), heads)


def tamper(database: Database, *statements: str) -> None:
    """Change the table as somebody who owns the database file can."""
    with database.write() as session:
        for action in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{action}"))
        for statement in statements:
            session.execute(text(statement))


def head_of(database: Database) -> str:
    return check(database).hash


def test_the_chain_is_as_documented(database: Database) -> None:
    import hashlib

    with database.read() as session:
        previous = START
        for number, entry in enumerate(audit.entries(session), 1):
            fields = {
                "number": number,
                "time": f"1970-01-01T00:16:4{number - 1}.000Z",
                "actor": "ann",
                "action": "rollout start",
                "details": json.dumps({"devices": number - 1, "rollout": f"r{number - 1}"}, separators=(",", ":")),
                "previous": previous,
            }
            plain = json.dumps(fields, sort_keys=True, separators=(",", ":"))
            assert entry.hash == hashlib.sha256(plain.encode()).hexdigest()
            previous = entry.hash
    assert check(database) == audit.Head(ENTRIES, previous)


@pytest.mark.parametrize("column", ["time", "actor", "action", "details", "hash", "previous"])
@pytest.mark.parametrize("number", [1, 3, ENTRIES])
def test_an_edit(database: Database, column: str, number: int) -> None:
    tamper(database, f"UPDATE audit SET {column} = '{'f' * 64}' WHERE number = {number}")
    with pytest.raises(AuditError, match=r"was changed|does not continue") as error:
        check(database)
    assert error.value.where in (f"entry {number}", f"entry {number + 1}")


@pytest.mark.parametrize("number", range(1, ENTRIES))
def test_a_removal(database: Database, number: int) -> None:
    tamper(database, f"DELETE FROM audit WHERE number = {number}")
    with pytest.raises(AuditError, match="were removed"):
        check(database)


@pytest.mark.parametrize("number", range(1, ENTRIES))
def test_a_removal_with_the_others_renumbered(database: Database, number: int) -> None:
    tamper(
        database,
        f"DELETE FROM audit WHERE number = {number}",
        f"UPDATE audit SET number = -number WHERE number > {number}",
        "UPDATE audit SET number = -number - 1 WHERE number < 0",
    )
    with pytest.raises(AuditError):
        check(database)


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 5), (5, 6)])
def test_another_order(database: Database, a: int, b: int) -> None:
    tamper(
        database,
        f"UPDATE audit SET number = -1 WHERE number = {a}",
        f"UPDATE audit SET number = {a} WHERE number = {b}",
        f"UPDATE audit SET number = {b} WHERE number = -1",
    )
    with pytest.raises(AuditError):
        check(database)


def test_an_insertion(database: Database) -> None:
    tamper(
        database,
        "UPDATE audit SET number = -number - 1 WHERE number > 3",
        "UPDATE audit SET number = -number WHERE number < 0",
        f"INSERT INTO audit SELECT 4, time, actor, action, details, hash, '{'0' * 63}1' FROM audit WHERE number = 3",
    )
    with pytest.raises(AuditError):
        check(database)


@pytest.mark.parametrize("keep", range(ENTRIES))
def test_a_cut_end_is_found_with_a_head_that_was_kept(database: Database, keep: int) -> None:
    head = head_of(database)
    tamper(database, f"DELETE FROM audit WHERE number > {keep}")
    assert check(database).number == keep, "the rest is a chain of its own"
    with pytest.raises(AuditError, match="was cut off or made anew"):
        check(database, head)


def test_a_log_made_anew_is_found_with_a_head_that_was_kept(database: Database) -> None:
    head = head_of(database)
    tamper(database, "DELETE FROM audit")
    write(database, ENTRIES, actor="eve")
    assert check(database).number == ENTRIES
    with pytest.raises(AuditError, match="was cut off or made anew"):
        check(database, head)


def test_older_heads_stay_good(database: Database) -> None:
    heads = [head_of(database)]
    write(database, 3)
    heads.append(head_of(database))
    assert check(database, *heads, START).number == ENTRIES + 3


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve' WHERE number = 1", "DELETE FROM audit"])
def test_the_database_refuses_changes(database: Database, statement: str) -> None:
    with pytest.raises(FleetError, match="the audit log only grows"), database.write() as session:
        session.execute(text(statement))
    assert check(database).number == ENTRIES


def test_an_entry_is_undone_with_what_it_tells_of(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            audit.record(session, 0.0, "ann", "rollout start", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert check(database).number == ENTRIES


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_canonical_json_is_one_text_for_one_value(value: object) -> None:
    written = audit.canonical(value)
    assert written.isascii()
    assert json.loads(written) == value
    assert audit.canonical(json.loads(written)) == written


@given(st.dictionaries(st.text(min_size=1, max_size=5), _JSON, max_size=4))
def test_any_details_can_be_described(details: dict[str, object]) -> None:
    assert isinstance(audit.describe(details), str)


def test_details_that_are_too_long_are_refused(database: Database) -> None:
    with pytest.raises(AuditError, match="too long"), database.write() as session:
        audit.record(session, 0.0, "ann", "x", {"text": "a" * 20_000})


def _write_at_once(place: str, threads: int, each: int) -> None:
    failures: list[BaseException] = []

    def run(k: int) -> None:
        opened = open_database(place)
        try:
            write(opened, each, actor=f"thread {k}")
        except BaseException as error:
            failures.append(error)
        finally:
            opened.close()

    running = [threading.Thread(target=run, args=(k,)) for k in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not failures


def test_writers_at_once_keep_one_chain(database: Database) -> None:
    _write_at_once(database.name, 4, 15)
    assert check(database).number == ENTRIES + 60


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
def test_the_same_on_postgresql() -> None:
    with cluster() as url:
        opened = open_database(url, create=True)
        _write_at_once(url, 6, 25)
        assert check(opened).number == 150
        head = head_of(opened)
        for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(FleetError, match="the audit log only grows"), opened.write() as session:
                session.execute(text(statement))
        with opened.write() as session:
            session.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
            session.execute(text("DELETE FROM audit WHERE number = 150"))
        with pytest.raises(AuditError, match="was cut off"):
            check(opened, head)
        with opened.write() as session:
            session.execute(text("UPDATE audit SET actor = 'eve' WHERE number = 75"))
        with pytest.raises(AuditError, match="was changed") as error:
            check(opened)
        assert error.value.where == "entry 75"
        opened.close()


# -- heads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Keystore:
    keystore = Keystore(tmp_path / "keys")
    keystore.generate("auditor")
    return keystore


def test_a_head_as_a_hash_and_as_a_file(database: Database, keys: Keystore, tmp_path: Path) -> None:
    end = check(database)
    file = tmp_path / "head.json"
    for signer in (None, keys.signer(keys.get("auditor"))):
        file.write_text(json.dumps(make_head(end, signer)))
        assert read_head(str(file), keys) == end.hash
    assert read_head(end.hash.upper(), keys) == end.hash


def test_a_signed_head_that_was_changed(database: Database, keys: Keystore, tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    head = make_head(check(database), keys.signer(keys.get("auditor")))
    for change in ({"entries": 5}, {"head": "0" * 64}, {"time": "2020-01-01T00:00:00Z"}, {"signature": "00" * 64}):
        file.write_text(json.dumps(head | change))
        with pytest.raises(AuditError, match="the signature is not that of the key 'auditor'"):
            read_head(str(file), keys)
    file.write_text(json.dumps(head | {"kid": "0" * 16}))
    with pytest.raises(AuditError, match="which is not here"):
        read_head(str(file), keys)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[" * 5000, '{"version":2}', '{"version":1,"entries":-1,"head":"","time":""}', "\xff"]
)
def test_files_that_are_no_head(content: str, keys: Keystore, tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match="is no head"):
        read_head(str(file), keys)


def test_no_head_at_all(keys: Keystore) -> None:
    with pytest.raises(UsageError, match="neither a hash nor a file"):
        read_head("nothing", keys)


def test_entries_of_the_table_are_what_is_hashed() -> None:
    hashed = {"number", "time", "actor", "action", "details", "previous"}
    assert {column.name for column in AuditEntry.__table__.columns} == hashed | {"hash"}
