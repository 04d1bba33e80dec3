"""What is packed here is what a device takes: every kind of signature and encryption, deltas, rotation, revocation."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.updates import V1, V2, host_device, mismatches
from tinyops.device.board import find_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.update import UpdateKey, UpdateSettings
from tinyops.device.update_client import UpdateClient
from tinyops.emit.capsule import read_capsule
from tinyops.errors import TinyopsError
from tinyops.suit import Envelope, Reason
from tinyops.suit.manifest import digest_of
from tinyops.suit.registry import Algorithm as Cose
from tinyops.update.keystore import Keystore
from tinyops.update.pack import Options, Packed, Signing, pack_parts
from tinyops.update.pack_description import pack_description
from tinyops.update.pack_model import ModelOptions, Previous, make_capsule, model_part
from tinyops.update.revocation import choose_root, pack_revocation
from tinyops.update.signing import Algorithm
from tinyops.update.target import Target, read_target

pytestmark = pytest.mark.slow

_KEYS = {
    "release": (Algorithm.ED25519, "signer"),
    "second": (Algorithm.ES256, "signer"),
    "pq": (Algorithm.HSSLMS, "signer"),
    "root": (Algorithm.ED25519, "root"),
    "wrap": (Algorithm.AES_KW, "decrypt"),
    "agree": (Algorithm.ECDH_ES, "decrypt"),
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """Firmware of the host with every kind of key, and the keys."""

    store: Keystore
    build: Build
    target: Target


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    store = Keystore(folder / "keys", folder / "witness")
    for name, (algorithm, role) in _KEYS.items():
        store.generate(name, algorithm, role)  # type: ignore[arg-type]
    roles = {name: role for name, (_, role) in _KEYS.items()}
    keys = tuple(
        UpdateKey(int(key.algorithm), key.material, key.kid, roles[store.names()[key.kid]])  # type: ignore[arg-type]
        for key in store.device_keys()
    )
    settings = UpdateSettings(keys, "example.com", algorithms=("ed25519", "es256", "hsslms", "aes"))
    build = build_firmware(V1, find_board("host"), folder / "build", name="digits", update=settings)
    return Bench(store, build, read_target(build.folder))


def _signing(bench: Bench, name: str) -> Signing:
    return Signing(name, bench.store.signer(bench.store.get(name)))


def _packed(
    bench: Bench, sequence: int, key: str = "release", previous: tuple[Previous, ...] = (), **options: Any
) -> Packed:
    part = model_part(make_capsule(V2, "digits", ModelOptions()), bench.target, previous)
    return pack_parts(
        [part], bench.target, Options(**options), [_signing(bench, name) for name in key.split()], sequence
    )


@contextmanager
def _device(bench: Bench) -> Iterator[tuple[Any, UpdateClient]]:
    with host_device(bench.build, None) as client:
        yield client, UpdateClient(client)


def _push(updates: UpdateClient, packed: Packed) -> Any:
    envelope = packed.files["manifest.suit"]
    asked: list[str] = []

    def payload(uri: str) -> bytes:
        name = next(n for n, c in packed.files.items() if uri in (n, f"/p/{hashlib.sha256(c).hexdigest()[:16]}"))
        asked.append(name)
        return packed.files[name]

    result = updates.push(envelope, digest_of(Envelope.decode(envelope).manifest).value, payload)
    assert result.new
    return asked


@pytest.mark.parametrize("key", ["release", "second", "pq", "pq release"])
def test_every_algorithm_signs(bench: Bench, key: str) -> None:
    with _device(bench) as (client, updates):
        assert mismatches(client, 1) == 0
        assert _push(updates, _packed(bench, 5, key)) == ["capsule.bin"]
        assert mismatches(client, 2) == 0
        assert updates.state().sequence == 5


@pytest.mark.parametrize("recipient", ["wrap", "agree"])
@pytest.mark.parametrize("cipher", [Cose.A128CTR, Cose.A128GCM])
def test_encrypted_payloads(bench: Bench, recipient: str, cipher: Cose) -> None:
    recipients = (bench.store.recipient(bench.store.get(recipient)),)
    with _device(bench) as (client, updates):
        _push(updates, _packed(bench, 5, recipients=recipients, cipher=cipher))
        assert mismatches(client, 2) == 0


@pytest.mark.parametrize("recipient", [None, "agree"])
def test_the_delta_is_taken_where_its_base_runs(bench: Bench, recipient: str | None) -> None:
    new = make_capsule(V2, "digits", ModelOptions()).encoded
    near = dataclasses.replace(read_capsule(new), metadata={"model": "an earlier one"}).encode()
    recipients = () if recipient is None else (bench.store.recipient(bench.store.get(recipient)),)
    packed = _packed(bench, 7, previous=(Previous("near", near, None),), recipients=recipients)
    delta = f"delta-{hashlib.sha256(near).hexdigest()[:8]}.bin"
    assert delta in packed.files
    with _device(bench) as (client, updates):
        assert _push(updates, packed) == ["capsule.bin"]  # the factory's capsule is another base
        assert mismatches(client, 2) == 0
    earlier = model_part(make_capsule(V2, "digits", ModelOptions()), bench.target)
    earlier = dataclasses.replace(
        earlier, image=near, whole=dataclasses.replace(earlier.whole, content=near), deltas=()
    )
    first = pack_parts([earlier], bench.target, Options(), [_signing(bench, "release")], 6)
    with _device(bench) as (client, updates):
        assert _push(updates, first) == ["capsule.bin"]
        assert mismatches(client, 2) == 0
        assert _push(updates, packed) == [delta]
        assert mismatches(client, 2) == 0
        assert updates.state().sequence == 7


_OWN = """
vendor: example.com
class: {class_id}
components: [[model]]
payloads: {{capsule.bin: capsule.bin}}
shared:
  - set-component-index: 0
  - override-parameters:
      vendor-identifier: example.com
      class-identifier: {class_id}
      image-digest: {{file: capsule.bin}}
      image-size: {{file: capsule.bin}}
  - vendor-identifier
  - class-identifier
