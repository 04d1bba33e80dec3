"""The registry, its database, and the verbs that people use for them."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fleet import CLASS, FakeDevice
from tests.support.postgres import binaries, cluster
from tinyops.errors import MissingToolError, TinyopsError, UsageError
from tinyops.suit.reasons import Reason
from tinyops.update import audit, registry
from tinyops.update.database import Database, FleetError, open_database
from tinyops.update.offers import NotAuthenticError, Policy, Sender, UnknownDeviceError, check_in
from tinyops.update.registry import NewDevice, check_name, device_name
from tinyops.update.tables import Device, Report

ME = "tester"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(str(tmp_path / "fleet.db"), create=True)
    yield opened
    opened.close()


# -- names -------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=32))
def test_every_device_has_one_name(device: bytes) -> None:
    name = device_name(device)
    assert len(name) <= 66
    assert check_name(name) == name
    assert (bytes.fromhex(name[2:]) if name.startswith("0x") else name.encode()) == device


@given(st.binary(min_size=1, max_size=32), st.binary(min_size=1, max_size=32))
def test_no_two_devices_have_the_same_name(a: bytes, b: bytes) -> None:
    assert (device_name(a) == device_name(b)) == (a == b)


def test_hexadecimal_digits_of_a_plain_name_are_that_name() -> None:
    assert check_name("0x" + b"kitchen".hex()) == "kitchen"
    assert device_name(b"0x41") == "0x30783431"


@pytest.mark.parametrize("name", ["", "a" * 33, "a b", "-a", "0x", "0xABC", "0x" + "00" * 33, "ä", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


# -- devices -----------------------------------------------------------------------------------------------------------


def test_add_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(FleetError, match="there is a device of this name"), database.write() as session:
        registry.add(session, [NewDevice("a"), NewDevice("b"), NewDevice("a")], 0.0, ME)
    with database.read() as session:
        assert session.query(Device).count() == 0
        assert list(audit.entries(session)) == []


@pytest.mark.parametrize(
    "new", [NewDevice("a", "no-uuid"), NewDevice("a", board="no board"), NewDevice("a", tags=("UPPER",))]
)
def test_devices_that_cannot_be_added(database: Database, new: NewDevice) -> None:
    with pytest.raises(UsageError), database.write() as session:
        registry.add(session, [new], 0.0, ME)


def test_tags_are_put_on_and_taken_off(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [NewDevice("a", tags=("x", "y"))], 0.0, ME)
    with database.write() as session:
        assert registry.tag(session, "a", ["z"], ["x"], 1.0, ME).tag_names == ["y", "z"]
    with database.write() as session:
        registry.tag(session, "a", ["z"], ["x"], 2.0, ME)  # nothing changes: no entry
    with database.read() as session:
        assert [entry.action for entry in audit.entries(session)] == ["device add", "device tag"]
    with pytest.raises(UsageError, match="both"), database.write() as session:
        registry.tag(session, "a", ["x"], ["x"], 3.0, ME)


def test_removing_forgets_reports_too(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [NewDevice("a", tags=("x",))], 0.0, ME)
        check_in(session, FakeDevice("a").checkin(), Sender("::1"), Policy(), 1.0)
    with database.write() as session:
        registry.remove(session, "a", 2.0, ME)
    with database.read() as session:
        assert session.query(Report).count() == 0
        with pytest.raises(FleetError, match="no such device"):
            registry.find(session, "a")


def test_only_news_is_kept_and_not_too_much_of_it(database: Database) -> None:
    device = FakeDevice("a")
    with database.write() as session:
        registry.add(session, [NewDevice("a")], 0.0, ME)
        for k in range(5):
            check_in(session, device.checkin(), Sender("::1"), Policy(), float(k))
        assert len(registry.reports(session, "a")) == 1
        for k in range(50):
            device.attempt, device.reason = k + 1, Reason.TIMEOUT
            check_in(session, device.checkin(), Sender("::1"), Policy(), 10.0 + k)
        reports = registry.reports(session, "a")
        assert [report.attempt for report in reports] == list(range(50, 30, -1))


def test_unknown_devices_are_added_only_when_asked_for(database: Database) -> None:
    checkin = FakeDevice("a").checkin()
    with pytest.raises(UnknownDeviceError), database.write() as session:
        check_in(session, checkin, Sender("::1"), Policy(), 1.0)
    with database.write() as session:
        check_in(session, checkin, Sender("::1"), Policy(accept_new=True), 1.0)
    with database.read() as session:
        assert registry.find(session, "a").class_id == CLASS


def test_a_device_that_has_used_its_security_context_must_go_on_to(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [NewDevice("a"), NewDevice("b")], 0.0, ME)

    def come(name: str, context: str | None) -> None:
        with database.write() as session:
            check_in(session, FakeDevice(name).checkin(), Sender("::1", context), Policy(accept_new=True), 1.0)

    for context in (None, "a", "a"):
        come("a", context)
    for name, context in (("a", None), ("a", "b"), ("b", "a"), ("new", "a")):
        with pytest.raises(NotAuthenticError):
            come(name, context)
    come("b", None)
    with database.read() as session:
        assert {device.id: device.protected for device in session.query(Device)} == {"a": True, "b": False}


def test_check_ins_of_a_fleet_are_spread(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [NewDevice(f"d{k}") for k in range(100)], 0.0, ME)
        seconds = [
            check_in(session, FakeDevice(f"d{k}").checkin(), Sender("::1"), Policy(1000), 0.0).seconds
            for k in range(100)
        ]
    assert 900 <= min(s for s in seconds if s) < 950 < 1050 < max(s for s in seconds if s) <= 1100


# -- databases ---------------------------------------------------------------------------------------------------------


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no fleet"):
        open_database(str(tmp_path / "nothing.db"))
    assert not (tmp_path / "nothing.db").exists()


def test_a_folder_and_another_file(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="is a folder"):
        open_database(str(tmp_path), create=True)
    (tmp_path / "text").write_text("no database, but long enough to be read as one\n" * 50)
    with pytest.raises(FleetError, match="is no SQLite database"):
        open_database(str(tmp_path / "text"), create=True)


def test_the_database_of_another_program(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(FleetError, match="of another program"):
        open_database(str(tmp_path / "other.db"), create=True)
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("cats",)]


@pytest.mark.parametrize(("version", "which"), [(0, "older"), (2, "newer")])
def test_tables_of_another_version(tmp_path: Path, version: int, which: str) -> None:
    place = str(tmp_path / "fleet.db")
    open_database(place, create=True).close()
    with sqlite3.connect(place) as raw:
        raw.execute("UPDATE tinyops_schema SET version = ?", (version,))
    with pytest.raises(FleetError, match=f"of version {version}, those of this program of version 1") as error:
        open_database(place, create=True)
    assert error.value.hint is not None
    assert which in error.value.hint


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite+aiosqlite:///x", "://", "postgresql://[::1", "nothing://"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as error:
        open_database(url)
    assert error.value.allowed is not None


def test_a_password_is_not_told() -> None:
    with pytest.raises(TinyopsError) as error:
        open_database("postgresql://ann:secret@127.0.0.1:1/fleet")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "url", "extra"), [("sqlalchemy", "x.db", "update"), ("psycopg", "postgresql://h/n", "postgres")]
)
def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch, module: str, url: str, extra: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingToolError) as error:
        open_database(url)
    assert error.value.hint == f"pip install 'tinyops[{extra}]'"


def test_foreign_keys_and_write_ahead_log_are_on(database: Database) -> None:
    from sqlalchemy import text

    with database.read() as session:
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
def test_registry_on_postgresql() -> None:
    """What differs between the databases: creation by several at once, cascades, binary columns, locks."""
    from concurrent.futures import ThreadPoolExecutor

    with cluster() as url:
        with ThreadPoolExecutor(6) as pool:
            for opened in pool.map(lambda _: open_database(url, create=True), range(6)):
                opened.close()
        database = open_database(url)
        with database.write() as session:
            registry.add(session, [NewDevice("a", str(CLASS), "host", ("x", "y"))], 0.0, ME)

        def come(k: int) -> None:
            with database.write() as session:
                device = FakeDevice("a", sequence=k)
                check_in(session, device.checkin(), Sender("::1"), Policy(), float(k))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(come, range(60)))
        with database.write() as session:
            found = registry.as_dict(registry.find(session, "a"))
            assert found["tags"] == ["x", "y"]
            assert found["class"] == str(CLASS)
            assert len(registry.reports(session, "a")) <= 20
            registry.remove(session, "a", 100.0, ME)
        with database.read() as session:
            assert session.query(Report).count() == 0
            audit.verify(audit.entries(session))
        database.close()
