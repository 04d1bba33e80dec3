"""The device's SUIT receiver under sanitizers: hostile envelopes and authentication. Nothing may happen for them."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections import Counter
from typing import Any

import cbor2
import pyhsslms
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.receiver import (
    ED25519,
    ESP256,
    HMAC_256,
    HSS_LMS,
    IMAGE,
    ROOT,
    SIGN,
    SIGNER,
    URI,
    Receiver,
    Signer,
    ask,
    digest_of,
    dumps,
    envelope,
    manifest,
    parameters,
)
from tinyops.suit.reasons import Reason

GOOD = envelope(manifest())
ACTIONS = [
    f"begin:0:{len(IMAGE)}",
    f"fetch:0:{URI.encode().hex()}",
    f"end:0:{len(IMAGE)}:{hashlib.sha256(IMAGE).hexdigest()[:16]}",
]
Raw = bytes


def tagged(*members: tuple[bytes, bytes], tag: bytes = b"\xd8\x6b", count: bytes | None = None) -> bytes:
    """An envelope of members that are encoded already, in this order."""
    return tag + (count or bytes([0xA0 + len(members)])) + b"".join(key + value for key, value in members)


def parts() -> tuple[bytes, bytes]:
    """Authentication wrapper and manifest, as byte strings of a good envelope."""
    content = dumps(dumps(manifest()))
    digest = digest_of(content)
    return dumps(dumps([digest, dumps(SIGN.sign(digest))])), content


def test_good() -> None:
    outcome = Receiver().one(GOOD)
    assert (outcome.reason, outcome.sequence, outcome.signer, outcome.actions) == (Reason.OK, 2, 0, ACTIONS)


def test_truncation_at_every_byte() -> None:
    outcomes = Receiver().run(*(GOOD[:size] for size in range(len(GOOD))))
    assert {(one.reason, len(one.actions)) for one in outcomes} == {(Reason.TRUNCATED, 0)}


def test_every_bit_flip() -> None:
    flips = [GOOD[: i // 8] + bytes([GOOD[i // 8] ^ 1 << i % 8]) + GOOD[i // 8 + 1 :] for i in range(8 * len(GOOD))]
    outcomes = Receiver().run(*flips)
    passed = [i // 8 for i, one in enumerate(outcomes) if one.reason == Reason.OK]
    # The key id's label is not signed: without a key id every key is tried, and the signature is right.
    label = GOOD.index(b"\xa1\x04\x48") + 1
    assert set(passed) == {label}
    assert len(passed) <= 7
    assert all(one.actions == [] for one in outcomes if one.reason != Reason.OK)
    assert Counter(one.reason for one in outcomes)[Reason.MANIFEST_DIGEST] > 1000


def test_insertions_and_deletions() -> None:
    rng = random.Random(9)
    changed = []
    for _ in range(1500):
        at, size = rng.randrange(len(GOOD)), rng.randrange(1, 5)
        if rng.random() < 0.5:
            changed.append(GOOD[:at] + rng.randbytes(size) + GOOD[at:])
        else:
            changed.append(GOOD[:at] + GOOD[at + size :])
    assert all(one.reason != Reason.OK and not one.actions for one in Receiver().run(*changed))


def nested(depth: int, opener: bytes) -> bytes:
    return b"\xd8\x6b\xa1" + opener * depth + b"\x00" * 2


def malformed() -> dict[str, tuple[Raw, Reason]]:
    wrapper, content = parts()
    key2, key3 = b"\x02", b"\x03"
    huge = b"\x5b" + b"\xff" * 8
    return {
        "empty": (b"", Reason.TRUNCATED),
        "no tag": (envelope(manifest(), tag=None), Reason.MALFORMED_CBOR),
        "wrong tag": (envelope(manifest(), tag=108), Reason.MALFORMED_CBOR),
        "tag of a manifest": (envelope(manifest(), tag=1070), Reason.MALFORMED_CBOR),
        "tag twice": (b"\xd8\x6b" + GOOD, Reason.MALFORMED_CBOR),
        "tag in more bytes": (b"\xd9\x00\x6b" + GOOD[2:], Reason.NOT_DETERMINISTIC),
        "an array": (b"\xd8\x6b\x80", Reason.MALFORMED_CBOR),
        "empty map": (b"\xd8\x6b\xa0", Reason.NO_AUTHENTICATION),
        "length 2^64-1": (b"\xd8\x6b\xa2\x02" + huge, Reason.TRUNCATED),
        "map of 2^64-1": (b"\xd8\x6b\xbb" + b"\xff" * 8, Reason.TRUNCATED),
        "map of 2^63": (b"\xd8\x6b\xbb\x80" + b"\0" * 7 + GOOD[3:], Reason.TRUNCATED),
        "length 2^32": (b"\xd8\x6b\xa2\x02\x5b" + (2**32).to_bytes(8, "big") + b"\0" * 40, Reason.TRUNCATED),
        "length in more bytes": (tagged((key2, b"\x59\x00" + wrapper[1:]), (key3, content)), Reason.NOT_DETERMINISTIC),
        "indefinite map": (b"\xd8\x6b\xbf" + GOOD[3:] + b"\xff", Reason.NOT_DETERMINISTIC),
        "indefinite string": (tagged((key2, b"\x5f" + wrapper + b"\xff"), (key3, content)), Reason.NOT_DETERMINISTIC),
        "break": (b"\xff", Reason.MALFORMED_CBOR),
        "reserved information": (b"\xd8\x6b\xbc", Reason.MALFORMED_CBOR),
        "float": (tagged((b"\xf9\x00\x00", wrapper), (key3, content)), Reason.MALFORMED_CBOR),
        "undefined": (tagged((key2, b"\xf7"), (key3, content)), Reason.MALFORMED_CBOR),
        "arrays within arrays": (nested(500, b"\x81"), Reason.NESTING),
        "tags within tags": (nested(500, b"\xc0"), Reason.NESTING),
        "maps within maps": (nested(500, b"\xa1"), Reason.NESTING),
        "manifest before authentication": (tagged((key3, content), (key2, wrapper)), Reason.NOT_DETERMINISTIC),
        "authentication twice": (tagged((key2, wrapper), (key2, wrapper), (key3, content)), Reason.NOT_DETERMINISTIC),
        "manifest twice": (tagged((key2, wrapper), (key3, content), (key3, content)), Reason.NOT_DETERMINISTIC),
        "no authentication": (tagged((key3, content)), Reason.NO_AUTHENTICATION),
        "empty authentication": (tagged((key2, b"\x40"), (key3, content)), Reason.NO_AUTHENTICATION),
        "no manifest": (tagged((key2, wrapper)), Reason.PARAMETER_MISSING),
        "empty manifest": (tagged((key2, wrapper), (key3, b"\x40")), Reason.PARAMETER_MISSING),
        "unknown member": (tagged((key2, wrapper), (key3, content), (b"\x05", b"\x40")), Reason.COMMAND_UNKNOWN),
        "dependency member": (tagged((key2, wrapper), (key3, content), (b"\x0f", b"\x40")), Reason.COMMAND_UNKNOWN),
        "negative member": (tagged((key2, wrapper), (key3, content), (b"\x20", b"\x40")), Reason.COMMAND_UNKNOWN),
        "byte string as a name": (tagged((key2, wrapper), (key3, content), (b"\x41a", b"\x40")), Reason.MALFORMED_CBOR),
        "authentication not a string": (tagged((key2, b"\x80"), (key3, content)), Reason.MALFORMED_CBOR),
        "manifest not a string": (tagged((key2, wrapper), (key3, dumps(manifest()))), Reason.MALFORMED_CBOR),
        "trailing byte": (GOOD + b"\0", Reason.MALFORMED_CBOR),
        "trailing break": (GOOD + b"\xff", Reason.MALFORMED_CBOR),
        "second envelope": (GOOD + GOOD, Reason.MALFORMED_CBOR),
        "payloads out of order": (
            tagged((key2, wrapper), (key3, content), (b"\x62#b", b"\x40"), (b"\x62#a", b"\x40")),
            Reason.NOT_DETERMINISTIC,
        ),
        "payload twice": (
            tagged((key2, wrapper), (key3, content), (b"\x62#a", b"\x40"), (b"\x62#a", b"\x40")),
            Reason.NOT_DETERMINISTIC,
        ),
        "payload before a member": (
            tagged((key2, wrapper), (key3, content), (b"\x62#a", b"\x40"), (b"\x14", b"\x40")),
            Reason.NOT_DETERMINISTIC,
        ),
        "payload name not UTF-8": (
            tagged((key2, wrapper), (key3, content), (b"\x62#\xff", b"\x40")),
            Reason.MALFORMED_CBOR,
        ),
        "payload not a string": (tagged((key2, wrapper), (key3, content), (b"\x62#a", b"\x00")), Reason.MALFORMED_CBOR),
        "member of no digest": (
            tagged((key2, wrapper), (key3, content), (b"\x17", b"\x41\xa0")),
            Reason.MANIFEST_DIGEST,
        ),
    }


def authentication() -> dict[str, tuple[Raw, Reason]]:
    encoded = dumps(manifest())
    digest = digest_of(dumps(encoded))
    sign1 = SIGN.sign(digest)
    protected, unprotected, _, signature = sign1.value

    def block(*items: Any, tag: int | None = 18) -> bytes:
        return dumps(list(items) if tag is None else cbor2.CBORTag(tag, list(items)))

    def with_blocks(*blocks: bytes) -> bytes:
        return envelope(encoded, blocks=list(blocks))

    def wrapped(item: Any) -> bytes:
        return dumps(cbor2.CBORTag(107, {2: dumps(item), 3: encoded}))

    good = dumps(sign1)
    mac = hmac.digest(b"m" * 32, dumps(["MAC0", dumps({1: 5}), b"", digest]), "sha256")
    both = {1: ED25519, 4: SIGN.kid}
    other = Signer(seed=2)
    return {
        "no blocks": (with_blocks(), Reason.NO_AUTHENTICATION),
        "1000 blocks": (with_blocks(*[good] * 1000), Reason.TOO_LARGE),
        "5 blocks": (with_blocks(*[good] * 5), Reason.TOO_LARGE),
        "nothing at all": (wrapped([]), Reason.TRUNCATED),
        "digest not a string": (wrapped([[-16, b"\0" * 32], good]), Reason.MALFORMED_CBOR),
        "block not a string": (wrapped([digest, sign1]), Reason.MALFORMED_CBOR),
        "bytes after the blocks": (
            dumps(cbor2.CBORTag(107, {2: dumps([digest, good]) + b"\0", 3: encoded})),
            Reason.MALFORMED_CBOR,
        ),
        "digest of 0 bytes": (envelope(encoded, payload=dumps([-16, b""])), Reason.PARAMETER_MALFORMED),
        "digest of 1 byte": (envelope(encoded, payload=dumps([-16, b"\0"])), Reason.PARAMETER_MALFORMED),
        "digest of 31 bytes": (envelope(encoded, payload=dumps([-16, bytes(31)])), Reason.PARAMETER_MALFORMED),
        "digest of 33 bytes": (envelope(encoded, payload=dumps([-16, bytes(33)])), Reason.PARAMETER_MALFORMED),
        "digest of three items": (envelope(encoded, payload=dumps([-16, bytes(32), 0])), Reason.MALFORMED_CBOR),
        "digest of another algorithm": (envelope(encoded, payload=dumps([-44, bytes(64)])), Reason.UNSUPPORTED),
        "digest of another manifest": (envelope(encoded, payload=digest_of(b"other")), Reason.MANIFEST_DIGEST),
        "empty payload, signed": (envelope(encoded, payload=b""), Reason.TRUNCATED),
        "attached payload": (with_blocks(block(protected, unprotected, digest, signature)), Reason.MALFORMED_CBOR),
        "attached empty payload": (with_blocks(block(protected, unprotected, b"", signature)), Reason.MALFORMED_CBOR),
        "attached other payload": (
            with_blocks(block(protected, unprotected, digest_of(b"x"), signature)),
            Reason.MALFORMED_CBOR,
        ),
        "payload undefined": (
            with_blocks(good.replace(b"\xf6\x58\x40", b"\xf7\x58\x40")),
            Reason.MALFORMED_CBOR,
        ),
        "signature of nothing": (
            with_blocks(block(protected, unprotected, None, SIGN.key.sign(dumps(["Signature1", protected, b"", b""])))),
            Reason.BAD_SIGNATURE,
        ),
        "signature of the manifest": (
            with_blocks(
                block(protected, unprotected, None, SIGN.key.sign(dumps(["Signature1", protected, b"", encoded])))
            ),
            Reason.BAD_SIGNATURE,
        ),
        "signature without structure": (
            with_blocks(block(protected, unprotected, None, SIGN.key.sign(digest))),
            Reason.BAD_SIGNATURE,
        ),
        "signature of another context": (
            with_blocks(
                block(protected, unprotected, None, SIGN.key.sign(dumps(["Signature", protected, b"", digest])))
            ),
            Reason.BAD_SIGNATURE,
        ),
        "signature with external data": (
            with_blocks(
                block(protected, unprotected, None, SIGN.key.sign(dumps(["Signature1", protected, b"x", digest])))
            ),
            Reason.BAD_SIGNATURE,
        ),
        "signature of 0 bytes": (with_blocks(block(protected, unprotected, None, b"")), Reason.BAD_SIGNATURE),
        "signature of 1 byte": (with_blocks(block(protected, unprotected, None, b"\1")), Reason.BAD_SIGNATURE),
        "signature of 63 bytes": (
            with_blocks(block(protected, unprotected, None, signature[:63])),
            Reason.BAD_SIGNATURE,
        ),
        "signature of 65 bytes": (
            with_blocks(block(protected, unprotected, None, signature + b"\0")),
            Reason.BAD_SIGNATURE,
        ),
        "signature null": (with_blocks(block(protected, unprotected, None, None)), Reason.MALFORMED_CBOR),
        "untagged": (with_blocks(block(protected, unprotected, None, signature, tag=None)), Reason.MALFORMED_CBOR),
        "tag of nothing known": (
            with_blocks(block(protected, unprotected, None, signature, tag=19)),
            Reason.WRONG_ALGORITHM,
        ),
        "MAC with the tag of a signature": (
            with_blocks(block(dumps({1: 5}), {}, None, mac)),
            Reason.WRONG_ALGORITHM,
        ),
        "MAC where a signature is due": (
            with_blocks(block(dumps({1: 5}), {}, None, mac, tag=17)),
            Reason.WRONG_ALGORITHM,
        ),
        "MAC with the public key": (
            with_blocks(
                block(
                    dumps({1: 5}),
                    {4: SIGN.kid},
                    None,
                    hmac.digest(SIGN.public, dumps(["MAC0", dumps({1: 5}), b"", digest]), "sha256"),
                    tag=17,
                )
            ),
            Reason.WRONG_ALGORITHM,
        ),
        "COSE_Mac": (with_blocks(block(protected, {}, None, mac, [], tag=97)), Reason.WRONG_ALGORITHM),
        "signature as a MAC": (
            with_blocks(block(protected, unprotected, None, signature, tag=17)),
            Reason.WRONG_ALGORITHM,
        ),
        "algorithm of another key": (envelope(encoded, signer=Signer(alg=-7)), Reason.WRONG_ALGORITHM),
        "algorithm without a key": (
            envelope(encoded, signer=Signer(alg=-7, with_kid=False)),
            Reason.WRONG_ALGORITHM,
        ),
        "algorithm not known": (envelope(encoded, signer=Signer(alg=-999)), Reason.WRONG_ALGORITHM),
        "algorithm 0": (envelope(encoded, signer=Signer(alg=0)), Reason.WRONG_ALGORITHM),
        "algorithm a text": (envelope(encoded, signer=Signer(alg="EdDSA")), Reason.MALFORMED_CBOR),
        "algorithm of 64 bits": (envelope(encoded, signer=Signer(alg=2**40)), Reason.MALFORMED_CBOR),
        "no algorithm": (with_blocks(block(b"", unprotected, None, signature)), Reason.WRONG_ALGORITHM),
        "algorithm not protected": (
            with_blocks(block(b"", both, None, SIGN.key.sign(dumps(["Signature1", b"", b"", digest])))),
            Reason.WRONG_ALGORITHM,
        ),
        "algorithm twice": (with_blocks(block(protected, both, None, signature)), Reason.MALFORMED_CBOR),
        "label twice": (
            with_blocks(b"\xd2\x84" + dumps(protected) + b"\xa2\x04\x40\x04\x40\xf6" + dumps(signature)),
            Reason.MALFORMED_CBOR,
        ),
        "critical header": (
            with_blocks(block(dumps({1: ED25519, 2: [99], 99: 0}), unprotected, None, signature)),
            Reason.UNSUPPORTED,
        ),
        "protected not a map": (with_blocks(block(b"\x01", unprotected, None, signature)), Reason.MALFORMED_CBOR),
        "protected with more bytes": (
            with_blocks(block(protected + b"\0", unprotected, None, signature)),
            Reason.MALFORMED_CBOR,
        ),
        "nine headers": (
            with_blocks(block(protected, dict.fromkeys(range(100, 109), 0), None, signature)),
            Reason.TOO_LARGE,
        ),
        "three items": (with_blocks(block(protected, unprotected, None)), Reason.MALFORMED_CBOR),
        "five items": (with_blocks(block(protected, unprotected, None, signature, 0)), Reason.MALFORMED_CBOR),
        "bytes after the object": (with_blocks(good + b"\0"), Reason.MALFORMED_CBOR),
        "kid a text": (with_blocks(block(protected, {4: "kid"}, None, signature)), Reason.MALFORMED_CBOR),
        "unknown key": (envelope(encoded, signer=other), Reason.UNKNOWN_KEY),
        "unknown key without id": (envelope(encoded, signer=Signer(seed=2, with_kid=False)), Reason.BAD_SIGNATURE),
        "unknown key with our id": (envelope(encoded, signer=Signer(seed=2, kid=SIGN.kid)), Reason.BAD_SIGNATURE),
        "a prefix of the key id": (
            envelope(encoded, signer=Signer(kid=(SIGN.kid or b"")[:7])),
            Reason.UNKNOWN_KEY,
        ),
        "two bad": (with_blocks(dumps(other.sign(digest)), dumps(other.sign(digest))), Reason.UNKNOWN_KEY),
        "bad and unknown": (
            with_blocks(dumps(other.sign(digest)), block(protected, unprotected, None, bytes(64))),
            Reason.BAD_SIGNATURE,
        ),
        "two malformed": (with_blocks(b"\xd2\x80", b"\xd2"), Reason.TRUNCATED),
        "malformed and unknown": (with_blocks(b"\xd2\x80", dumps(other.sign(digest))), Reason.UNKNOWN_KEY),
    }


MALFORMED, AUTHENTICATION = malformed(), authentication()


@pytest.mark.parametrize("name", [*MALFORMED, *AUTHENTICATION])
def test_refused(name: str) -> None:
    data, reason = MALFORMED.get(name) or AUTHENTICATION[name]
    outcome = Receiver().one(data)
    assert (outcome.reason, outcome.actions) == (reason, [])


def test_revoked_keys() -> None:
    second = Signer(seed=2)
    keys = [*SIGN.option(revoked=True), *second.option()]
    receiver = Receiver(keys=keys)
    assert receiver.reason(GOOD) == Reason.REVOKED_KEY
    assert receiver.reason(envelope(manifest(), signer=Signer(with_kid=False))) == Reason.REVOKED_KEY
    assert receiver.one(envelope(manifest(), signer=second)).signer == 1
    # A revoked key says nothing about a signature that it did not make.
    forged = Signer(seed=3, kid=SIGN.kid)
    assert receiver.reason(envelope(manifest(), signer=forged)) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("alg", [-8, -19])
@pytest.mark.parametrize("with_kid", [True, False])
def test_algorithm_names(alg: int, with_kid: bool) -> None:
    assert Receiver().reason(envelope(manifest(), signer=Signer(alg=alg, with_kid=with_kid))) == Reason.OK


def test_one_good_block_of_several() -> None:
    encoded = dumps(manifest())
    digest = digest_of(dumps(encoded))
    good, bad = dumps(SIGN.sign(digest)), dumps(Signer(seed=5).sign(digest))
    future = dumps(cbor2.CBORTag(18, [dumps({1: -49}), {}, None, bytes(3309)]))
    mangled = b"\xd2\x80"
    for blocks in ([bad, good], [good, bad], [future, good], [good, future], [bad, mangled, bad, good]):
        assert Receiver().one(envelope(encoded, blocks=blocks)).actions == ACTIONS


def test_cose_sign() -> None:
    encoded = dumps(manifest())
    digest = digest_of(dumps(encoded))

    def signature(signer: Signer, context: str = "Signature") -> list[Any]:
        protected, unprotected = signer.headers()
        covered = dumps([context, b"", protected, b"", digest])
        return [protected, unprotected, signer.key.sign(covered)]

    def sign(*signatures: Any, payload: Any = None, body: bytes = b"") -> bytes:
        block = dumps(cbor2.CBORTag(98, [body, {}, payload, list(signatures)]))
        return envelope(encoded, blocks=[block])

    other = Signer(seed=2)
    receiver = Receiver()
    good = signature(SIGN)
    assert receiver.one(sign(good)).actions == ACTIONS
    assert receiver.one(sign(signature(other), good)).actions == ACTIONS
    cases = [
        (sign(), Reason.NO_AUTHENTICATION),
        (sign(signature(other)), Reason.UNKNOWN_KEY),
        (sign(signature(SIGN, "Signature1")), Reason.BAD_SIGNATURE),
        (sign(good, body=dumps({3: 0})), Reason.BAD_SIGNATURE),
        (sign(good, payload=digest), Reason.MALFORMED_CBOR),
        (sign(*[signature(other)] * 5), Reason.TOO_LARGE),
        (sign(good[:2]), Reason.MALFORMED_CBOR),
        (sign([*good, 0]), Reason.MALFORMED_CBOR),
        (sign([b"", {1: ED25519, 4: SIGN.kid}, good[2]]), Reason.WRONG_ALGORITHM),
        (envelope(encoded, blocks=[dumps(cbor2.CBORTag(98, [b"", {}, None]))]), Reason.MALFORMED_CBOR),
    ]
    for data, reason in cases:
        assert receiver.reason(data) == reason


class Es256Signer:
    """ESP256, or ES256 as it was called."""

    def __init__(self, alg: int) -> None:
        self.alg = alg
        self.key = ec.derive_private_key(12345, ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def sign(self, payload: bytes) -> Any:
        protected = dumps({1: self.alg})
        covered = dumps(["Signature1", protected, b"", payload])
        r, s = decode_dss_signature(self.key.sign(covered, ec.ECDSA(hashes.SHA256())))
        return cbor2.CBORTag(18, [protected, {4: b"p256"}, None, r.to_bytes(32, "big") + s.to_bytes(32, "big")])


@pytest.mark.parametrize("alg", [-7, -9])
def test_es256(alg: int) -> None:
    signer = Es256Signer(alg)
    keys = ["--key", f"{b'p256'.hex()}:{ESP256}:{SIGNER}:{signer.public.hex()}", *SIGN.option()]
    receiver = Receiver(keys=keys)
    assert receiver.one(envelope(manifest(), signer=signer)).actions == ACTIONS
    signer.alg = ED25519
    assert receiver.reason(envelope(manifest(), signer=signer)) == Reason.WRONG_ALGORITHM


def test_hsslms() -> None:
    key = pyhsslms.HssPrivateKey(levels=2, lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w8)

    class HssSigner:
        def sign(self, payload: bytes) -> Any:
            protected = dumps({1: HSS_LMS})
            covered = dumps(["Signature1", protected, b"", payload])
            return cbor2.CBORTag(18, [protected, {4: b"hss"}, None, key.sign(covered)])

    keys = ["--key", f"{b'hss'.hex()}:{HSS_LMS}:{SIGNER}:{key.publicKey().serialize().hex()}"]
    receiver = Receiver(keys=keys)
    data = envelope(manifest(), signer=HssSigner())
    assert receiver.one(data).actions == ACTIONS
    at = data.index(dumps({1: HSS_LMS})) + 1500
    assert receiver.reason(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) == Reason.BAD_SIGNATURE


def test_mac_with_a_key_for_macs() -> None:
    secret = bytes(range(32))

    class MacSigner:
        alg, kid, flip = HMAC_256, b"mac", 0

        def sign(self, payload: bytes) -> Any:
            protected = dumps({1: self.alg})
            tag = hmac.digest(secret, dumps(["MAC0", protected, b"", payload]), "sha256")
            return cbor2.CBORTag(17, [protected, {4: self.kid}, None, bytes([tag[0] ^ self.flip]) + tag[1:]])

    receiver = Receiver(keys=["--key", f"{b'mac'.hex()}:{HMAC_256}:{SIGNER}:{secret.hex()}", *SIGN.option()])
    signer = MacSigner()
    assert receiver.one(envelope(manifest(), signer=signer)).actions == ACTIONS
    signer.flip = 1
    assert receiver.reason(envelope(manifest(), signer=signer)) == Reason.BAD_SIGNATURE
    signer.flip, signer.kid = 0, SIGN.kid or b""
    assert receiver.reason(envelope(manifest(), signer=signer)) == Reason.WRONG_ALGORITHM
    signer.kid, signer.alg = b"mac", 4
    assert receiver.reason(envelope(manifest(), signer=signer)) == Reason.WRONG_ALGORITHM


def test_keys_need_a_role() -> None:
    # A key for decryption alone authenticates nothing; a signer may not change keys, a root key not the model.
    assert Receiver(keys=SIGN.option(roles=4)).reason(GOOD) == Reason.UNKNOWN_KEY
    assert Receiver(keys=SIGN.option(roles=ROOT)).reason(GOOD) == Reason.UNAUTHORIZED
    sequence = [20, {**parameters(), 18: b"\x80"}, 1, 15, 2, 15]
    change = envelope(manifest([18, 2], shared_sequence=sequence, components=((b"keys",),)))
    assert Receiver().reason(change) == Reason.UNAUTHORIZED
    outcome = Receiver(keys=SIGN.option(roles=ROOT)).one(change)
    assert (outcome.reason, outcome.actions[0]) == (Reason.OK, "begin:2:1")
    both = Receiver(keys=SIGN.option(roles=ROOT | SIGNER))
    assert [one.reason for one in both.run(change, GOOD)] == [Reason.OK] * 2
    # Nor may it use up the sequence numbers of the keys, by way of the manifest's own id: none could be revoked then.
    named = envelope(dict(sorted({**manifest(sequence=2**32 - 1), 5: [b"keys"]}.items())))
    outcome = Receiver().one(named)
    assert (outcome.reason, outcome.actions) == (Reason.UNAUTHORIZED, [])
    assert both.reason(named) == Reason.OK


def test_cbor_reader() -> None:
    """The reader against an encoder: what it accepts is exactly the deterministic encoding."""
    rng = random.Random(10)

    def item(depth: int) -> Any:
        kinds: list[Any] = [
            lambda: rng.choice([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1]),
            lambda: -1 - rng.choice([0, 23, 24, 255, 256, 65535, 65536, 2**32, 2**64 - 1]),
            lambda: rng.randbytes(rng.choice([0, 1, 23, 24, 255, 256])),
            lambda: "".join(rng.choice("aé€😀") for _ in range(rng.randrange(9))),
            lambda: rng.choice([True, False, None]),
        ]
        if depth > 0:
            kinds += [
                lambda: [item(depth - 1) for _ in range(rng.randrange(5))],
                lambda: {rng.choice([i, -i, f"k{i}", b"%d" % i]): item(depth - 1) for i in range(rng.randrange(6))},
                lambda: cbor2.CBORTag(rng.choice([0, 24, 300]), item(depth - 1)),
            ]
        return rng.choice(kinds)()

    def encode(value: Any) -> bytes:
        if isinstance(value, dict):
            pairs = sorted((encode(key), encode(one)) for key, one in value.items())
            return dumps(dict.fromkeys(range(len(pairs))))[: 1 if len(pairs) < 24 else 2] + b"".join(
                key + one for key, one in pairs
            )
        if isinstance(value, list):
            return bytes([0x80 + len(value)]) + b"".join(map(encode, value))
        if isinstance(value, cbor2.CBORTag):
            return dumps(cbor2.CBORTag(value.tag, 0))[:-1] + encode(value.value)
        return dumps(value)

    encodings = [encode(item(4)) for _ in range(600)]
    assert ask(*(("cbor", data) for data in encodings)) == [(Reason.OK, data) for data in encodings]
    refused: list[tuple[bytes, Reason]] = [
        (b"", Reason.TRUNCATED),
        (b"\x18\x17", Reason.NOT_DETERMINISTIC),
        (b"\x19\x00\xff", Reason.NOT_DETERMINISTIC),
        (b"\x1a\x00\x00\xff\xff", Reason.NOT_DETERMINISTIC),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", Reason.NOT_DETERMINISTIC),
        (b"\x1b" + bytes(7), Reason.TRUNCATED),
        (b"\x1c", Reason.MALFORMED_CBOR),
        (b"\x1f", Reason.MALFORMED_CBOR),
        (b"\x7f\xff", Reason.NOT_DETERMINISTIC),
        (b"\x9f\xff", Reason.NOT_DETERMINISTIC),
        (b"\xdf\x00", Reason.MALFORMED_CBOR),
        (b"\xf8\x20", Reason.MALFORMED_CBOR),
        (b"\xe0", Reason.MALFORMED_CBOR),
        (b"\xf9\x3c\x00", Reason.MALFORMED_CBOR),
        (b"\xa2\x02\x00\x01\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x01\x00\x01\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x20\x00\x18\x64\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x82\x00\x01\x00\x82\x00\x00\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa1\x01", Reason.TRUNCATED),
        (b"\x82\x01", Reason.TRUNCATED),
        (b"\x9b" + b"\xff" * 8, Reason.TRUNCATED),
        (b"\xbb" + b"\xff" * 8, Reason.TRUNCATED),
        (b"\x41", Reason.TRUNCATED),
        (b"\x62\xc3\x28", Reason.MALFORMED_CBOR),
        (b"\x63\xed\xa0\x80", Reason.MALFORMED_CBOR),
        (b"\x62\xc0\x80", Reason.MALFORMED_CBOR),
        (b"\x63\xe0\x80\x80", Reason.MALFORMED_CBOR),
        (b"\x64\xf4\x90\x80\x80", Reason.MALFORMED_CBOR),
        (b"\x61\xc3", Reason.MALFORMED_CBOR),
        (b"\x00\x00", Reason.MALFORMED_CBOR),
        (b"\x81" * 8 + b"\x00", Reason.OK),
        (b"\x81" * 9 + b"\x00", Reason.NESTING),
    ]
    answers = [reason for reason, _ in ask(*(("cbor", data) for data, _ in refused))]
    assert answers == [reason for _, reason in refused]


@pytest.mark.parametrize(("algorithm", "size"), [(ED25519, 32), (ESP256, 64), (HSS_LMS, 60)])
def test_keys_of_a_wrong_size(algorithm: int, size: int) -> None:
    """A key table that was made wrongly verifies nothing, and nothing is read beyond its keys."""
    for wrong in (0, 1, size - 1, size + 1):
        keys = ["--key", f"{(SIGN.kid or b'').hex()}:{algorithm}:{SIGNER}:{bytes(wrong).hex()}"]
        assert Receiver(keys=keys).reason(envelope(manifest(), signer=Signer(alg=algorithm))) == Reason.BAD_SIGNATURE