payload-fetch:
  - set-component-index: true
  - try-each:
      - - image-match
      - - override-parameters: {{uri: capsule.bin}}
        - fetch
  - run-sequence: [image-match]
install:
  - set-component-index: 0
  - image-match
"""


def test_a_manifest_of_ones_own(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "capsule.bin").write_bytes(make_capsule(V2, "digits", ModelOptions()).encoded)
    (tmp_path / "own.yaml").write_text(_OWN.format(class_id=bench.target.class_id))
    packed = pack_description(tmp_path / "own.yaml", 5, [_signing(bench, "release")])
    assert packed.facts["warnings"] == []
    with _device(bench) as (client, updates):
        assert _push(updates, packed) == ["capsule.bin"]
        assert mismatches(client, 2) == 0


def test_an_expired_update_on_a_device_without_a_clock(bench: Bench) -> None:
    with _device(bench) as (_, updates), pytest.raises(TinyopsError, match=r"no-clock|trusted time"):
        _push(updates, _packed(bench, 5, use_before=4_000_000_000))


def test_a_revoked_key_is_refused_by_the_device(bench: Bench) -> None:
    revoked = [bench.store.get("second")]
    root = choose_root(bench.store, None, revoked)
    packed = pack_revocation(revoked, bench.target, _signing(bench, root.name), 9)
    with _device(bench) as (client, updates):
        _push(updates, packed)
        with pytest.raises(TinyopsError, match=Reason.REVOKED_KEY.text):
            _push(updates, _packed(bench, 10, "second"))
        _push(updates, _packed(bench, 11, "release"))
        assert mismatches(client, 2) == 0


def test_the_root_key_signs_no_model(bench: Bench) -> None:
    with _device(bench) as (_, updates), pytest.raises(TinyopsError, match=Reason.UNAUTHORIZED.text):
        _push(updates, _packed(bench, 5, "root"))


def test_revocations_that_devices_refuse_are_not_made(bench: Bench) -> None:
    records = {name: bench.store.get(name) for name in _KEYS}
    signers = [records[name] for name in ("release", "second", "pq")]
    with pytest.raises(TinyopsError, match="no key that signs updates would be left"):
        pack_revocation(signers, bench.target, _signing(bench, "root"), 9)
    with pytest.raises(TinyopsError, match="was not built with release as a root key"):
        pack_revocation(signers[1:], bench.target, _signing(bench, "release"), 9)
    stranger = records["second"].model_copy(update={"kid": "00" * 8})
    with pytest.raises(TinyopsError, match="there is nothing to revoke"):
        pack_revocation([stranger], bench.target, _signing(bench, "root"), 9)
    assert isinstance(bench.build.folder, Path)
