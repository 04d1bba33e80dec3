"""Keys on PKCS#11 tokens, with SoftHSM as the token."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyops.errors import TinyopsError, UsageError
from tinyops.update.keystore import Keystore
from tinyops.update.pkcs11 import generate_on_token, parse_uri, token_public_key
from tinyops.update.signing import Algorithm, PublicKey, SoftwareSigner

_PLACES = ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm")
_MODULE = next((path for place in _PLACES if (path := Path(place) / "libsofthsm2.so").is_file()), None)
_PIN = b"73519"
_BOTH = [Algorithm.ED25519, Algorithm.ES256]

needs_softhsm = pytest.mark.skipif(
    _MODULE is None or shutil.which("softhsm2-util") is None, reason="softhsm2 is not installed"
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A token called "signing"; the module keeps its first configuration for as long as the process lives."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "signing", "--pin", _PIN.decode(), "--so-pin", "1234"],
        check=True,
        capture_output=True,
    )
    yield f"pkcs11:token=signing;object={{}}?module-path={_MODULE}"
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keystore:
    monkeypatch.delenv("TINYOPS_PKCS11_PIN", raising=False)
    return Keystore(tmp_path / "keys", tmp_path / "witness")


def _ask() -> bytes:
    return _PIN


def _generate(store: Keystore, name: str, uri: str, algorithm: Algorithm) -> PublicKey:
    record = store.add_token(name, uri, lambda place: generate_on_token(place, algorithm, _ask), "signer")
    return record.public_key


@needs_softhsm
@pytest.mark.parametrize("algorithm", _BOTH)
def test_a_token_makes_and_uses_a_key(store: Keystore, token: str, algorithm: Algorithm) -> None:
    uri = token.format(f"made-{algorithm}")
    public = _generate(store, "release", uri, algorithm)
    assert public.algorithm is algorithm
    signature = store.signer(store.get("release"), pin=lambda _: _PIN).sign(b"message")
    assert public.verify(b"message", signature)
    assert not public.verify(b"messagf", signature)
    assert [path.name for path in (store.folder / "release").iterdir()] == ["key.json"]
    assert _PIN not in (store.folder / "release" / "key.json").read_bytes()
    assert token_public_key(parse_uri(uri), _ask) == public


@needs_softhsm
def test_a_label_is_made_once(store: Keystore, token: str) -> None:
    uri = token.format("once")
    _generate(store, "one", uri, Algorithm.ED25519)
    with pytest.raises(TinyopsError, match="has a key 'once' already"):
        _generate(store, "two", uri, Algorithm.ED25519)
    with pytest.raises(TinyopsError, match="here already, as 'one'"):
        store.add_token("two", uri, lambda place: token_public_key(place, _ask), "signer")
    assert [record.name for record in store.records()] == ["one"]


@needs_softhsm
def test_the_pin_comes_from_a_file_or_the_environment(
    store: Keystore, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = _generate(store, "release", token.format("pins"), Algorithm.ED25519)
    file = tmp_path / "pin"
    file.write_bytes(_PIN + b"\n")
    file.chmod(0o644)
    uri = parse_uri(token.format("pins") + f"&pin-source=file:{file}")
    with pytest.raises(TinyopsError, match="others may read it"):
        token_public_key(uri, _ask)
    file.chmod(0o600)
    assert token_public_key(uri, lambda: pytest.fail("it asks")) == public
    monkeypatch.setenv("TINYOPS_PKCS11_PIN", _PIN.decode())
    assert token_public_key(parse_uri(token.format("pins")), lambda: pytest.fail("it asks")) == public


@needs_softhsm
def test_a_wrong_pin_is_not_repeated(store: Keystore, token: str) -> None:
    _generate(store, "release", token.format("wrong"), Algorithm.ED25519)
    with pytest.raises(TinyopsError, match="the PIN is wrong") as caught:
        store.signer(store.get("release"), pin=lambda _: b"99887766").sign(b"x")
    assert "99887766" not in str(caught.value)


@needs_softhsm
@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("pkcs11:token=nothing;object=a?module-path={}", "there is no such token"),
        ("pkcs11:token=signing;object=nothing?module-path={}", "there is no such key on the token"),
    ],
)
def test_what_is_not_there(token: str, uri: str, what: str) -> None:
    with pytest.raises(TinyopsError, match=what):
        token_public_key(parse_uri(uri.format(_MODULE)), _ask)


@needs_softhsm
def test_another_key_under_the_same_name_is_noticed(store: Keystore, token: str) -> None:
    """The token's object was replaced: the signature is not the one that devices would accept."""
    uri = token.format("swapped")
    _generate(store, "release", uri, Algorithm.ED25519)
    other = SoftwareSigner.generate(Algorithm.ED25519).public
    elsewhere = Keystore(store.folder.parent / "other", store.folder.parent / "witness")
    record = elsewhere.add_token("release", uri, lambda _: other, "signer")
    with pytest.raises(TinyopsError, match="signed with another key"):
        elsewhere.signer(record, pin=lambda _: _PIN).sign(b"x")


def test_a_module_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11")
    module = tmp_path / "module.so"
    module.write_bytes(b"no library")
    with pytest.raises(TinyopsError, match="cannot be loaded"):
        token_public_key(parse_uri(f"pkcs11:token=a;object=b?module-path={module}"), _ask)


@pytest.mark.parametrize("algorithm", [Algorithm.HSSLMS, Algorithm.ML_DSA_44, Algorithm.AES_KW])
def test_algorithms_that_tokens_do_not_have(algorithm: Algorithm) -> None:
    uri = parse_uri("pkcs11:token=a;object=b?module-path=/x")
    with pytest.raises(UsageError, match="cannot be on a PKCS#11 token"):
        generate_on_token(uri, algorithm, _ask)


def test_uris(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYOPS_PKCS11_MODULE", raising=False)
    found = parse_uri("pkcs11:token=My%20token;serial=1;object=a%3Bb;id=%01%ff?module-path=/x&pin-source=file:/pin")
    assert (found.token, found.serial, found.object, found.id) == ("My token", "1", "a;b", b"\x01\xff")
    assert (found.module, found.pin_file) == ("/x", Path("/pin"))
    with pytest.raises(UsageError, match="no PKCS#11 module"):
        parse_uri("pkcs11:token=a;object=b")
    monkeypatch.setenv("TINYOPS_PKCS11_MODULE", "/y")
    assert parse_uri("pkcs11:token=a;object=b").module == "/y"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http:x",
        "pkcs11:",
        "pkcs11:token=a?module-path=/x",
        "pkcs11:object=a;object=b?module-path=/x",
        "pkcs11:object?module-path=/x",
        "pkcs11:object=a;colour=red?module-path=/x",
        "pkcs11:object=a?module-path=/x&pin-value=1234",
        "pkcs11:object=a;pin-value=1234?module-path=/x",
        "pkcs11:object=a?module-path=/x&pin-source=http://host/pin",
        "pkcs11:object=" + "a" * 2000 + "?module-path=/x",
    ],
)
def test_uris_that_are_none(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_uri(uri)
    assert "1234" not in str(caught.value)
