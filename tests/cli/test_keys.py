"""tinyops keys"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.cli.conftest import Tinyops
from tinyops.suit import cbor
from tinyops.update.inspection import inspect_path
from tinyops.update.keystore import Keystore


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of keys, the default one."""
    for name in ("TINYOPS_KEY_PASSPHRASE", "TINYOPS_PKCS11_PIN", "TINYOPS_PKCS11_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TINYOPS_KEYS", str(tmp_path / "keys"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path / "keys"


def test_generate_and_list(tinyops: Tinyops, keys: Path) -> None:
    done = tinyops("keys", "generate", "release")
    assert done.code == 0
    assert done.out.startswith("release  ed25519, signer, kid ")
    assert tinyops("keys", "generate", "root", "--role", "root", "--algorithm", "es256").code == 0
    assert tinyops("keys", "generate", "pq", "--algorithm", "hsslms", "--signatures", "32").code == 0
    assert tinyops("keys", "generate", "dev", "--algorithm", "aes-kw").code == 0
    shown = {key["name"]: key for key in tinyops("keys", "list", "--json").json()}
    assert {name: (key["algorithm"], key["role"]) for name, key in shown.items()} == {
        "release": ("ed25519", "signer"),
        "root": ("es256", "root"),
        "pq": ("hsslms", "signer"),
        "dev": ("aes-kw", "decrypt"),
    }
    assert (shown["pq"]["signatures_made"], shown["pq"]["signatures_possible"]) == (0, 32)
    lines = tinyops("keys", "list").out.splitlines()
    assert lines[0].split() == ["name", "algorithm", "role", "kid", "state"]
    assert any(line.split()[0] == "pq" and "0 of 32 signatures made" in line for line in lines)


def test_nothing_to_list(tinyops: Tinyops, keys: Path) -> None:
    done = tinyops("keys", "list")
    assert (done.code, done.out) == (0, "")
    assert f"no keys in {keys}" in done.err
    assert tinyops("keys", "list", "--json").json() == []


def test_a_copied_key_is_listed_as_such(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    tinyops("keys", "generate", "pq", "--algorithm", "hsslms", "--signatures", "32")
    tinyops("keys", "generate", "release")
    shutil.copytree(keys, tmp_path / "copy")
    done = tinyops("keys", "list", "--keys", tmp_path / "copy")
    assert done.code == 0
    assert "cannot sign: is a copy of an HSS/LMS key" in done.out
    assert "active" in done.out


def test_generate_twice(tinyops: Tinyops) -> None:
    tinyops("keys", "generate", "release")
    before = tinyops("keys", "list", "--json").out
    done = tinyops("keys", "generate", "release")
    assert done.code == 1
    assert "exists already" in done.err
    assert tinyops("keys", "list", "--json").out == before


def test_only_keys_that_end_have_a_number_of_signatures(tinyops: Tinyops, keys: Path) -> None:
    done = tinyops("keys", "generate", "release", "--signatures", "32")
    assert (done.code, "--signatures is for hsslms keys" in done.err) == (2, True)
    assert not (keys / "release").exists()


def test_experimental_algorithms_are_asked_for(tinyops: Tinyops) -> None:
    done = tinyops("keys", "generate", "m", "--algorithm", "ml-dsa-65")
    assert done.code == 2
    assert "try: --experimental" in done.err
    assert tinyops("keys", "generate", "m", "--algorithm", "ml-dsa-65", "--experimental").code == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["generate", "Release"], "is no name of a key"),
        (["generate", "a", "--role", "decrypt"], "cannot have the role decrypt"),
        (["generate", "a", "--algorithm", "rsa"], "is not one of"),
        (["generate", "a", "--pkcs11", "http://x"], "is no PKCS#11 URI"),
        (["generate", "a", "--pkcs11", "pkcs11:token=t;object=o"], "no PKCS#11 module is named"),
        (["generate", "a", "--pkcs11", "pkcs11:token=t;object=o?pin-value=1234"], "the URI holds a PIN"),
        (["generate", "a", "--pkcs11", "pkcs11:token=t?module-path=/x"], "names no object"),
        (["import", "a"], "one source of the key is needed"),
        (["rotate", "nothing"], "there is no key 'nothing'"),
        (["revoke", "nothing", "--local"], "there is no key 'nothing'"),
        (["export", "nothing"], "there is no key 'nothing'"),
        (["exprot", "nothing"], "No such command"),
    ],
)
def test_what_is_refused(tinyops: Tinyops, keys: Path, arguments: list[str], what: str) -> None:
    done = tinyops("keys", *arguments)
    assert done.code in (1, 2)
    assert what in done.err
    assert not keys.exists() or [path for path in keys.iterdir() if path.is_dir()] == []


