"""Keys on the disk: who may read them, what survives a crash, what they sign."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from tinyops.errors import TinyopsError
from tinyops.update import hsslms, key_files
from tinyops.update.key_export import export
from tinyops.update.keystore import Keystore
from tinyops.update.signing import Algorithm, PublicKey, SoftwareSigner

_PASSPHRASE = b"correct horse"
_FAST = [Algorithm.ED25519, Algorithm.ES256, Algorithm.HSSLMS, Algorithm.ML_DSA_44, Algorithm.ML_DSA_65]


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", tmp_path / "witness")


@pytest.mark.parametrize("algorithm", _FAST)
@pytest.mark.parametrize("passphrase", [None, _PASSPHRASE], ids=["plain", "passphrase"])
def test_a_key_signs_what_its_public_key_verifies(
    store: Keystore, algorithm: Algorithm, passphrase: bytes | None
) -> None:
    record = store.generate("release", algorithm, passphrase=passphrase)
    assert store.needs_passphrase(record) == (passphrase is not None)
    signer = store.signer(store.get("release"), lambda _: _PASSPHRASE)
    assert signer.kid.hex() == record.kid
    assert signer.algorithm == algorithm.cose
    signature = signer.sign(b"message")
    assert record.public_key.verify(b"message", signature)
    assert not record.public_key.verify(b"messagf", signature)
    assert not record.public_key.verify(b"message", bytes([signature[0] ^ 1]) + signature[1:])
    assert not record.public_key.verify(b"message", signature[:-1])
    assert not record.public_key.verify(b"message", signature + b"\0")
    assert not record.public_key.verify(b"message", b"")


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ES256, Algorithm.HSSLMS])
def test_a_wrong_passphrase_is_refused(store: Keystore, algorithm: Algorithm) -> None:
    record = store.generate("release", algorithm, passphrase=_PASSPHRASE)
    with pytest.raises(TinyopsError, match="passphrase is wrong"):
        store.signer(record, lambda _: b"battery staple")
    with pytest.raises(TinyopsError, match="passphrase"):
        store.signer(record)


def test_no_file_holds_the_secret_in_the_open(store: Keystore) -> None:
    store.generate("release", Algorithm.HSSLMS, passphrase=_PASSPHRASE)
    table = json.loads((store.folder / "release" / "secret.json").read_text())
    assert set(table) == {"purpose", "salt", "nonce", "scrypt-aes-256-gcm"}


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_only_the_owner_may_look(store: Keystore) -> None:
    old = os.umask(0)
    try:
        store.generate("release", Algorithm.HSSLMS)
        store.generate("other")
    finally:
        os.umask(old)
    for path in [store.folder, *store.folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(
    ("name", "mode", "wanted"), [("release/private.pem", 0o640, "600"), ("release", 0o755, "700"), (".", 0o750, "700")]
)
def test_what_others_may_read_is_refused(store: Keystore, name: str, mode: int, wanted: str) -> None:
    record = store.generate("release")
    path = (store.folder / name).resolve()
    path.chmod(mode)
    with pytest.raises(TinyopsError, match="others may read it") as caught:
        store.signer(store.get("release"))
    assert caught.value.hint == f"chmod {wanted} {path}"
    path.chmod(int(wanted, 8))
    assert store.signer(record).kid.hex() == record.kid


def test_a_name_is_taken_once(store: Keystore) -> None:
    first = store.generate("release")
    with pytest.raises(TinyopsError, match="exists already"):
        store.generate("release")
    assert store.get("release") == first


@pytest.mark.parametrize("name", ["", "..", "a/b", "Release", "a" * 49, "-a", ".a", "a\0", "a\n"])
def test_names_are_no_paths(store: Keystore, name: str) -> None:
    with pytest.raises(TinyopsError, match="is no name of a key"):
        store.generate(name)
    with pytest.raises(TinyopsError, match="is no name of a key"):
        store.get(name)


def test_an_unknown_key_names_those_that_look_like_it(store: Keystore) -> None:
    store.generate("release")
    with pytest.raises(TinyopsError) as caught:
        store.get("relaese")
    assert caught.value.allowed == "release"


def test_nothing_is_left_of_a_key_that_cannot_be_written(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    store.generate("first")
    monkeypatch.setattr(key_files, "write_private", full)
    with pytest.raises(TinyopsError, match="No space left on device"):
        store.generate("release")
    assert sorted(path.name for path in store.folder.iterdir()) == ["first"]


# -- rotation and revocation -------------------------------------------------------------------------------------------


def test_rotation_keeps_the_old_key_until_it_is_revoked(store: Keystore) -> None:
    old = store.generate("release")
    assert store.next_name("release") == "release-2"
    new = store.generate("release-2", replaces="release")
    store.mark_replaced("release", "release-2")
    assert store.next_name("release-2") == "release-3"
    assert {record.name for record in store.trusted()} == {"release", "release-2"}
    assert store.signer(store.get("release")).kid.hex() == old.kid
    store.mark_revoked("release")
    assert [record.name for record in store.trusted()] == ["release-2"]
    with pytest.raises(TinyopsError, match="was revoked") as caught:
        store.signer(store.get("release"))
    assert caught.value.hint == "--key release-2"
    assert store.signer(store.get("release-2")).kid.hex() == new.kid
    when = store.get("release").revoked
    assert store.mark_revoked("release").revoked == when


@pytest.mark.parametrize("algorithm", [Algorithm.AES_KW, Algorithm.ECDH_ES])
def test_keys_for_decryption(store: Keystore, algorithm: Algorithm) -> None:
    record = store.generate("devices", algorithm, "decrypt", passphrase=_PASSPHRASE)
    (key,) = store.device_keys(None, lambda _: _PASSPHRASE)
    recipient = store.recipient(record, lambda _: _PASSPHRASE)
    assert (key.kid.hex(), recipient.kid) == (record.kid, key.kid)
    assert (recipient.material == key.material) == (algorithm is Algorithm.AES_KW)
    with pytest.raises(TinyopsError, match="is for decryption"):
        store.signer(record)
    with pytest.raises(TinyopsError, match="cannot have the role signer"):
        store.generate("other", algorithm, "signer")
    assert store.trusted() == store.verification_keys() == []
    with pytest.raises(TinyopsError, match="was revoked"):
        store.recipient(store.mark_revoked("devices"))
    assert store.device_keys() == []


def test_what_a_device_is_built_with(store: Keystore) -> None:
    store.generate("release")
    store.generate("root", Algorithm.ES256, "root")
    store.generate("future", Algorithm.ML_DSA_44)
    store.generate("old")
    store.mark_revoked("old")
    names = store.names()
    assert [(names[key.kid], key.roles.name) for key in store.device_keys()] == [
        ("release", "SIGNER"),
        ("root", "ROOT"),
    ]
    assert {names[key.kid] for key in store.verification_keys() if key.revoked} == {"old"}


# -- hostile files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 60000,
        b'{"version": 2}',
        b"\xff\xfe",
        b'{"version": 1, "name": "release", "algorithm": "ed25519", "role": "god"}',
    ],
    ids=range(7),
)
def test_a_damaged_record_is_refused(store: Keystore, content: bytes) -> None:
    store.generate("release")
    key_files.write_private(store.folder / "release" / "key.json", content)
    with pytest.raises(TinyopsError, match="is damaged"):
        store.get("release")


def test_a_record_of_another_key_is_refused(store: Keystore) -> None:
    store.generate("release")
    store.generate("other")
    for name in ("key.json", "private.pem"):
        before = (store.folder / "release" / name).read_bytes()
        key_files.write_private(store.folder / "release" / name, (store.folder / "other" / name).read_bytes())
        with pytest.raises(TinyopsError, match=r"is damaged|another key"):
            store.signer(store.get("release"))
        key_files.write_private(store.folder / "release" / name, before)


def test_a_large_file_and_a_pipe_are_no_keys(store: Keystore) -> None:
    record = store.generate("release")
    pem = store.folder / "release" / "private.pem"
    pem.write_bytes(b"x" * (key_files.MAX_BYTES + 1))
    with pytest.raises(TinyopsError, match="is no key file"):
        store.signer(record)
    pem.unlink()
    os.mkfifo(pem, 0o600)
    with pytest.raises(TinyopsError, match="is no key file"):
        store.signer(record)


@pytest.mark.parametrize("bits", [1024, 2048])
def test_keys_of_other_kinds_are_not_imported(store: Keystore, tmp_path: Path, bits: int) -> None:
    file = tmp_path / "rsa.pem"
    key = rsa.generate_private_key(65537, bits) if bits > 1024 else ec.generate_private_key(ec.SECP384R1())
    key_files.write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(TinyopsError, match="is no key for updates"):
        store.import_pem("release", file, "signer", lambda _: b"")


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", bytes(range(99, 198))],
    ids=["empty", "cut", "encrypted", "binary"],
)
def test_what_is_no_key_is_not_imported(store: Keystore, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.pem"
    key_files.write_private(file, content)
    with pytest.raises(TinyopsError):
        store.import_pem("release", file, "signer", lambda _: b"x")
    assert store.records() == []


def test_import_of_what_openssl_makes(store: Keystore, tmp_path: Path) -> None:
    file = tmp_path / "some.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    key_files.write_private(file, pem)
    record = store.import_pem("ec", file, "signer", lambda _: pytest.fail("it has no passphrase"))
    with pytest.raises(TinyopsError, match="here already, as 'ec'"):
        store.import_pem("again", file, "signer", lambda _: b"")
    assert record.public_key.verify(b"m", store.signer(record).sign(b"m"))

    other = ed25519.Ed25519PrivateKey.generate()
    sealed = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_PASSPHRASE))
    key_files.write_private(file, sealed)
    record = store.import_pem("ed", file, "root", lambda _: _PASSPHRASE)
    assert store.needs_passphrase(record)
    assert record.public == other.public_key().public_bytes_raw().hex()


@pytest.mark.parametrize(
    ("algorithm", "raw"),
    [
        (Algorithm.ED25519, b"x" * 31),
        (Algorithm.ES256, b"\x01" * 64),
        (Algorithm.HSSLMS, bytes(60)),
        (Algorithm.HSSLMS, b"\0\0\0\x09" + bytes(56)),
    ],
)
def test_what_is_no_public_key_is_refused(algorithm: Algorithm, raw: bytes) -> None:
    with pytest.raises(TinyopsError):
        PublicKey(algorithm, raw)


# -- export ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ES256, Algorithm.ML_DSA_44])
def test_pem_is_what_others_read(store: Keystore, algorithm: Algorithm) -> None:
    record = store.generate("release", algorithm)
    signer = SoftwareSigner.from_pem((store.folder / "release" / "private.pem").read_bytes(), None, "")
    assert load_pem_public_key(export(record, "pem")) == signer._key.public_key()


def test_pem_of_hss_is_an_x509_key(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    parsed = subprocess.run(["openssl", "asn1parse"], input=export(record, "pem"), capture_output=True, check=True)
    assert b"1.2.840.113549.1.9.16.3.17" in parsed.stdout or b"hashsig" in parsed.stdout
    assert b"BIT STRING" in parsed.stdout


# -- HSS/LMS: a one-time key is never used twice ---------------------------------------------------------------------


def _index(signature: bytes) -> int:
    """The number of the one-time key of an HSS signature of one or two levels."""
    if signature[:4] == b"\0\0\0\0":
        return int.from_bytes(signature[4:8], "big")
    upper = int.from_bytes(signature[4:8], "big")
    lower = int.from_bytes(signature[4 + 1292 + 56 :][:4], "big")
    return upper * 32 + lower


def test_indexes_ascend(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)
    again = store.signer(record)
    assert [_index(s.sign(b"x")) for s in (signer, again, signer)] == [0, 1, 2]
    assert store.used_signatures(record) == (3, 1024)


def test_the_second_tree_follows_the_first(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)
    assert isinstance(signer, hsslms.HssSigner)
    first = signer.sign(b"a")
    with hsslms.locked(store.folder / "release" / "lock"):
        assert signer._state.reserve(31) == 31
    second = signer.sign(b"b")
    assert _index(second) == 32
    assert first[4:1296] != second[4:1296]
    for message, signature in ((b"a", first), (b"b", second)):
        assert record.public_key.verify(message, signature)


def test_a_key_ends(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS, levels=1)
    signer = store.signer(record)
    signatures = [signer.sign(b"x") for _ in range(32)]
    assert [_index(s) for s in signatures] == list(range(32))
    assert record.public_key.verify(b"x", signatures[-1])
    with pytest.raises(TinyopsError, match="all of its 32 signatures"):
        signer.sign(b"x")


def test_the_top_key_signs_each_tree_once(store: Keystore) -> None:
    """Where a tree's signature is lost, the tree is skipped: a second signature would give the top key away."""
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)
    signer.sign(b"a")
    (store.folder / "release" / "tree-0.sig").unlink()
    signature = signer.sign(b"b")
    assert _index(signature) == 32
    assert record.public_key.verify(b"b", signature)


