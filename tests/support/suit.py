"""Keys, signers and updates for tests; the same in every run."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyhsslms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tinyops.suit import FINAL, KEYS, MODEL, Algorithm, Image, UpdateDescription, class_uuid, emit, sign, vendor_uuid
from tinyops.suit.cbor import Tag, encode
from tinyops.suit.emit import Unsigned
from tinyops.suit.keys import Key, Role, key_id
from tinyops.suit.manifest import digest_of
from tinyops.suit.receiver import Device, Outcome, Place, receive
from tinyops.suit.update import FIRMWARE

VENDOR = vendor_uuid("tinyops.example")
CLASS = class_uuid(VENDOR, "host|abi1|kws")
FIRMWARE_CLASS = class_uuid(VENDOR, "host|firmware")
DEVICE_ID = class_uuid(VENDOR, "device 1").bytes
NOW = 1_800_000_000
OLD = b"the model that runs " * 20
NEW = b"the model that comes " * 25
URI = "coap://[2001:db8::1]/m/2"


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


@dataclass(frozen=True)
class TestSigner:
    """A signer whose key derives from a name."""

    __test__ = False

    algorithm: Algorithm
    raw: bytes
    sign: Callable[[bytes], bytes]

    @property
    def kid(self) -> bytes:
        return key_id(self.raw)

    def key(self, roles: Role = Role.SIGNER, *, revoked: bool = False) -> Key:
        return Key(self.algorithm, self.raw, self.kid, roles, revoked)


def ed25519_signer(name: str) -> TestSigner:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(digest(name.encode()))
    return TestSigner(Algorithm.ED25519, private.public_key().public_bytes_raw(), private.sign)


def ec_private(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(digest(name.encode()), "big") >> 1, ec.SECP256R1())


def es256_signer(name: str) -> TestSigner:
    private = ec_private(name)
    point = private.public_key().public_numbers()

    def sign_with(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return TestSigner(Algorithm.ESP256, point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big"), sign_with)


def mac_signer(name: str) -> TestSigner:
    secret = digest(name.encode())
    return TestSigner(Algorithm.HMAC_256, secret, lambda message: hmac.digest(secret, message, "sha256"))


def hss_lms_signer(name: str) -> TestSigner:
    """One tree of 32 leaves. The first signs everything, as no real key may."""
    seed, identifier = digest(name.encode()), digest(b"id of " + name.encode())[:16]

    def tree() -> Any:
        return pyhsslms.LmsPrivateKey(SEED=seed, I=identifier, q=0)

    public = (1).to_bytes(4, "big") + tree().publicKey().serialize()
    return TestSigner(Algorithm.HSS_LMS, public, lambda message: bytes(4) + tree().sign(message))


SIGNER = ed25519_signer("signer")
ES256 = es256_signer("signer of another kind")
MAC = mac_signer("shared secret")
HSS_LMS = hss_lms_signer("hash-based")
ROOT = ed25519_signer("root")
REVOKED = ed25519_signer("revoked")
STRANGER = ed25519_signer("stranger")


def device(**changes: Any) -> Device:
    """A device with a model, firmware and keys, which runs `OLD`."""
    places = [
        Place(MODEL, VENDOR.bytes, CLASS.bytes, 1024, 0, Role.SIGNER, OLD, version=(1, 2, 3)),
        Place(FIRMWARE, VENDOR.bytes, FIRMWARE_CLASS.bytes, 4096, 1, Role.SIGNER, b"firmware", slot=1),
        Place(KEYS, VENDOR.bytes, CLASS.bytes, 64, 2, Role.ROOT),
    ]
    base = Device(
        places,
        [SIGNER.key(), ES256.key(), MAC.key(), HSS_LMS.key(), ROOT.key(Role.ROOT), REVOKED.key(revoked=True)],
        device_id=DEVICE_ID,
        sequences={0: 4},
        now=NOW,
        battery=500,
        fetch={URI: NEW}.get,
    )
    return replace(base, **changes)


def model_image(**changes: Any) -> Image:
    return replace(Image(MODEL, digest(NEW), len(NEW), URI), **changes)


def update(*images: Image, **changes: Any) -> UpdateDescription:
    base = UpdateDescription(5, VENDOR, CLASS, images or (model_image(),))
    return replace(base, **changes)


def signed(description: UpdateDescription | None = None, signer: TestSigner = SIGNER) -> bytes:
    return sign(emit(description or update()), signer)


def sequence(*items: Any) -> bytes:
    return encode(list(items))


def shared(**changes: Any) -> bytes:
    """The shared sequence of a model update; `changes` replace parameters by number (p3=...) or drop them (None)."""
    values: dict[int, Any] = {1: VENDOR.bytes, 2: CLASS.bytes, 3: encode([-16, digest(NEW)]), 14: len(NEW)}
    for name, value in changes.items():
        values[int(name[1:])] = value
    return sequence(12, 0, 20, {key: value for key, value in values.items() if value is not None}, 1, 15, 2, 15)


INSTALL = sequence(12, 0, 20, {21: URI}, 21, 15, 3, 15)
VALIDATE = sequence(12, 0, 3, 15)


def plain_manifest(**changes: Any) -> dict[Any, Any]:
    """A valid manifest as a map; `changes` replace members by number (m20=...) or drop them (None)."""
    members: dict[Any, Any] = {1: 1, 2: 5, 3: common(), 20: INSTALL, 7: VALIDATE}
    for name, value in changes.items():
        members[int(name[1:])] = value
    return {key: value for key, value in members.items() if value is not None}


def common(components: Any = None, shared_sequence: bytes | None = None) -> bytes:
    return encode({2: [[b"model"]] if components is None else components, 4: shared_sequence or shared()})


def seal(manifest: bytes | dict[Any, Any], signer: TestSigner = SIGNER, **members: Any) -> bytes:
    """An envelope around any manifest, however wrong, rightly signed; `members` are further ones of the envelope."""
    content = manifest if isinstance(manifest, bytes) else encode(manifest)
    if members:
        return encode(Tag(107, envelope_map(content, signer) | {_member(name): item for name, item in members.items()}))
    return sign(Unsigned(content, FINAL), signer)


def _member(name: str) -> int | str:
    return int(name[1:]) if re.fullmatch(r"m\d+", name) else "#" + name


def envelope_map(content: bytes, signer: TestSigner = SIGNER) -> dict[Any, Any]:
    """The members of the envelope of a manifest."""
    return {2: encode([digest_of(content).encode(), block(digest_of(content).encode(), signer)]), 3: content}


def block(signed_payload: bytes, signer: TestSigner = SIGNER, **changes: Any) -> bytes:
    """A COSE_Sign1 whose parts can be replaced."""
    protected = changes.get("protected", encode({1: int(signer.algorithm)}))
    signature = signer.sign(encode(["Signature1", protected, b"", signed_payload]))
    items = [
        protected,
        changes.get("unprotected", {4: signer.kid}),
        changes.get("payload"),
        changes.get("signature", signature),
    ]
    return encode(Tag(changes.get("tag", 18), items))


def keys_update(signer: TestSigner) -> bytes:
    """A manifest that writes a list of revoked key ids."""
    content = encode([SIGNER.kid])
    image = Image(KEYS, digest(content), len(content), content=content)
    return signed(update(image), signer)


def verdict(envelope: bytes, **changes: Any) -> Outcome:
    return receive(envelope, device(**changes))


def shared_vectors() -> Path:
    """Where the vectors of the specifications are, if they are there."""
    root = Path(os.environ.get("TINYOPS_SHARED", Path(__file__).parents[2].parent / "shared"))
    return root / "vectors" / "suit"
