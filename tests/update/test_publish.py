"""Publishing: what is refused, with which words, and what a full disk leaves behind."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import TestKey, make_pack, model
from tests.update.test_server import ME, keys, pack, path_of
from tinyops.suit import SuitError
from tinyops.suit.reasons import Reason
from tinyops.update import audit, bundles, registry
from tinyops.update.database import Database, FleetError, open_database
from tinyops.update.keystore import Keystore
from tinyops.update.store import Store
from tinyops.update.tables import Bundle, Device

__all__ = ["keys"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(str(tmp_path / "fleet.db"), create=True)
    yield opened
    opened.close()


def test_publishing_twice_changes_nothing(database: Database, tmp_path: Path, keys: Keystore) -> None:
    store = Store(tmp_path / "store")
    read = pack(tmp_path / "v2", 2, keys)
    first = bundles.publish(database, store, read, 1.0, ME)
    assert bundles.publish(database, store, read, 2.0, ME).id == first.id
    with database.read() as session:
        assert [entry.action for entry in audit.entries(session)] == ["update publish"]


def test_a_key_that_is_not_ours(tmp_path: Path, keys: Keystore) -> None:
    folder = make_pack(tmp_path / "v2", 2, key=TestKey(bytes(range(32))))
    with pytest.raises(SuitError) as error:
        bundles.read_pack(folder, keys, time.time())
    assert error.value.reason is Reason.UNKNOWN_KEY


def test_a_revoked_key(tmp_path: Path) -> None:
    keys = Keystore(tmp_path / "keys")
    folder = make_pack(tmp_path / "v2", 2, key=keys.signer(keys.generate("old")))
    keys.mark_revoked("old")
    with pytest.raises(SuitError) as error:
        bundles.read_pack(folder, keys, time.time())
    assert error.value.reason is Reason.REVOKED_KEY


def test_an_expired_manifest(tmp_path: Path, keys: Keystore) -> None:
    folder = make_pack(tmp_path / "v2", 2, key=keys.signer(keys.get("ci")), use_before=1_700_000_000)
    assert bundles.read_pack(folder, keys, 1_699_999_999.0).facts.use_before == 1_700_000_000
    with pytest.raises(SuitError) as error:
        bundles.read_pack(folder, keys, time.time())
    assert error.value.reason is Reason.EXPIRED
    assert "2023-11-14 22:13:20Z" in str(error.value)


def test_a_changed_manifest_and_a_changed_payload(tmp_path: Path, keys: Keystore) -> None:
    signer = keys.signer(keys.get("ci"))
    folder = make_pack(tmp_path / "a", 2, key=signer)
    data = bytearray((folder / "manifest.suit").read_bytes())
    data[-20] ^= 1
    (folder / "manifest.suit").write_bytes(data)
    with pytest.raises(SuitError):
        bundles.read_pack(folder, keys, time.time())
    folder = make_pack(tmp_path / "b", 2, key=signer)
    (folder / "capsule.bin").write_bytes(model(9))
    with pytest.raises(Exception, match=r"is not in the pack|no file of the pack"):
        bundles.read_pack(folder, keys, time.time())


def test_a_downgrade(database: Database, tmp_path: Path, keys: Keystore) -> None:
    store = Store(tmp_path / "store")
    bundles.publish(database, store, pack(tmp_path / "v3", 3, keys), 1.0, ME)
    with pytest.raises(FleetError, match="sequence number 2 is not above 3"):
        bundles.publish(database, store, pack(tmp_path / "v2", 2, keys), 2.0, ME)
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 2


def test_payloads_by_file_name_would_be_mixed(tmp_path: Path, keys: Keystore) -> None:
    folder = make_pack(tmp_path / "v2", 2, key=keys.signer(keys.get("ci")), uri="capsule.bin")
    with pytest.raises(Exception, match="by the name of a file"):
        bundles.read_pack(folder, keys, time.time())


def test_a_path_has_one_content(database: Database, tmp_path: Path, keys: Keystore) -> None:
    signer = keys.signer(keys.get("ci"))
    for sequence in (2, 3):
        make_pack(tmp_path / f"v{sequence}", sequence, key=signer, uri="models/capsule.bin")
    store = Store(tmp_path / "store")
    bundles.publish(database, store, bundles.read_pack(tmp_path / "v2", keys, 0.0), 1.0, ME)
    with pytest.raises(FleetError, match="has other content"):
        bundles.publish(database, store, bundles.read_pack(tmp_path / "v3", keys, 0.0), 1.0, ME)


def test_withdrawing(database: Database, tmp_path: Path, keys: Keystore) -> None:
    store = Store(tmp_path / "store")
    bundle = bundles.publish(database, store, pack(tmp_path / "v2", 2, keys), 1.0, ME)
    with database.read() as session:
        assert bundles.lookup(session, tuple(path_of(2).split("/"))) is not None
    bundles.withdraw(database, store, bundle.id[:16], 2.0, ME)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    with database.read() as session:
        assert bundles.lookup(session, tuple(path_of(2).split("/"))) is None
    assert bundles.publish(database, store, pack(tmp_path / "again", 2, keys), 3.0, ME).withdrawn is None


def test_the_store_has_a_bound(database: Database, tmp_path: Path, keys: Keystore) -> None:
    store = Store(tmp_path / "store", max_total=4000)
    with pytest.raises(FleetError, match=r"capsule\.bin needs 5,000 B, and 0 of 4,000 B are taken"):
        bundles.publish(database, store, pack(tmp_path / "v2", 2, keys), 1.0, ME)
    _nothing_was_published(database, tmp_path)


def test_a_full_disk(database: Database, tmp_path: Path, keys: Keystore) -> None:
    """Files may not grow over 4,000 bytes, as on a disk that is full: EFBIG instead of ENOSPC."""
    read = pack(tmp_path / "v2", 2, keys)
    with database.write() as session:  # the write-ahead log has its size
        registry.add(session, [registry.NewDevice("d0")], 0.0, ME)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = Store(tmp_path / "store")
    store_add = store.add

    def limited(data: bytes, name: str) -> bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
        try:
            return store_add(data, name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    store.add = limited  # type: ignore[method-assign]
    try:
        with pytest.raises(FleetError, match=r"the disk is full: capsule.bin needs 5,000 B; nothing was published"):
            bundles.publish(database, store, read, 1.0, ME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    _nothing_was_published(database, tmp_path)
    bundles.publish(database, Store(tmp_path / "store"), read, 2.0, ME)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_file_system(tmp_path: Path, keys: Keystore) -> None:
    """Store and database on a file system of 400 KiB: each says so, and neither is damaged."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    try:
        database = open_database(str(tmp_path / "fleet.db"), create=True)
        read = pack(tmp_path / "v2", 2, keys, content=secrets.token_bytes(500_000))
        with pytest.raises(FleetError, match="the disk is full"):
            bundles.publish(database, Store(small / "store"), read, 1.0, ME)
        assert not [path for path in (small / "store").rglob("*") if path.is_file()]
        _nothing_was_published(database, small)
        database.close()
        database = open_database(str(small / "fleet.db"), create=True)
        added = 0

        def fill() -> None:
            nonlocal added
            while added < 5000:
                with database.write() as session:
                    registry.add(session, [registry.NewDevice(f"d{added}", tags=("a" * 40,))], 0.0, ME)
                added += 1

        with pytest.raises(FleetError, match="the disk is full"):
            fill()
        with database.read() as session:
            assert len(session.query(Device).all()) == added
            audit.verify(audit.entries(session))
        database.close()
    finally:
        subprocess.run(["umount", small], check=True)


def _nothing_was_published(database: Database, folder: Path) -> None:
    with database.read() as session:
        assert session.query(Bundle).count() == 0
        assert "update publish" not in [entry.action for entry in audit.entries(session)]
    assert not [path for path in (folder / "store").rglob("*") if path.is_file()]