def test_a_damaged_tree_signature_is_refused(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)
    signer.sign(b"a")
    file = store.folder / "release" / "tree-0.sig"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(TinyopsError, match="is damaged"):
        signer.sign(b"b")


_CRASH = """
    import os, signal, sys
    from pathlib import Path
    from tinyops.update import hsslms, key_files
    from tinyops.update.keystore import Keystore

    store = Keystore(Path(sys.argv[1]), Path(sys.argv[2]))
    signer = store.signer(store.get("release"))
    print(int.from_bytes(signer.sign(b"before")[1352:][:4], "big"), flush=True)
    where, count = sys.argv[3], 0

    def die(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "sign":
        hsslms.HssSigner._sign_at = die
    else:
        real = Path.replace
        def replace(path, target):
            global count
            count += 1
            if where == f"before {count}":
                die()
            real(path, target)
            if where == f"after {count}":
                die()
        Path.replace = replace
    signer.sign(b"lost")
    print("signed", flush=True)
"""


@pytest.mark.parametrize("where", ["sign", "before 1", "after 1", "before 2", "after 2"])
def test_a_crash_loses_an_index_and_repeats_none(store: Keystore, where: str) -> None:
    """kill -9 between reservation and signature, and around each file of the reservation."""
    record = store.generate("release", Algorithm.HSSLMS)
    arguments = [str(store.folder), str(store._witness), where]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_CRASH), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "0\n"
    signature = store.signer(record).sign(b"after")
    assert _index(signature) == (1 if where == "before 1" else 2)
    assert record.public_key.verify(b"after", signature)


