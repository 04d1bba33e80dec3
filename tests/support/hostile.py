"""Hostile envelopes and manifests, each with the reason that a receiver must give: for the receivers in Python and C.

The device is `tests.support.suit.device()`: it runs `OLD`, has accepted sequence number 4, and `NEW` is at `URI`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.suit import (
    CLASS,
    ES256,
    INSTALL,
    MAC,
    NEW,
    NOW,
    OLD,
    REVOKED,
    ROOT,
    SIGNER,
    STRANGER,
    URI,
    VENDOR,
    block,
    common,
    digest,
    ed25519_signer,
    envelope_map,
    plain_manifest,
    seal,
    sequence,
    shared,
    signed,
)
from tinyops.suit import Reason
from tinyops.suit.cbor import Tag, encode
from tinyops.suit.manifest import digest_of

Case = tuple[bytes, Reason]

_OTHER = digest(b"other")[:16]


def _wrapper(*items: Any, manifest: bytes | None = None) -> bytes:
    content = manifest or encode(plain_manifest())
    return encode(Tag(107, {2: encode(list(items)), 3: content}))


def _payload() -> bytes:
    return digest_of(encode(plain_manifest())).encode()


def _blocks(*blocks: bytes) -> bytes:
    return _wrapper(_payload(), *blocks)


def _digest_as(item: bytes) -> bytes:
    return _wrapper(item, block(item))


def _raw_envelope(*pairs: tuple[bytes, bytes]) -> bytes:
    """Keys and values as they are, in this order."""
    return b"\xd8\x6b" + bytes([0xA0 | len(pairs)]) + b"".join(key + value for key, value in pairs)


_GOOD = envelope_map(encode(plain_manifest()))
_AUTH, _MANIFEST = encode(_GOOD[2]), encode(_GOOD[3])
_NESTED_ARRAYS = b"\x81" * 500 + b"\x00"


def _mac_block(signer: Any, **changes: Any) -> bytes:
    protected = encode({1: changes.pop("algorithm", 5)})
    tag = signer.sign(encode(["MAC0", protected, b"", _payload()]))
    return encode(Tag(17, [protected, {4: signer.kid}, None, tag]))


def envelopes() -> dict[str, Case]:
    """Faults that show before anybody has vouched for the manifest, and in who does."""
    short, long = SIGNER.sign(b"x")[:63], SIGNER.sign(b"x") + b"\x00"
    return {
        "nothing": (b"", Reason.TRUNCATED),
        "length of 2^64 - 1": (b"\xd8\x6b\xa2\x02\x5b" + b"\xff" * 8, Reason.TRUNCATED),
        "indefinite map": (b"\xd8\x6b\xbf\x02\x41\x80\xff", Reason.NOT_DETERMINISTIC),
        "indefinite bytes": (_raw_envelope((b"\x02", b"\x5f\x41\x80\xff")), Reason.NOT_DETERMINISTIC),
        "nesting bomb": (b"\xd8\x6b" + _NESTED_ARRAYS, Reason.MALFORMED_CBOR),
        "nesting bomb as a key": (b"\xd8\x6b\xa1" + _NESTED_ARRAYS + b"\x00", Reason.NESTING),
        "nesting bomb as a header": (
            _blocks(encode(Tag(18, [encode({1: -19}), {99: [[[[[[[[[0]]]]]]]]]}, None, bytes(64)]))),
            Reason.NESTING,
        ),
        "no tag": (encode(_GOOD), Reason.MALFORMED_CBOR),
        "another tag": (encode(Tag(108, _GOOD)), Reason.MALFORMED_CBOR),
        "two tags": (encode(Tag(107, Tag(107, _GOOD))), Reason.MALFORMED_CBOR),
        "duplicate key": (_raw_envelope((b"\x02", _AUTH), (b"\x02", _AUTH)), Reason.NOT_DETERMINISTIC),
        "duplicate manifest": (
            _raw_envelope((b"\x02", _AUTH), (b"\x03", _MANIFEST), (b"\x03", _MANIFEST)),
            Reason.NOT_DETERMINISTIC,
        ),
        "manifest before authentication": (
            _raw_envelope((b"\x03", _MANIFEST), (b"\x02", _AUTH)),
            Reason.NOT_DETERMINISTIC,
        ),
        "long head": (_raw_envelope((b"\x18\x02", _AUTH), (b"\x03", _MANIFEST)), Reason.NOT_DETERMINISTIC),
        "no authentication": (_raw_envelope((b"\x03", _MANIFEST)), Reason.NO_AUTHENTICATION),
        "no manifest": (_raw_envelope((b"\x02", _AUTH)), Reason.PARAMETER_MISSING),
        "unknown member": (encode(Tag(107, {**_GOOD, 9: b""})), Reason.COMMAND_UNKNOWN),
        "member that is no bytes": (encode(Tag(107, {**_GOOD, 20: 7})), Reason.MALFORMED_CBOR),
        "key that is an array": (encode(Tag(107, {**_GOOD, (b"",): b""})), Reason.MALFORMED_CBOR),
        "trailing bytes": (signed() + b"\x00", Reason.MALFORMED_CBOR),
        "trailing bytes in the wrapper": (
            _raw_envelope((b"\x02", encode(_GOOD[2] + b"\x00")), (b"\x03", _MANIFEST)),
            Reason.MALFORMED_CBOR,
        ),
        "too large": (encode(Tag(107, {**_GOOD, "#x": bytes(5000)})), Reason.TOO_LARGE),
        "an empty wrapper": (_wrapper(), Reason.TRUNCATED),
        "a digest and nobody who vouches": (_blocks(), Reason.NO_AUTHENTICATION),
        "1000 authentications": (_blocks(*[b""] * 1000), Reason.TOO_LARGE),
        "authentication that is empty": (_blocks(b""), Reason.TRUNCATED),
        "signature of 63 bytes": (_blocks(block(_payload(), signature=short)), Reason.BAD_SIGNATURE),
        "signature of 65 bytes": (_blocks(block(_payload(), signature=long)), Reason.BAD_SIGNATURE),
        "signature of 0 bytes": (_blocks(block(_payload(), signature=b"")), Reason.BAD_SIGNATURE),
        "signature of zeros": (_blocks(block(_payload(), signature=bytes(64))), Reason.BAD_SIGNATURE),
        "ES256 signature of zeros": (_blocks(block(_payload(), ES256, signature=bytes(64))), Reason.BAD_SIGNATURE),
        "signature over another digest": (_blocks(block(b"other")), Reason.BAD_SIGNATURE),
        "algorithm of another key": (
            _blocks(block(_payload(), protected=encode({1: -9}))),
            Reason.WRONG_ALGORITHM,
        ),
        "algorithm none": (_blocks(block(_payload(), protected=b"")), Reason.WRONG_ALGORITHM),
        "algorithm unprotected": (
            _blocks(block(_payload(), protected=b"", unprotected={1: -19, 4: SIGNER.kid})),
            Reason.WRONG_ALGORITHM,
        ),
        "unknown algorithm": (_blocks(block(_payload(), protected=encode({1: -99}))), Reason.WRONG_ALGORITHM),
        "huge algorithm": (_blocks(block(_payload(), protected=encode({1: 1 << 40}))), Reason.MALFORMED_CBOR),
        "critical header": (_blocks(block(_payload(), unprotected={2: [99]})), Reason.UNSUPPORTED),
        "key id twice": (
            _blocks(block(_payload(), protected=encode({1: -19, 4: SIGNER.kid}))),
            Reason.MALFORMED_CBOR,
        ),
        "key id that is text": (_blocks(block(_payload(), unprotected={4: "signer"})), Reason.MALFORMED_CBOR),
        "MAC with a public key": (_blocks(_mac_block(SIGNER)), Reason.WRONG_ALGORITHM),
        "MAC with the algorithm of the signature": (_blocks(_mac_block(SIGNER, algorithm=-19)), Reason.WRONG_ALGORITHM),
        "MAC that is wrong": (
            _blocks(encode(Tag(17, [encode({1: 5}), {4: MAC.kid}, None, bytes(32)]))),
            Reason.BAD_SIGNATURE,
        ),
        "MAC that is short": (
            _blocks(encode(Tag(17, [encode({1: 5}), {4: MAC.kid}, None, b""]))),
            Reason.BAD_SIGNATURE,
        ),
        "signature where a MAC is due": (_blocks(block(_payload(), MAC)), Reason.WRONG_ALGORITHM),
        "no tag of COSE": (_blocks(encode([b"", {}, None, bytes(64)])), Reason.MALFORMED_CBOR),
        "tag of encryption": (_blocks(block(_payload(), tag=16)), Reason.WRONG_ALGORITHM),
        "attached payload": (_blocks(block(_payload(), payload=_payload())), Reason.MALFORMED_CBOR),
        "payload false": (_blocks(block(_payload(), payload=False)), Reason.MALFORMED_CBOR),
        "three items": (_blocks(encode(Tag(18, [encode({1: -19}), {}, None]))), Reason.MALFORMED_CBOR),
        "COSE_Sign without signatures": (
            _blocks(encode(Tag(98, [b"", {}, None, []]))),
            Reason.NO_AUTHENTICATION,
        ),
        "COSE_Sign with 5 signatures": (
            _blocks(encode(Tag(98, [b"", {}, None, [[encode({1: -19}), {}, bytes(64)]] * 5]))),
            Reason.TOO_LARGE,
        ),
        "unknown key": (_blocks(block(_payload(), STRANGER)), Reason.UNKNOWN_KEY),
        "unknown key without its id": (_blocks(block(_payload(), STRANGER, unprotected={})), Reason.BAD_SIGNATURE),
        "revoked key": (_blocks(block(_payload(), REVOKED)), Reason.REVOKED_KEY),
        "revoked key without its id": (_blocks(block(_payload(), REVOKED, unprotected={})), Reason.REVOKED_KEY),
        "revoked key and a wrong signature": (
            _blocks(block(_payload(), REVOKED, signature=bytes(64))),
            Reason.BAD_SIGNATURE,
        ),
        "digest of SHA-512": (_digest_as(encode([-44, bytes(64)])), Reason.UNSUPPORTED),
        "digest of 0 bytes": (_digest_as(encode([-16, b""])), Reason.PARAMETER_MALFORMED),
        "digest of 31 bytes": (_digest_as(encode([-16, bytes(31)])), Reason.PARAMETER_MALFORMED),
        "digest of 33 bytes": (_digest_as(encode([-16, bytes(33)])), Reason.PARAMETER_MALFORMED),
        "digest that is a number": (_digest_as(encode(7)), Reason.MALFORMED_CBOR),
        "digest of another manifest": (_digest_as(encode([-16, bytes(32)])), Reason.MANIFEST_DIGEST),
        "manifest that was exchanged": (
            _wrapper(_payload(), block(_payload()), manifest=encode(plain_manifest(m2=6))),
            Reason.MANIFEST_DIGEST,
        ),
    }


def _manifest(**changes: Any) -> bytes:
    return seal(plain_manifest(**changes))


def _shared(**changes: Any) -> bytes:
    return _manifest(m3=common(shared_sequence=shared(**changes)))


def _install(*items: Any) -> bytes:
    return _manifest(m20=sequence(12, 0, *items))


def _override(values: Mapping[int, Any]) -> bytes:
    return _install(20, values, 21, 15, 3, 15)


def _parameter(number: int, value: Any) -> bytes:
    """The parameter, set beside the URI."""
    return _override({number: value, 21: URI} if number < 21 else {21: URI, number: value})


def _nest(command: int, depth: int) -> bytes:
    inner = sequence(12, 0)
    for _ in range(depth):
        inner = sequence(command, inner if command == 32 else [inner, inner])
    return _install(command, inner if command == 32 else [inner, inner], 20, {21: URI}, 21, 15, 3, 15)


_MANY = [[b"model"]] * 1000
_DIGEST = encode([-16, digest(NEW)])
_OLD_TARGET = {3: encode([-16, digest(OLD)]), 14: len(OLD)}
_IDENTITY = [1, 15, 2, 15]
_BOTH = [[b"model"], [b"firmware"]]


def _two(second: bytes, *, digest_of_second: bytes = b"", install: bytes = b"") -> bytes:
    """A manifest for the model and the firmware, the second from a payload of the envelope."""
    from tests.support.suit import FIRMWARE_CLASS

    target = {1: VENDOR.bytes, 2: CLASS.bytes, 3: _DIGEST, 14: len(NEW)}
    other = {1: VENDOR.bytes, 2: FIRMWARE_CLASS.bytes, 3: encode([-16, digest_of_second or digest(second)])}
    both = sequence(12, 0, 20, target, *_IDENTITY, 12, 1, 20, {**other, 14: len(second)}, *_IDENTITY)
    fetch = install or sequence(12, 0, 20, {21: URI}, 21, 15, 3, 15, 12, 1, 20, {21: "#fw"}, 21, 15, 3, 15)
    validate = sequence(12, 0, 3, 15, 12, 1, 3, 15)
    return seal(plain_manifest(m3=common(_BOTH, both), m20=fetch, m7=validate), fw=second)


def structures() -> dict[str, Case]:
    """Rightly signed manifests that are refused before anything happens."""
    malformed, missing = Reason.PARAMETER_MALFORMED, Reason.PARAMETER_MISSING
    cases: dict[str, Case] = {
        "replay": (_manifest(m2=4), Reason.SEQUENCE_REPLAYED),
        "older": (_manifest(m2=3), Reason.SEQUENCE_REPLAYED),
        "equal number, other content": (_manifest(m2=4, m4="coap://x"), Reason.SEQUENCE_REPLAYED),
        "number of 2^32": (_manifest(m2=1 << 32), malformed),
        "number of 2^64 - 1": (_manifest(m2=(1 << 64) - 1), malformed),
        "number below zero": (_manifest(m2=-5), Reason.MALFORMED_CBOR),
        "version 0": (_manifest(m1=0), Reason.MANIFEST_VERSION),
        "version 2": (_manifest(m1=2), Reason.MANIFEST_VERSION),
        "version as text": (_manifest(m1="1"), Reason.MALFORMED_CBOR),
        "no version": (_manifest(m1=None), missing),
        "no sequence number": (_manifest(m2=None), missing),
        "no common": (_manifest(m3=None), missing),
        "no components": (_manifest(m3=encode({4: shared()})), missing),
        "0 components": (_manifest(m3=common([])), missing),
        "1000 components": (_manifest(m3=common(_MANY)), Reason.TOO_LARGE),
        "a component twice": (_manifest(m3=common([[b"model"], [b"model"]])), malformed),
        "an unknown component": (_manifest(m3=common([[b"bootloader"]])), Reason.COMPONENT_UNKNOWN),
        "a component with ..": (_manifest(m3=common([[b"..", b"model"]])), Reason.COMPONENT_UNKNOWN),
        "a component of nothing": (_manifest(m3=common([[]])), Reason.COMPONENT_UNKNOWN),
        "a component that is text": (_manifest(m3=common([["model"]])), Reason.COMPONENT_UNKNOWN),
        "components as bytes": (_manifest(m3=common(b"model")), Reason.MALFORMED_CBOR),
        "dependencies": (_manifest(m3=encode({1: {1: {}}, 2: [[b"model"]]})), Reason.COMMAND_UNKNOWN),
        "a key after install": (seal({**plain_manifest(), 24: b""}), Reason.COMMAND_UNKNOWN),
        "a private key": (seal({**plain_manifest(), -1: b""}), Reason.COMMAND_UNKNOWN),
        "a key that is text": (seal({**plain_manifest(), "x": b""}), Reason.MALFORMED_CBOR),
        "a manifest that is an array": (seal(encode([1, 5])), Reason.MALFORMED_CBOR),
        "a manifest with bytes after it": (seal(encode(plain_manifest()) + b"\x00"), Reason.MALFORMED_CBOR),
        "an unknown manifest component": (_manifest(m5=[b"other"]), Reason.COMPONENT_UNKNOWN),
        "the keys' sequence number by a signer of models": (_manifest(m5=[b"keys"]), Reason.UNAUTHORIZED),
        "set-version that is no version": (_manifest(m6=b"\x01"), malformed),
        "set-version of nine numbers": (_manifest(m6=encode([1] * 9)), malformed),
        "an install of nothing": (_manifest(m20=b"\x80"), Reason.MALFORMED_CBOR),
        "an install of odd length": (_manifest(m20=sequence(12, 0, 3)), Reason.MALFORMED_CBOR),
        "an install that is a map": (_manifest(m20=b"\xa1\x0c\x00"), Reason.MALFORMED_CBOR),
        "bytes after install": (_manifest(m20=INSTALL + b"\x00"), Reason.MALFORMED_CBOR),
        "an unknown command": (_install(99, 15), Reason.COMMAND_UNKNOWN),
        "a custom command": (_install(-300, 15), Reason.COMMAND_UNKNOWN),
        "a command that is text": (_install("x", 15), Reason.MALFORMED_CBOR),
        "waiting": (_install(29, 15), Reason.COMMAND_UNKNOWN),
        "a dependency": (_install(11, 15), Reason.COMMAND_UNKNOWN),
        "a reporting policy of 16": (_install(3, 16), malformed),
        "a reporting policy that is text": (_install(3, "x"), Reason.MALFORMED_CBOR),
        "fetch in the shared sequence": (
            _manifest(m3=common(shared_sequence=sequence(12, 0, 20, {21: URI}, 21, 15))),
            Reason.COMMAND_UNKNOWN,
        ),
        "index out of range": (_install(12, 1, 3, 15), malformed),
        "index of 2^64 - 1": (_install(12, (1 << 64) - 1, 3, 15), malformed),
        "index false": (_install(12, False, 3, 15), malformed),
        "index null": (_install(12, None, 3, 15), Reason.MALFORMED_CBOR),
        "index as text": (_install(12, "0", 3, 15), malformed),
        "index of no components": (_install(12, [], 3, 15), malformed),
        "index of components out of range": (_install(12, [0, 1], 3, 15), malformed),
        "index of components twice": (_install(12, [0, 0], 3, 15), malformed),
        "run-sequence too deep": (_nest(32, 4), Reason.NESTING),
        "run-sequence 200 deep": (_nest(32, 200), Reason.NESTING),
        "try-each too deep": (_nest(15, 4), Reason.NESTING),
        "try-each of 1000": (_install(15, [sequence(12, 0)] * 100), Reason.NESTING),
        "try-each of one": (_install(15, [sequence(12, 0)]), Reason.MALFORMED_CBOR),
        "try-each of none": (_install(15, []), Reason.MALFORMED_CBOR),
        "try-each with null first": (_install(15, [None, sequence(12, 0)]), Reason.MALFORMED_CBOR),
        "try-each that is no array": (_install(15, 7), Reason.MALFORMED_CBOR),
        "a branch that would never run": (
            _install(15, [sequence(12, 0), sequence(99, 15)]),
            Reason.COMMAND_UNKNOWN,
        ),
        "a condition without its parameter": (_install(24, 15), missing),
        "fetch without a URI": (_install(21, 15), missing),
        "copy without a source": (_install(22, 15), missing),
        "a check without a digest": (_shared(p3=None), missing),
        "no parameters": (_override({}), malformed),
        "parameters that are no map": (_install(20, 7), Reason.MALFORMED_CBOR),
        "an unknown parameter": (_parameter(99, 0), Reason.COMMAND_UNKNOWN),
        "a custom parameter": (_override({21: URI, -300: 0}), Reason.COMMAND_UNKNOWN),
        "a parameter that is text": (_override({21: URI, "x": 0}), Reason.MALFORMED_CBOR),  # type: ignore[dict-item]
        "copy onto itself": (_install(20, {22: 0}, 22, 15, 3, 15), malformed),
        "swap with itself": (_install(20, {22: 0}, 31, 15, 3, 15), malformed),
        "a source out of range": (_install(20, {22: 1}, 22, 15, 3, 15), malformed),
        "a URI of 0 bytes": (_override({21: ""}), malformed),
        "a URI of 129 bytes": (_override({21: "coap://" + "x" * 122}), malformed),
        "a URI that is bytes": (_override({21: b"coap://x"}), malformed),
        "a size of 2^32": (_shared(p14=1 << 32), malformed),
        "a size as text": (_shared(p14="500"), malformed),
        "soft-failure where it must not be": (_parameter(13, True), malformed),
        "soft-failure that is a number": (_parameter(13, 1), malformed),
        "a digest of SHA-384": (_shared(p3=encode([-43, bytes(48)])), Reason.UNSUPPORTED),
        "a digest that is not wrapped": (_shared(p3=[-16, digest(NEW)]), malformed),
        "encryption info that is none": (_parameter(19, b"\x00"), malformed),
        "a version that is none": (_override({21: URI, 28: b"\x80"}), malformed),
        "action before the vendor check": (
            _manifest(m3=common(shared_sequence=sequence(12, 0, 20, {3: _DIGEST, 14: len(NEW)}))),
            Reason.IDENTITY_UNCHECKED,
        ),
        "action before the class check": (
            _manifest(m3=common(shared_sequence=sequence(12, 0, 20, {1: VENDOR.bytes, 3: _DIGEST}, 1, 15))),
            Reason.IDENTITY_UNCHECKED,
        ),
        "vendor and class checked in a branch alone": (
            _manifest(
                m3=common(
                    shared_sequence=sequence(
                        12,
                        0,
                        20,
                        {1: VENDOR.bytes, 2: CLASS.bytes, 3: _DIGEST, 14: 1},
                        15,
                        [sequence(*_IDENTITY), None],
                    )
                )
            ),
            Reason.IDENTITY_UNCHECKED,
        ),
        "the class of another component checked": (
            seal(
                plain_manifest(
                    m3=common(_BOTH, sequence(12, 0, 20, {1: VENDOR.bytes, 2: CLASS.bytes}, *_IDENTITY)),
                    m20=sequence(12, 1, 20, {3: _DIGEST, 21: URI}, 21, 15, 3, 15),
                    m7=sequence(12, 1, 3, 15),
                )
            ),
            Reason.IDENTITY_UNCHECKED,
        ),
        "two components and no index": (
            seal(plain_manifest(m3=common(_BOTH), m20=sequence(20, {21: URI}, 21, 15))),
            missing,
        ),
        "install was cut away": (
            _manifest(m20=[-16, digest_of(INSTALL).value]),
            missing,
        ),
        "install of another digest": (
            seal(plain_manifest(m20=[-16, bytes(32)]), m20=INSTALL),
            Reason.MANIFEST_DIGEST,
        ),
        "install in both places": (seal(plain_manifest(), m20=INSTALL), Reason.MANIFEST_DIGEST),
        "text that the manifest does not name": (seal(plain_manifest(), m23=b"\xa0"), Reason.MANIFEST_DIGEST),
        "text of another digest": (
            seal(plain_manifest(m23=[-16, bytes(32)]), m23=b"\xa0"),
            Reason.MANIFEST_DIGEST,
        ),
        "a severed digest of 31 bytes": (_manifest(m20=[-16, bytes(31)]), malformed),
        "the model's key for the keys": (
            seal(plain_manifest(m3=common([[b"keys"]])), SIGNER),
            Reason.UNAUTHORIZED,
        ),
        "the root key for the model": (seal(plain_manifest(), ROOT), Reason.UNAUTHORIZED),
    }
    for size in (0, 1, 15, 17):
        cases[f"vendor of {size} bytes"] = (_shared(p1=bytes(size)), malformed)
        cases[f"class of {size} bytes"] = (_shared(p2=bytes(size)), malformed)
    for size in (0, 1, 31, 33):
        cases[f"digest of {size} bytes"] = (_shared(p3=encode([-16, bytes(size)])), malformed)
    return cases


def executions() -> dict[str, Case]:
    """Valid manifests that end while they are carried out; nothing of them may stay."""
    from tests.support.suit import FIRMWARE_CLASS

    wrong = sequence(12, 0, 20, {21: "coap://nowhere"}, 21, 15, 3, 15)
    limits = sequence(12, 0, 20, {1: VENDOR.bytes, 2: CLASS.bytes, 3: _DIGEST, 4: NOW, 14: len(NEW)}, *_IDENTITY, 4, 15)
    for_device = sequence(
        12, 0, 20, {1: VENDOR.bytes, 2: CLASS.bytes, 3: _DIGEST, 14: len(NEW), 24: _OTHER}, *_IDENTITY, 24, 15
    )
    version = encode([1, [1, 2, 3]])
    return {
        "another vendor": (_shared(p1=_OTHER), Reason.VENDOR_MISMATCH),
        "another class": (_shared(p2=_OTHER), Reason.CLASS_MISMATCH),
        "the class of the firmware": (_shared(p2=FIRMWARE_CLASS.bytes), Reason.CLASS_MISMATCH),
        "another device": (_manifest(m3=common(shared_sequence=for_device)), Reason.DEVICE_MISMATCH),
        "expired this second": (_manifest(m3=common(shared_sequence=limits)), Reason.EXPIRED),
        "another digest": (_shared(p3=encode([-16, bytes(32)])), Reason.IMAGE_DIGEST),
        "a size below the data": (_shared(p14=len(NEW) - 1), Reason.IMAGE_SIZE),
        "a size above the data": (_shared(p14=len(NEW) + 1), Reason.IMAGE_SIZE),
        "a size above the slot": (_shared(p14=1025), Reason.SLOT_TOO_SMALL),
        "no size, and data above the slot": (
            seal(plain_manifest(m3=common(shared_sequence=shared(p14=None)), m20=INSTALL.replace(b"m/2", b"m/L"))),
            Reason.IMAGE_SIZE,
        ),
        "nothing at the URI": (_manifest(m20=wrong), Reason.PAYLOAD_MISSING),
        "no such payload in the envelope": (_override({21: "#none"}), Reason.PAYLOAD_MISSING),
        "no check after the fetch": (
            _manifest(m20=sequence(12, 0, 20, {21: URI}, 21, 15), m7=None),
            Reason.IMAGE_DIGEST,
        ),
        "a check before the fetch alone": (
            _manifest(
                m20=sequence(12, 0, 20, {3: encode([-16, digest(OLD)]), 14: len(OLD), 21: URI}, 3, 15, 21, 15), m7=None
            ),
            Reason.IMAGE_SIZE,
        ),
        "no branch that fits": (
            _install(15, [sequence(14, 15), sequence(20, {5: 9}, 5, 15)], 20, {21: URI}, 21, 15, 3, 15),
            Reason.UNSUPPORTED,
        ),
        "a branch that must hold": (
            _install(15, [sequence(20, {13: False}, 14, 15), sequence(12, 0)], 20, {21: URI}, 21, 15, 3, 15),
            Reason.ABORTED,
        ),
        "abort": (_install(14, 15), Reason.ABORTED),
        "an image that is there already": (
            _install(20, _OLD_TARGET, 25, 15),
            Reason.IMAGE_PRESENT,
        ),
        "a version above the installed one": (_install(20, {28: version}, 28, 15), Reason.VERSION_MISMATCH),
        "more battery than there is": (_install(20, {26: 501}, 26, 15), Reason.BATTERY),
        "nobody to ask": (_install(20, {27: 1}, 27, 15), Reason.UNSUPPORTED),
        "a parameter of a branch that did not run": (
            _install(15, [sequence(14, 15), sequence(12, 0)], 15, [sequence(14, 15, 20, {21: URI}), None], 21, 15),
            Reason.PARAMETER_MISSING,
        ),
        "the second component of another digest": (
            _two(b"new firmware", digest_of_second=bytes(32)),
            Reason.IMAGE_DIGEST,
        ),
        "the second component missing": (
            _two(b"x", install=sequence(12, 0, 20, {21: URI}, 21, 15, 3, 15, 12, 1, 20, {21: "#no"}, 21, 15, 3, 15)),
            Reason.PAYLOAD_MISSING,
        ),
        "content of another digest": (
            _manifest(m20=sequence(12, 0, 20, {18: b"content"}, 18, 15, 3, 15)),
            Reason.IMAGE_SIZE,
        ),
    }


def accepted() -> dict[str, bytes]:
    """What is unusual, and right."""
    return {
        "plain": signed(),
        "ES256": _blocks(block(_payload(), ES256)),
        "ES256 by its old number": _blocks(block(_payload(), ES256, protected=encode({1: -7}))),
        "EdDSA by its old number": _blocks(block(_payload(), protected=encode({1: -8}))),
        "MAC": _blocks(_mac_block(MAC)),
        "no key id": _blocks(block(_payload(), unprotected={})),
        "key id protected": _blocks(block(_payload(), protected=encode({1: -19, 4: SIGNER.kid}), unprotected={})),
        "an unknown header": _blocks(block(_payload(), unprotected={4: SIGNER.kid, 99: "x"})),
        "a bad signature before a good one": _blocks(block(_payload(), signature=bytes(64)), block(_payload())),
        "a good signature before a bad one": _blocks(block(_payload()), block(_payload(), signature=bytes(64))),
        "an unknown key before a known one": _blocks(block(_payload(), ed25519_signer("x")), block(_payload())),
        "COSE_Sign": _blocks(_cose_sign()),
        "all components": _manifest(m20=sequence(12, True, 20, {21: URI}, 21, 15, 3, 15)),
        "an array of components": _manifest(m20=sequence(12, [0], 20, {21: URI}, 21, 15, 3, 15)),
        "run-sequence": _install(32, sequence(20, {21: URI}, 21, 15, 3, 15)),
        "soft run-sequence": _install(32, sequence(20, {13: True}, 14, 15), 20, {21: URI}, 21, 15, 3, 15),
        "try-each with null": _install(15, [sequence(14, 15), None], 20, {21: URI}, 21, 15, 3, 15),
        "nested as deep as allowed": _nest(32, 2),
        "fetch in payload-fetch": seal(plain_manifest(m16=INSTALL, m20=None)),
        "severed install": seal(plain_manifest(m20=[-16, digest_of(INSTALL).value]), m20=INSTALL),
        "text cut away": _manifest(m23=[-16, bytes(32)]),
        "two components": _two(b"new firmware"),
        "content": _manifest(
            m3=common(shared_sequence=shared(p3=encode([-16, digest(b"content")]), p14=7)),
            m20=sequence(12, 0, 20, {18: b"content"}, 18, 15, 3, 15),
        ),
        "nothing to do": _manifest(m20=None, m7=None),
    }


def _cose_sign() -> bytes:
    from tinyops.suit.cose import sign_by_many

    return sign_by_many(_payload(), [STRANGER, SIGNER])


DELTA_URI = "coap://d/1"
LONG_URI = URI.replace("m/2", "m/L")
LONG = bytes(2000)


def fetches() -> dict[str, bytes]:
    """What is where; the place that gets a delta has applied it."""
    return {URI: NEW, DELTA_URI: NEW, LONG_URI: LONG}
