"""The device's SUIT receiver under sanitizers: manifests that are signed, but hostile. Each is refused before anything
happens, for the reason that it is wrong; so are manifests for others."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import pytest

from tests.support.receiver import (
    CLASS,
    DEVICE,
    FETCH,
    IMAGE,
    URI,
    VENDOR,
    Receiver,
    common,
    component_option,
    digest_of,
    dumps,
    envelope,
    manifest,
    parameters,
    shared,
)
from tinyops.suit.reasons import Reason

MALFORMED, MISSING, RANGE = Reason.MALFORMED_CBOR, Reason.PARAMETER_MISSING, Reason.PARAMETER_MALFORMED
UNKNOWN, NESTING = Reason.COMMAND_UNKNOWN, Reason.NESTING


def having(key: int, value: Any) -> dict[int, Any]:
    """A good manifest with another value of one member."""
    return dict(sorted({**manifest(), key: value}.items()))


def lacking(key: int) -> dict[int, Any]:
    return {k: v for k, v in manifest().items() if k != key}


def of_common(value: Any) -> dict[int, Any]:
    return having(3, value if isinstance(value, bytes) else dumps(value))


def installing(*commands: Any) -> dict[int, Any]:
    return manifest(list(commands))


def sharing(*commands: Any) -> dict[int, Any]:
    return manifest(shared_sequence=list(commands))


def setting(key: Any, value: Any) -> dict[int, Any]:
    """A good manifest that sets a parameter as well, in install."""
    return installing(20, {key: value}, *FETCH)


def nested_run(depth: int) -> list[Any]:
    sequence: list[Any] = [2, 15]
    for _ in range(depth):
        sequence = [32, dumps(sequence)]
    return sequence


def nested_try(depth: int) -> list[Any]:
    sequence: list[Any] = [2, 15]
    for _ in range(depth):
        sequence = [15, [dumps(sequence), dumps([14, 15])]]
    return sequence


def two(install: Any, first: Any = 12) -> dict[int, Any]:
    """A manifest of two components."""
    start = [12, 0, *shared(), 12, 1, *shared()] if first == 12 else shared()
    return manifest(install, shared_sequence=start, components=((b"model",), (b"firmware",)))


def severed(key: int, content: Any, *, digest: bytes | None = None, keep: bool = True) -> bytes:
    """An envelope whose manifest has a severed member."""
    item = dumps(content)
    digest_value = cbor2.loads(digest_of(dumps(item)) if digest is None else digest)
    members = {key: item} if keep else {}
    return envelope(dict(sorted({**lacking(20), key: digest_value}.items())), members=members)


def structure() -> dict[str, tuple[Any, Reason]]:
    good = dumps(manifest())
    return {
        "not a map": (dumps([1, 2, 3]), MALFORMED),
        "empty map": ({}, MISSING),
        "trailing byte": (good + b"\0", MALFORMED),
        "version 0": (manifest(version=0), Reason.MANIFEST_VERSION),
        "version 2": (manifest(version=2), Reason.MANIFEST_VERSION),
        "version 2^64-1": (manifest(version=2**64 - 1), Reason.MANIFEST_VERSION),
        "version -1": (manifest(version=-1), MALFORMED),
        "version a text": (manifest(version="1"), MALFORMED),
        "no version": (lacking(1), MISSING),
        "no sequence number": (lacking(2), MISSING),
        "no common": (lacking(3), MISSING),
        "sequence 2^32": (manifest(sequence=2**32), RANGE),
        "sequence 2^64-1": (manifest(sequence=2**64 - 1), RANGE),
        "sequence -1": (manifest(sequence=-1), MALFORMED),
        "sequence a bignum": (manifest(sequence=2**64), MALFORMED),
        "sequence a float": (manifest(sequence=2.5), MALFORMED),
        "keys out of order": (b"\xa4" + good[3:5] + good[1:3] + good[5:], Reason.NOT_DETERMINISTIC),
        "key twice": (b"\xa5" + good[1:3] + good[1:], Reason.NOT_DETERMINISTIC),
        "unknown key 10": (having(10, b""), UNKNOWN),
        "unknown key after install": (having(21, dumps(FETCH)), UNKNOWN),
        "unknown key 255": (having(255, 0), UNKNOWN),
        "unknown key -1": (having(-1, 0), UNKNOWN),
        "unknown key 2^31": (having(2**31, 0), MALFORMED),
        "text as a key": (having(30, 0) | {"x": 0}, UNKNOWN),
        "riot's install": (lacking(20) | {9: dumps(FETCH), 10: dumps([3, 15])}, UNKNOWN),
        "dependency resolution": (having(15, dumps(FETCH)), UNKNOWN),
        "common not a string": (having(3, common(shared())), MALFORMED),
        "common an array": (of_common([]), MALFORMED),
        "common empty": (of_common({}), MISSING),
        "common without components": (of_common({4: dumps(shared())}), MISSING),
        "common with trailing bytes": (of_common(dumps(common(shared())) + b"\0"), MALFORMED),
        "common with dependencies": (of_common({1: {}, **common(shared())}), UNKNOWN),
        "common with key 3": (of_common({2: [[b"model"]], 3: b"", 4: dumps(shared())}), UNKNOWN),
        "0 components": (of_common(common(shared(), [])), MISSING),
        "5 components": (of_common(common(shared(), [[b"model"], [b"a"], [b"b"], [b"c"], [b"d"]])), Reason.TOO_LARGE),
        "1000 components": (of_common(common(shared(), [[b"model"]] * 1000)), Reason.TOO_LARGE),
        "components a map": (of_common({2: {}, 4: dumps(shared())}), MALFORMED),
        "component twice": (of_common(common(shared(), [[b"model"], [b"model"]])), RANGE),
        "unknown component": (of_common(common(shared(), [[b"other"]])), Reason.COMPONENT_UNKNOWN),
        "empty component id": (of_common(common(shared(), [[]])), Reason.COMPONENT_UNKNOWN),
        "component id a string": (of_common(common(shared(), [b"model"])), Reason.COMPONENT_UNKNOWN),
        "component id a text": (of_common(common(shared(), [["model"]])), Reason.COMPONENT_UNKNOWN),
        "component .. model": (of_common(common(shared(), [[b"..", b"model"]])), Reason.COMPONENT_UNKNOWN),
        "component model/..": (of_common(common(shared(), [[b"model/../keys"]])), Reason.COMPONENT_UNKNOWN),
        "component with an empty part": (of_common(common(shared(), [[b"model", b""]])), Reason.COMPONENT_UNKNOWN),
        "component of 60 empty parts": (of_common(common(shared(), [[b""] * 60])), Reason.COMPONENT_UNKNOWN),
        "component with a zero byte": (of_common(common(shared(), [[b"model\0"]])), Reason.COMPONENT_UNKNOWN),
        "nested component id": (of_common(common(shared(), [[[[[[[[[[b"model"]]]]]]]]]])), NESTING),
        "reference URI bytes": (having(4, b"coap://x"), MALFORMED),
        "manifest id unknown": (having(5, [b"other"]), Reason.COMPONENT_UNKNOWN),
        "validate not a string": (having(7, [3, 15]), MALFORMED),
        "validate a digest": (having(7, [-16, bytes(32)]), MALFORMED),
        "install a map": (having(20, {}), MALFORMED),
        "install a number": (having(20, 5), MALFORMED),
    }


def sequences() -> dict[str, tuple[Any, Reason]]:
    u15 = bytes(15)
    return {
        "empty string": (having(20, b""), Reason.TRUNCATED),
        "empty sequence": (installing(), MALFORMED),
        "empty shared sequence": (sharing(), MALFORMED),
        "odd length": (installing(*FETCH, 3), MALFORMED),
        "length of one": (installing(14), MALFORMED),
        "a map": (having(20, dumps({3: 15})), MALFORMED),
        "trailing bytes": (having(20, dumps(FETCH) + b"\0"), MALFORMED),
        "length claims more": (having(20, b"\x86" + dumps([3, 15])[1:]), Reason.TRUNCATED),
        "indefinite": (having(20, b"\x9f\x03\x0f\xff"), Reason.NOT_DETERMINISTIC),
        "command a text": (installing("3", 15), MALFORMED),
        "command 0": (installing(0, 15), UNKNOWN),
        "command 255": (installing(*FETCH, 255, 15), UNKNOWN),
        "command 2^64-1": (installing(2**64 - 1, 15), MALFORMED),
        "custom command": (installing(-257, b""), UNKNOWN),
        "custom command -1": (installing(-1, b""), UNKNOWN),
        "set-parameters of older drafts": (installing(19, {21: URI}, *FETCH), UNKNOWN),
        "run-sequence of older drafts": (installing(30, dumps([3, 15])), UNKNOWN),
        "wait": (installing(29, 15), UNKNOWN),
        "process-dependency": (installing(11, 15), UNKNOWN),
        "override-multiple": (installing(34, {0: {14: 1}}), UNKNOWN),
        "action in the shared sequence": (sharing(*shared(), 20, {21: URI}, 21, 2), UNKNOWN),
        "action in a shared try-each": (sharing(*shared(15, [dumps([18, 2]), None])), UNKNOWN),
        "reporting policy 16": (installing(*FETCH, 3, 16), RANGE),
        "reporting policy -1": (installing(*FETCH, 3, -1), MALFORMED),
        "reporting policy true": (installing(*FETCH, 3, True), MALFORMED),
        "reporting policy null": (installing(*FETCH, 14, None), MALFORMED),
        "index out of range": (installing(12, 1, *FETCH), RANGE),
        "index 2^64-1": (installing(12, 2**64 - 1, *FETCH), RANGE),
        "index 256": (installing(12, 256, *FETCH), RANGE),
        "index -1": (installing(12, -1, *FETCH), RANGE),
        "index false": (installing(12, False, *FETCH), RANGE),
        "index null": (installing(12, None, *FETCH), MALFORMED),
        "index a text": (installing(12, "0", *FETCH), RANGE),
        "index an empty list": (installing(12, [], *FETCH), RANGE),
        "index list out of range": (two([12, [0, 2], *FETCH]), RANGE),
        "index list with itself": (two([12, [0, 0], *FETCH]), RANGE),
        "index list descending": (two([12, [1, 0], *FETCH]), RANGE),
        "index list of lists": (two([12, [[0], [1]], *FETCH]), MALFORMED),
        "index list of 2^64": (installing(12, [2**64 - 1], *FETCH), RANGE),
        "two components without an index": (two(FETCH), MISSING),
        "two components, shared without an index": (two([12, 0, *FETCH], first=0), MISSING),
        "run-sequence not a string": (installing(32, [3, 15]), MALFORMED),
        "run-sequence null": (installing(32, None), MALFORMED),
        "run-sequence empty": (installing(32, dumps([])), MALFORMED),
        "run-sequence 3 deep": (installing(*nested_run(3)), Reason.OK),
        "run-sequence 4 deep": (installing(*nested_run(4)), NESTING),
        "run-sequence 50 deep": (installing(*nested_run(50)), NESTING),
        "try-each 3 deep": (installing(*nested_try(3)), Reason.OK),
        "try-each 4 deep": (installing(*nested_try(4)), NESTING),
        "shared run-sequence 4 deep": (sharing(*shared(*nested_run(4))), NESTING),
        "try-each of none": (installing(15, []), MALFORMED),
        "try-each of null": (installing(15, [None]), MALFORMED),
        "try-each of one": (installing(15, [dumps([3, 15])]), MALFORMED),
        "try-each of two nulls": (installing(15, [dumps([14, 15]), None, None]), MALFORMED),
        "try-each with null first": (installing(15, [None, dumps([3, 15])]), MALFORMED),
        "try-each with null in between": (installing(15, [dumps([14, 15]), None, dumps([3, 15])]), MALFORMED),
        "try-each of 8": (installing(15, [dumps([14, 15])] * 8 + [None]), Reason.OK),
        "try-each of 10": (installing(15, [dumps([14, 15])] * 10), NESTING),
        "try-each of 1000": (installing(15, [dumps([14, 15])] * 1000), NESTING),
        "try-each a string": (installing(15, dumps([3, 15])), MALFORMED),
        "try-each of arrays": (installing(15, [[3, 15], [3, 15]]), MALFORMED),
        "unknown in an alternative that would not run": (
            installing(15, [dumps([3, 15]), dumps([99, 15])]),
            UNKNOWN,
        ),
        "overriding nothing": (installing(20, {}, *FETCH), RANGE),
        "overriding with an array": (installing(20, [], *FETCH), MALFORMED),
        "unknown parameter": (setting(99, 0), UNKNOWN),
        "unknown parameter 25": (setting(25, b""), UNKNOWN),
        "custom parameter": (setting(-300, 0), UNKNOWN),
        "parameter a text": (setting("uri", URI), MALFORMED),
        "parameter twice": (
            having(20, b"\x84\x14\xa2\x0e\x01\x0e\x02\x03\x0f"),
            Reason.NOT_DETERMINISTIC,
        ),
        "parameters out of order": (having(20, b"\x84\x14\xa2\x0e\x01\x05\x02\x03\x0f"), Reason.NOT_DETERMINISTIC),
        "vendor of 0 bytes": (setting(1, b""), RANGE),
        "vendor of 1 byte": (setting(1, b"\0"), RANGE),
        "vendor of 15 bytes": (setting(1, u15), RANGE),
        "vendor of 17 bytes": (setting(1, bytes(17)), RANGE),
        "vendor an enterprise number": (setting(1, cbor2.CBORTag(112, b"\x82")), RANGE),
        "class of 15 bytes": (setting(2, u15), RANGE),
        "class a text": (setting(2, "0123456789abcdef"), RANGE),
        "device of 17 bytes": (setting(24, bytes(17)), RANGE),
        "digest of 0 bytes": (setting(3, dumps([-16, b""])), RANGE),
        "digest of 1 byte": (setting(3, dumps([-16, b"\1"])), RANGE),
        "digest of 31 bytes": (setting(3, dumps([-16, bytes(31)])), RANGE),
        "digest of 33 bytes": (setting(3, dumps([-16, bytes(33)])), RANGE),
        "digest not wrapped": (setting(3, [-16, bytes(32)]), RANGE),
        "digest a number": (setting(3, 7), RANGE),
        "digest of one item": (setting(3, dumps([-16])), RANGE),
        "digest of three items": (setting(3, dumps([-16, bytes(32), 0])), RANGE),
        "digest of another algorithm": (setting(3, dumps([-44, bytes(64)])), Reason.UNSUPPORTED),
        "digest of riot's algorithm": (setting(3, dumps([2, bytes(32)])), Reason.UNSUPPORTED),
        "size 2^32": (setting(14, 2**32), RANGE),
        "size 2^64-1": (setting(14, 2**64 - 1), RANGE),
        "size -1": (setting(14, -1), RANGE),
        "slot 2^32": (setting(5, 2**32), RANGE),
        "URI of 0 bytes": (setting(21, ""), RANGE),
        "URI of 128 bytes": (installing(*FETCH, 20, {21: "u" * 128}), Reason.OK),
        "URI of 129 bytes": (setting(21, "u" * 129), RANGE),
        "URI bytes": (setting(21, b"coap://x"), RANGE),
        "URI not UTF-8": (having(20, b"\x84\x14\xa1\x15\x62\xc3\x28\x03\x0f"), MALFORMED),
        "source out of range": (setting(22, 1), RANGE),
        "source itself": (setting(22, 0), RANGE),
        "source 2^64-1": (setting(22, 2**64 - 1), RANGE),
        "strict-order a number": (setting(12, 1), RANGE),
        "soft-failure outermost": (setting(13, True), RANGE),
        "soft-failure in the shared sequence": (sharing(*shared(20, {13: True})), RANGE),
        "soft-failure null": (installing(32, dumps([20, {13: None}, 3, 15])), RANGE),
        "content a text": (setting(18, "x"), RANGE),
        "use-before -1": (setting(4, -1), RANGE),
        "priority of 64 bits": (setting(27, 2**40), RANGE),
        "version match of one item": (setting(28, dumps([1])), RANGE),
        "version match 0": (setting(28, dumps([0, [1]])), RANGE),
        "version match 6": (setting(28, dumps([6, [1]])), RANGE),
        "version match of no numbers": (setting(28, dumps([1, []])), RANGE),
        "version match of 9 numbers": (setting(28, dumps([1, [1] * 9])), RANGE),
        "version match of text": (setting(28, dumps([1, "1.0"])), RANGE),
        "encryption info not COSE": (setting(19, dumps([1])), RANGE),
        "encryption info of a signature": (setting(19, dumps(cbor2.CBORTag(18, [b"", {}, None, b""]))), RANGE),
        "encryption info with ciphertext": (setting(19, dumps(cbor2.CBORTag(96, [b"", {}, b"x", []]))), RANGE),
    }


def needs() -> dict[str, tuple[Any, Reason]]:
    """Conditions and directives without what they need."""
    bare = {1: VENDOR, 2: CLASS}
    start = [20, bare, 1, 15, 2, 15]

    def after(*commands: Any) -> dict[int, Any]:
        return manifest(list(commands), shared_sequence=start)

    cases: dict[str, tuple[Any, Reason]] = {
        f"command {command} without its parameter": (after(command, 15), MISSING)
        for command in (3, 4, 5, 6, 18, 21, 22, 24, 25, 26, 27, 28, 31)
    }
    cases |= {
        "vendor without its parameter": (sharing(20, {2: CLASS}, 1, 15, 2, 15), MISSING),
        "class without its parameter": (sharing(20, {1: VENDOR}, 1, 15, 2, 15), MISSING),
        "parameter set for another component": (two([12, 0, 20, {21: URI}, 12, 1, 21, 2]), MISSING),
        "parameter set for one of all": (two([12, 0, 20, {21: URI}, 12, True, 21, 2]), MISSING),
        "parameter set afterwards": (after(21, 2, 20, {21: URI}), MISSING),
        "parameter only in install, needed at invocation": (
            manifest([20, {24: DEVICE}, 24, 15, *FETCH], more={7: dumps([24, 15])}),
            MISSING,
        ),
        "no identity": (sharing(20, parameters()), Reason.IDENTITY_UNCHECKED),
        "vendor alone": (sharing(20, parameters(), 1, 15), Reason.IDENTITY_UNCHECKED),
        "class alone": (sharing(20, parameters(), 2, 15), Reason.IDENTITY_UNCHECKED),
        "no shared sequence": (
            manifest([20, {**parameters(), 21: URI}, 21, 2, 1, 15, 2, 15]) | {3: dumps({2: [[b"model"]]})},
            Reason.IDENTITY_UNCHECKED,
        ),
        "identity in install": (
            manifest([20, {**parameters(), 21: URI}, 1, 15, 2, 15, 21, 2, 3, 15]) | {3: dumps({2: [[b"model"]]})},
            Reason.OK,
        ),
        "identity in another sequence": (
            manifest([20, {21: URI}, 21, 2], more={16: dumps([20, parameters(), 1, 15, 2, 15])})
            | {3: dumps({2: [[b"model"]]})},
            Reason.IDENTITY_UNCHECKED,
        ),
        "identity within try-each": (
            sharing(20, parameters(), 15, [dumps([1, 15, 2, 15]), None]),
            Reason.IDENTITY_UNCHECKED,
        ),
        "identity within run-sequence": (
            sharing(20, parameters(), 32, dumps([1, 15, 2, 15])),
            Reason.IDENTITY_UNCHECKED,
        ),
        "action within try-each before identity": (
            manifest(
                [15, [dumps([20, {21: URI}, 21, 2]), None], 1, 15, 2, 15], shared_sequence=[20, parameters(), 1, 15]
            ),
            Reason.IDENTITY_UNCHECKED,
        ),
    }
    return cases


def severable() -> dict[str, tuple[bytes, Reason]]:
    return {
        "severed": (severed(20, FETCH), Reason.OK),
        "severed payload-fetch": (severed(16, FETCH), Reason.OK),
        "severed element missing": (severed(20, FETCH, keep=False), MISSING),
        "severed element of another digest": (severed(20, FETCH, digest=digest_of(b"x")), Reason.MANIFEST_DIGEST),
        "severed element without its head in the digest": (
            severed(20, FETCH, digest=digest_of(dumps(FETCH))),
            Reason.MANIFEST_DIGEST,
        ),
        "severed element with a digest of 31 bytes": (severed(20, FETCH, digest=dumps([-16, bytes(31)])), RANGE),
        "severed element with another algorithm": (
            severed(20, FETCH, digest=dumps([-44, bytes(64)])),
            Reason.UNSUPPORTED,
        ),
        "severed element malformed": (severed(20, [3]), MALFORMED),
        "severed element hostile": (severed(20, [99, 15]), UNKNOWN),
        "member in the envelope beside the manifest's": (
            envelope(manifest(), members={20: dumps(FETCH)}),
            Reason.MANIFEST_DIGEST,
        ),
        "member in the envelope alone": (envelope(lacking(20), members={20: dumps(FETCH)}), Reason.MANIFEST_DIGEST),
        "text severed": (severed(23, {"en": {1: "hello"}}), Reason.OK),
        "text severed and left out": (severed(23, {"en": {1: "hello"}}, keep=False), Reason.OK),
        "text of another digest": (severed(23, {"en": {}}, digest=digest_of(b"x")), Reason.MANIFEST_DIGEST),
        "text not announced": (envelope(manifest(), members={23: dumps({"en": {}})}), Reason.MANIFEST_DIGEST),
        "CoSWID severed": (severed(14, {0: "tag"}), Reason.OK),
        "CoSWID severed and left out": (severed(14, {0: "tag"}, keep=False), Reason.OK),
        "CoSWID of another digest": (severed(14, {0: "tag"}, digest=digest_of(b"x")), Reason.MANIFEST_DIGEST),
    }


CASES = {**structure(), **sequences(), **needs(), **severable()}


@pytest.mark.parametrize("name", CASES)
def test_before_anything_happens(name: str) -> None:
    what, reason = CASES[name]
    outcome = Receiver().one(what if name in severable() else envelope(what))
    assert outcome.reason == reason
    assert reason == Reason.OK or outcome.actions == []


def test_sequence_numbers() -> None:
    receiver = Receiver(sequences=["--sequence", "0:7", "--sequence", "2:20"])
    for number, reason in (
        (0, Reason.SEQUENCE_REPLAYED),
        (6, Reason.SEQUENCE_REPLAYED),
        (7, Reason.SEQUENCE_REPLAYED),
        (8, Reason.OK),
        (2**32 - 1, Reason.OK),
    ):
        assert receiver.reason(envelope(manifest(sequence=number))) == reason
    # Equal number, other content.
    assert receiver.reason(envelope(manifest([*FETCH, 3, 2], sequence=7))) == Reason.SEQUENCE_REPLAYED
    # A manifest must be newer than each component that it names, and than its own id.
    install = [12, 0, *FETCH]
    both = manifest(install, sequence=10, shared_sequence=[12, 0, *shared()], components=((b"model",), (b"firmware",)))
    assert receiver.reason(envelope(both)) == Reason.SEQUENCE_REPLAYED
    assert receiver.reason(envelope({**both, 2: 21})) == Reason.OK
    named = dict(sorted({**manifest(sequence=10), 5: [b"firmware"]}.items()))
    assert receiver.reason(envelope(named)) == Reason.SEQUENCE_REPLAYED
    assert receiver.reason(envelope({**named, 2: 21})) == Reason.OK
    # Nothing accepted yet: 0 is a sequence number.
    assert Receiver(sequences=[]).reason(envelope(manifest(sequence=0))) == Reason.OK
    # An accepted manifest is invoked with the number that it was accepted with.
    assert Receiver(sequences=[], options=["--invoke"]).reason(envelope(manifest(sequence=7))) == Reason.OK


def test_identity() -> None:
    other = hashlib.sha256(b"other").digest()[:16]
    receiver = Receiver(options=["--device", DEVICE.hex()])

    def reason(change: dict[int, Any], *conditions: Any) -> Reason:
        sequence = [20, {**parameters(), **change}, *conditions, 1, 15, 2, 15]
        outcome = receiver.one(envelope(manifest(shared_sequence=sequence)))
        assert outcome.reason == Reason.OK or outcome.actions == []
        return outcome.reason

    assert reason({1: other}) == Reason.VENDOR_MISMATCH
    assert reason({2: other}) == Reason.CLASS_MISMATCH
    assert reason({1: bytes(16)}) == Reason.VENDOR_MISMATCH
    assert reason({24: other}, 24, 15) == Reason.DEVICE_MISMATCH
    assert reason({24: DEVICE}, 24, 15) == Reason.OK
    # A device without an identifier of its own is not meant.
    alone = [20, {**parameters(), 24: DEVICE}, 24, 15, 1, 15, 2, 15]
    assert Receiver().reason(envelope(manifest(shared_sequence=alone))) == Reason.DEVICE_MISMATCH


def test_sizes() -> None:
    # Larger than the place, before a byte of it is asked for; more or fewer bytes than announced.
    sequence = [20, {**parameters(), 14: 100001}, 1, 15, 2, 15]
    outcome = Receiver().one(envelope(manifest(shared_sequence=sequence)))
    assert (outcome.reason, outcome.actions) == (Reason.SLOT_TOO_SMALL, [])
    for size, reason in ((len(IMAGE) - 1, Reason.IMAGE_SIZE), (len(IMAGE) + 1, Reason.IMAGE_SIZE), (0, None)):
        sequence = [20, {**parameters(), 14: size}, 1, 15, 2, 15]
        outcome = Receiver().one(envelope(manifest(shared_sequence=sequence)))
        assert outcome.reason == (reason or Reason.IMAGE_SIZE)
    unsized = {key: value for key, value in parameters().items() if key != 14}
    data = envelope(manifest(shared_sequence=[20, unsized, 1, 15, 2, 15]))
    assert Receiver().reason(data) == Reason.OK
    assert Receiver(payloads={URI: IMAGE + b"\0"}).reason(data) == Reason.IMAGE_DIGEST
    assert Receiver(payloads={URI: IMAGE[:-1]}).reason(data) == Reason.IMAGE_DIGEST
    assert Receiver(payloads={URI: b""}).reason(data) == Reason.IMAGE_DIGEST
    small = component_option(b"model", capacity=5000)
    assert Receiver(components=small, payloads={URI: bytes(5000)}).reason(data) == Reason.IMAGE_DIGEST
    assert Receiver(components=small, payloads={URI: bytes(5001)}).reason(data) == Reason.IMAGE_SIZE
    assert Receiver(payloads={}).reason(data) == Reason.PAYLOAD_MISSING


def test_identity_of_each_component() -> None:
    """What checks one component says nothing about another one."""
    both = ((b"model",), (b"firmware",))
    start = [12, 0, *shared(), 12, 1, 20, parameters()]
    data = envelope(manifest([12, 1, *FETCH], shared_sequence=start, components=both))
    assert Receiver().reason(data) == Reason.IDENTITY_UNCHECKED
    data = envelope(manifest([12, 1, 1, 15, 2, 15, *FETCH], shared_sequence=start, components=both))
    assert Receiver().reason(data) == Reason.OK
    every = [12, True, *shared()]
    data = envelope(manifest([12, True, *FETCH], shared_sequence=every, components=both))
    assert Receiver().reason(data) == Reason.OK
    data = envelope(manifest([12, True, *FETCH], shared_sequence=start, components=both))
    assert Receiver().reason(data) == Reason.IDENTITY_UNCHECKED