def test_the_index_is_on_the_disk_before_the_signature(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)
    events: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), real(handle))[1])
    sign_at = hsslms.HssSigner._sign_at

    def watched(self: hsslms.HssSigner, index: int, message: bytes) -> bytes:
        events.append("sign")
        return sign_at(self, index, message)

    monkeypatch.setattr(hsslms.HssSigner, "_sign_at", watched)
    signer.sign(b"x")
    assert events[:5] == ["fsync"] * 4 + ["sign"]  # file and folder, of the state and of its witness


def test_no_signature_without_a_reservation(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    signer = store.signer(record)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hsslms, "write_private", full)
    monkeypatch.setattr(hsslms.HssSigner, "_sign_at", lambda *_: pytest.fail("it signs"))
    with pytest.raises(TinyopsError, match="cannot be reserved: No space left"):
        signer.sign(b"x")


def test_a_restored_state_is_refused(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    file = store.folder / "release" / "state.json"
    backup = file.read_bytes()
    store.signer(record).sign(b"x")
    key_files.write_private(file, backup)
    with pytest.raises(TinyopsError, match="was restored: it is at 0, and 1 signatures"):
        store.signer(record).sign(b"y")


def test_a_copied_key_is_refused(store: Keystore, tmp_path: Path) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    shutil.copytree(store.folder, tmp_path / "copy")
    copied = Keystore(tmp_path / "copy", tmp_path / "witness")
    with pytest.raises(TinyopsError, match="is a copy"):
        copied.signer(copied.get("release")).sign(b"x")
    elsewhere = Keystore(store.folder, tmp_path / "other-home")
    with pytest.raises(TinyopsError, match="record of used signatures is gone"):
        elsewhere.signer(record).sign(b"x")
    assert store.used_signatures(record) == (0, 1024)


def test_another_machine_is_noticed(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    monkeypatch.setattr(hsslms, "_machine", lambda: "another")
    with pytest.raises(TinyopsError, match="is a copy"):
        store.signer(record).sign(b"x")


@pytest.mark.parametrize("content", [b"", b"{}", b'{"next": -1}', b'{"next": "0"}', b'{"next": true}', b"[" * 50000])
def test_a_damaged_state_is_refused(store: Keystore, content: bytes) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    key_files.write_private(store.folder / "release" / "state.json", content)
    with pytest.raises(TinyopsError, match="is damaged"):
        store.signer(record).sign(b"x")


def test_processes_do_not_share_an_index(store: Keystore) -> None:
    record = store.generate("release", Algorithm.HSSLMS)
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from tinyops.update.keystore import Keystore

        store = Keystore(Path(sys.argv[1]), Path(sys.argv[2]))
        signer = store.signer(store.get("release"))
        for _ in range(2):
            print(int.from_bytes(signer.sign(b"x")[1352:][:4], "big"))
    """)
    arguments = [sys.executable, "-c", script, str(store.folder), str(store._witness)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    printed = [int(line) for process in running for line in process.communicate()[0].split()]
    assert sorted(printed) == list(range(6))
    assert store.used_signatures(record) == (6, 1024)