# -- passphrases -------------------------------------------------------------------------------------------------------


def test_a_passphrase_comes_from_the_environment(tinyops: Tinyops, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYOPS_KEY_PASSPHRASE", "correct horse")
    assert tinyops("keys", "generate", "release", "--passphrase").code == 0
    assert b"ENCRYPTED" in (keys / "release" / "private.pem").read_bytes()
    record = Keystore(keys).get("release")
    assert Keystore(keys).signer(record, lambda _: b"correct horse").kid.hex() == record.kid


def test_a_passphrase_comes_from_a_file(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct horse\n")
    file.chmod(0o644)
    done = tinyops("keys", "generate", "release", "--passphrase-file", file)
    assert done.code == 1
    assert f"try: chmod 600 {file}" in done.err
    file.chmod(0o600)
    assert tinyops("keys", "generate", "release", "--passphrase-file", file).code == 0
    record = Keystore(keys).get("release")
    assert Keystore(keys).signer(record, lambda _: b"correct horse").kid.hex() == record.kid


def test_no_passphrase_without_a_terminal(tinyops: Tinyops, keys: Path) -> None:
    done = tinyops("keys", "generate", "release", "--passphrase")
    assert done.code == 2
    assert "there is no terminal to ask at" in done.err
    assert "TINYOPS_KEY_PASSPHRASE" in done.err
    assert Keystore(keys).records() == []


def test_an_empty_passphrase_is_none(tinyops: Tinyops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYOPS_KEY_PASSPHRASE", "")
    done = tinyops("keys", "generate", "release", "--passphrase")
    assert done.code == 2
    assert "the passphrase is empty" in done.err


# -- export and import -------------------------------------------------------------------------------------------------


def test_export(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    tinyops("keys", "generate", "release")
    tinyops("keys", "generate", "other")
    record = Keystore(keys).get("release")
    raw = bytes.fromhex(record.public)
    pem = tinyops("keys", "export", "release").out.encode()
    assert load_pem_public_key(pem).public_bytes_raw() == raw  # type: ignore[union-attr]
    assert tinyops("keys", "export", "release", "--format", "cose", "-o", "key.cose").code == 0
    table = cbor.decode((tmp_path / "key.cose").read_bytes())
    assert table == {1: 1, 2: bytes.fromhex(record.kid), 3: -19, -1: 6, -2: raw}
    shown = json.loads(tinyops("keys", "export", "release", "--format", "json").out)
    assert (shown["kid"], shown["public"], shown["cose_algorithm"]) == (record.kid, record.public, -19)
    header = tinyops("keys", "export", "release", "other", "--format", "c").out
    assert "static const uint8_t tinyops_key_release[32] = {" in header
    assert "static const uint8_t tinyops_key_other_kid[8] = {" in header
    done = tinyops("keys", "export", "release", "other")
    assert done.code == 2
    assert "one pem file holds one key" in done.err


def test_a_secret_is_not_exported(tinyops: Tinyops) -> None:
    tinyops("keys", "generate", "dev", "--algorithm", "aes-kw")
    for form in ("pem", "cose", "c", "json"):
        done = tinyops("keys", "export", "dev", "--format", form)
        assert (done.code, done.out) == (1, "")
        assert "has no public half" in done.err


def test_import(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    tinyops("keys", "generate", "release")
    pem = keys / "release" / "private.pem"
    done = tinyops("keys", "import", "again", pem)
    assert done.code == 1
    assert "here already, as 'release'" in done.err
    elsewhere = ["--keys", tmp_path / "elsewhere"]
    assert tinyops("keys", "import", "again", pem, *elsewhere, "--role", "root").code == 0
    (found,) = tinyops("keys", "list", "--json", *elsewhere).json()
    (known,) = tinyops("keys", "list", "--json").json()
    assert (found["kid"], found["role"]) == (known["kid"], "root")


# -- rotation and revocation -------------------------------------------------------------------------------------------


def test_rotation_and_revocation(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    tinyops("keys", "generate", "release")
    done = tinyops("keys", "revoke", "release", "--vendor", "example.com", "--class", "a|b|c")
    assert done.code == 1
    assert "there is no root key" in done.err
    tinyops("keys", "generate", "root", "--role", "root")
    done = tinyops("keys", "rotate", "release")
    assert done.out.startswith("release-2  ed25519, signer, kid ")
    assert "replaced by release-2" in tinyops("keys", "list").out
    assert Keystore(keys).get("release").revoked is None

    done = tinyops("keys", "revoke", "release")
    assert done.code == 2
    assert "no class of devices is named" in done.err
    identity = ["--vendor", "example.com", "--class", "a|b|c"]
    assert Keystore(keys).get("release").revoked is None
    done = tinyops("keys", "revoke", "release", *identity, "-o", "revoked", "--sequence", "5", "--json")
    assert done.code == 0
    assert done.json()["sequence"] == 5
    store = Keystore(keys)
    assert store.get("release").revoked is not None
    shown = inspect_path(tmp_path / "revoked", store.verification_keys(), store.names())
    assert shown["ok"]
    assert shown["manifest"]["components"] == ["keys"]
    kid = store.get("release").kid
    assert any(f"8148{kid}" in str(step) for step in shown["manifest"]["steps"]["to install"])
    assert shown["manifest"]["revokes"] == ["release"]
    assert shown["manifest"]["signatures"] == [{"algorithm": "ed25519", "key": "root", "state": "ok"}]


@pytest.mark.parametrize("algorithm", ["es256", "hsslms", "aes-kw", "ecdh-es"])
def test_every_kind_of_key_is_rotated(tinyops: Tinyops, keys: Path, algorithm: str) -> None:
    arguments = ["--signatures", "32"] if algorithm == "hsslms" else []
    tinyops("keys", "generate", "old", "--algorithm", algorithm, *arguments)
    assert tinyops("keys", "rotate", "old", "--to", "new").code == 0
    old, new = (Keystore(keys).get(name) for name in ("old", "new"))
    assert (old.algorithm, old.role, old.levels) == (new.algorithm, new.role, new.levels)
    assert (old.replaced_by, new.replaces) == ("new", "old")
    assert old.kid != new.kid


def test_a_revocation_that_fails_leaves_the_key(tinyops: Tinyops, keys: Path, tmp_path: Path) -> None:
    tinyops("keys", "generate", "release")
    tinyops("keys", "generate", "root", "--role", "root")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    identity = ["--vendor", "example.com", "--class", "a|b|c"]
    assert tinyops("keys", "revoke", "release", *identity, "-o", "taken").code == 2
    assert tinyops("keys", "revoke", "release", *identity, "--root", "release").code == 2
    done = tinyops("keys", "revoke", "root", "--root", "root", *identity)
    assert "would revoke itself" in done.err
    assert [record.revoked for record in Keystore(keys).records()] == [None, None]


def test_the_keystore_of_others_is_not_used(tinyops: Tinyops, keys: Path) -> None:
    if os.name != "posix":
        pytest.skip("modes are those of POSIX")
    tinyops("keys", "generate", "release")
    (keys / "release" / "private.pem").chmod(0o604)
    keys.chmod(0o755)
    done = tinyops("keys", "list")
    assert done.code == 1
    assert f"try: chmod 700 {keys}" in done.err


@pytest.mark.parametrize("package", ["cryptography", "pyhsslms"])
def test_a_package_that_is_missing_is_named(tinyops: Tinyops, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    tinyops("keys", "generate", "pq", "--algorithm", "hsslms", "--signatures", "32")
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    for arguments in (["generate", "a"], ["generate", "b", "--algorithm", "hsslms"], ["list"], ["export", "pq"]):
        done = tinyops("keys", *arguments)
        assert done.code == 0 or 'try: pip install "tinyops[update]"' in done.err
    assert tinyops("keys", "generate", "c", "--algorithm", "hsslms" if package == "pyhsslms" else "es256").code == 1
