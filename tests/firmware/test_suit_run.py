"""What the device's SUIT receiver does with manifests that it accepts: conditions, directives and control flow, with
fetches that suspend anywhere; encrypted payloads; and the examples of the IETF's drafts."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from tests.support.receiver import (
    A128KW,
    CLASS,
    DECRYPT_ROLE,
    ECDH_ES,
    ESP256,
    FETCH,
    HMAC_256,
    IMAGE,
    SIGN,
    SIGNER,
    URI,
    VENDOR,
    Outcome,
    Receiver,
    ask,
    component_option,
    digest_of,
    dumps,
    envelope,
    manifest,
    parameters,
    shared,
)
from tests.support.suit import shared_vectors
from tinyops.suit.reasons import Reason

A, B, C = b"image A", b"the image B", b"C"
URIS = {URI: IMAGE, "a": A, "b": B, "c": C}
_MANIFESTS, _ENCRYPTED = shared_vectors() / "manifest", shared_vectors() / "encryption"


def begin(component: int, image: bytes) -> str:
    return f"begin:{component}:{len(image)}"


def fetch(component: int, uri: str) -> str:
    return f"fetch:{component}:{uri.encode().hex()}"


def end(component: int, image: bytes) -> str:
    return f"end:{component}:{len(image)}:{hashlib.sha256(image).hexdigest()[:16]}"


def fetched(component: int, uri: str, image: bytes) -> list[str]:
    return [begin(component, image), fetch(component, uri), end(component, image)]


def execute(install: list[Any], *options: str, shared_sequence: Any = None, **more: Any) -> Outcome:
    receiver = Receiver(options=list(options), payloads=URIS)
    return receiver.one(envelope(manifest(install, shared_sequence=shared_sequence, **more)))


def on_model(image: bytes, uri: str) -> list[Any]:
    return [20, {3: digest_of(image), 14: len(image), 21: uri}, 21, 2, 3, 15]


def alternatives(*sequences: list[Any] | None) -> list[Any]:
    return [15, [None if one is None else dumps(one) for one in sequences]]


def both(*commands: Any) -> dict[str, Any]:
    """Shared sequence and components of a manifest of model (0) and firmware (1)."""
    start = [12, 0, *shared(), 12, 1, *shared()]
    return {"shared_sequence": start, "components": ((b"model",), (b"firmware",))}


def test_order_of_the_procedures() -> None:
    more = {7: dumps([3, 15]), 8: dumps([23, 2]), 9: dumps([20, {23: b"args"}, 23, 2]), 16: dumps(FETCH)}
    update = Receiver().one(envelope(manifest(on_model(IMAGE, URI), more=more)))
    assert update.reason == Reason.OK
    assert update.actions == fetched(0, URI, IMAGE) * 2  # payload-fetch before install, though its key is smaller
    installed = component_option(b"model", image=IMAGE)
    invoke = Receiver(options=["--invoke"], components=installed, sequences=[])
    outcome = invoke.one(envelope(manifest(on_model(IMAGE, URI), more=more)))
    assert (outcome.reason, outcome.actions) == (Reason.OK, ["invoke:0:", f"invoke:0:{b'args'.hex()}"])
    broken = Receiver(options=["--invoke"], sequences=[])
    outcome = broken.one(envelope(manifest(on_model(IMAGE, URI), more=more)))
    assert (outcome.reason, outcome.actions) == (Reason.IMAGE_SIZE, [])  # "old model" is installed


def test_nothing_to_do() -> None:
    assert execute([1, 15]).reason == Reason.OK
    only_shared = manifest(None)
    assert Receiver().one(envelope(only_shared)) == Outcome(Reason.OK, 2, 0, [])


def test_fetched_images_must_be_matched() -> None:
    unchecked = [20, {21: URI}, 21, 2]
    assert execute(unchecked).reason == Reason.IMAGE_DIGEST
    assert execute([*unchecked, 3, 15]).reason == Reason.OK
    assert execute(unchecked, more={7: dumps([3, 15])}).reason == Reason.OK  # in validate
    assert execute([3, 15, *unchecked], more={}).reason == Reason.IMAGE_SIZE
    # Matched, then stored again.
    assert execute([*unchecked, 3, 15, 21, 2]).reason == Reason.IMAGE_DIGEST
    # Only one of two.
    outcome = execute([12, 0, *FETCH, 12, 1, 20, {21: URI}, 21, 2], **both())
    assert outcome.reason == Reason.IMAGE_DIGEST
    # A try-each that hides the failed match does not help.
    outcome = execute([*on_model(B, "b")[:-2], 20, {3: digest_of(A)}, *alternatives([3, 15], None)])
    assert outcome.reason == Reason.IMAGE_DIGEST


@pytest.mark.parametrize(
    ("condition", "values", "options", "reason"),
    [
        (4, {4: 1000}, ["--now", "999"], Reason.OK),
        (4, {4: 1000}, ["--now", "1000"], Reason.EXPIRED),
        (4, {4: 2**40}, ["--now", str(2**40 - 1)], Reason.OK),
        (4, {4: 2**64 - 1}, ["--now", str(2**63)], Reason.OK),
        (4, {4: 0}, ["--now", "0"], Reason.EXPIRED),
        (4, {4: 1000}, [], Reason.NO_CLOCK),
        (5, {5: 1}, ["--slot", "1"], Reason.OK),
        (5, {5: 1}, ["--slot", "0"], Reason.SLOT_MISMATCH),
        (5, {5: 1}, [], Reason.UNSUPPORTED),
        (6, {18: b"old model"}, [], Reason.OK),
        (6, {18: b"old modem"}, [], Reason.IMAGE_DIGEST),
        (6, {18: b"old mode"}, [], Reason.IMAGE_DIGEST),
        (6, {18: b""}, [], Reason.IMAGE_DIGEST),
        (14, {5: 0}, [], Reason.ABORTED),
        (3, {3: digest_of(b"old model"), 14: 9}, [], Reason.OK),
        (3, {3: digest_of(b"old model"), 14: 8}, [], Reason.IMAGE_SIZE),
        (3, {3: digest_of(b"another"), 14: 9}, [], Reason.IMAGE_DIGEST),
        (25, {3: digest_of(b"old model"), 14: 9}, [], Reason.IMAGE_PRESENT),
        (25, {3: digest_of(b"another"), 14: 9}, [], Reason.OK),
        (25, {3: digest_of(b"old model"), 14: 8}, [], Reason.OK),
        (26, {26: 50}, ["--battery", "50"], Reason.OK),
        (26, {26: 51}, ["--battery", "50"], Reason.BATTERY),
        (26, {26: 0}, [], Reason.UNSUPPORTED),
        (27, {27: -1}, ["--authorized", "0"], Reason.OK),
        (27, {27: 1}, ["--authorized", "0"], Reason.UNAUTHORIZED),
        (27, {27: 0}, [], Reason.UNSUPPORTED),
        (28, {28: dumps([1, [1, 2]])}, ["--version", "1,3"], Reason.OK),
        (28, {28: dumps([1, [1, 2]])}, ["--version", "1,2,9"], Reason.VERSION_MISMATCH),
        (28, {28: dumps([2, [1, 2]])}, ["--version", "1,2,0"], Reason.OK),
        (28, {28: dumps([3, [1]])}, ["--version", "1,2,3"], Reason.OK),
        (28, {28: dumps([3, [1, 2]])}, ["--version", "1"], Reason.VERSION_MISMATCH),
        (28, {28: dumps([3, [1, 0]])}, ["--version", "1"], Reason.OK),
        (28, {28: dumps([4, [2, 0, 0]])}, ["--version", "2,0,-1,1"], Reason.OK),
        (28, {28: dumps([5, [2, 0, 0]])}, ["--version", "2,0,-1,1"], Reason.OK),
        (28, {28: dumps([5, [2]])}, ["--version", "2,0"], Reason.VERSION_MISMATCH),
        (28, {28: dumps([4, [2]])}, ["--version", "2,1"], Reason.OK),
        (28, {28: dumps([1, [1]])}, [], Reason.UNSUPPORTED),
    ],
)
def test_conditions(condition: int, values: dict[int, Any], options: list[str], reason: Reason) -> None:
    outcome = execute([20, values, condition, 15, 20, {3: digest_of(IMAGE), 14: len(IMAGE)}, *FETCH], *options)
    assert outcome.reason == reason
    assert outcome.actions == (fetched(0, URI, IMAGE) if reason == Reason.OK else [])
    # In a try-each a failed condition goes on with the next alternative.
    outcome = execute([*alternatives([20, values, condition, 15, *on_model(A, "a")], on_model(B, "b"))], *options)
    expected = fetched(0, "a", A) if reason == Reason.OK else fetched(0, "b", B)
    assert (outcome.reason, outcome.actions) == (Reason.OK, expected)


def test_try_each() -> None:
    failing, passing = [14, 15], [1, 15]
    assert execute(alternatives(failing, failing)).reason == Reason.ABORTED
    assert execute(alternatives(failing, failing, None)).reason == Reason.OK
    outcome = execute(alternatives([*on_model(A, "a"), 14, 15], on_model(B, "b")))
    assert outcome.actions == fetched(0, "a", A) + fetched(0, "b", B)
    outcome = execute([*alternatives(failing, passing), *on_model(A, "a")])
    assert outcome.actions == fetched(0, "a", A)
    # The one that fails last tells why.
    assert execute(alternatives(failing, [20, {4: 1}, 4, 15]), "--now", "2").reason == Reason.EXPIRED
    # Inner alternatives that are used up are a failed condition of the outer one.
    outcome = execute(alternatives(alternatives(failing, failing), on_model(A, "a")))
    assert (outcome.reason, outcome.actions) == (Reason.OK, fetched(0, "a", A))
    # Without soft failure the alternative ends all.
    assert execute(alternatives([20, {13: False}, 14, 15], passing)).reason == Reason.ABORTED
    # It is set for its own sequence alone: the outer alternative's is still soft.
    hard = alternatives([20, {13: False}, 14, 15], passing)
    assert execute(alternatives(hard, passing)).reason == Reason.OK
    assert execute(alternatives([20, {13: False}, *alternatives(failing, failing)], passing)).reason == Reason.ABORTED


def test_directives_fail_for_good() -> None:
    outcome = execute(alternatives(on_model(A, "missing"), on_model(B, "b")))
    assert (outcome.reason, outcome.actions) == (Reason.PAYLOAD_MISSING, [begin(0, A), fetch(0, "missing")])
    outcome = execute(alternatives([20, {14: 100001}, *on_model(A, "a")[2:], 21, 2], on_model(B, "b"), None))
    assert outcome.reason in {Reason.PARAMETER_MISSING, Reason.SLOT_TOO_SMALL}
    # A parameter that only another alternative sets.
    install = [*alternatives([14, 15], [20, {21: "a"}, 14, 15], None), 20, {3: digest_of(A), 14: len(A)}, 3, 15]
    assert execute([*alternatives([20, {26: 1}, 14, 15], None), 26, 15], "--battery", "9").reason == Reason.OK
    assert execute(install).reason in {Reason.IMAGE_SIZE, Reason.IMAGE_DIGEST}
    unset = [*alternatives([14, 15, 20, {26: 1}], None), 26, 15]
    assert execute(unset, "--battery", "9").reason == Reason.PARAMETER_MISSING
    assert execute(alternatives(unset, [1, 15]), "--battery", "9").reason == Reason.PARAMETER_MISSING


def test_run_sequence() -> None:
    outcome = execute([32, dumps(on_model(A, "a")), 1, 15])
    assert (outcome.reason, outcome.actions) == (Reason.OK, fetched(0, "a", A))
    assert execute([32, dumps([14, 15])]).reason == Reason.ABORTED
    soft = [20, {13: True}, 14, 15, *on_model(A, "a")]
    assert execute([32, dumps(soft), *on_model(B, "b")]).actions == fetched(0, "b", B)
    nested = [32, dumps([32, dumps([32, dumps(on_model(C, "c"))])])]
    assert execute(nested).actions == fetched(0, "c", C)
    # The inner sequence's failure is hard for it, and soft for the one around it.
    around = [20, {13: True}, 32, dumps([14, 15]), *on_model(A, "a")]
    assert execute([32, dumps(around), *on_model(B, "b")]).actions == fetched(0, "b", B)


def test_component_index() -> None:
    first, second = on_model(A, "a"), on_model(B, "b")
    outcome = execute([12, 0, *first, 12, 1, *second], **both())
    assert (outcome.reason, outcome.actions) == (Reason.OK, fetched(0, "a", A) + fetched(1, "b", B))
    for every in (True, [0, 1]):
        outcome = execute([12, every, *first], **both())
        assert outcome.actions == fetched(0, "a", A) + fetched(1, "a", A)
        # Sequences run once for each of them, not with all of them.
        outcome = execute([12, every, 32, dumps(first)], **both())
        assert outcome.actions == fetched(0, "a", A) + fetched(1, "a", A)
        outcome = execute([12, every, *alternatives([14, 15], first)], **both())
        assert outcome.actions == fetched(0, "a", A) + fetched(1, "a", A)
    # The components of the manifest, not the device's.
    start = [12, 0, *shared(), 12, 1, *shared()]
    swapped = {"shared_sequence": start, "components": ((b"firmware",), (b"model",))}
    assert execute([12, 0, *first], **swapped).actions == fetched(1, "a", A)
    # Selected again what was selected before, after a sequence.
    outcome = execute([12, 0, 32, dumps([12, 1, *second]), *first], **both())
    assert outcome.actions == fetched(1, "b", B) + fetched(0, "a", A)
    outcome = execute([12, 0, *alternatives([12, 1, 14, 15], first), *second], **both())
    assert outcome.actions == fetched(0, "a", A) + fetched(0, "b", B)
    outcome = execute([12, True, 32, dumps([20, {13: True}, 14, 15]), *first], **both())
    assert outcome.actions == fetched(0, "a", A) + fetched(1, "a", A)


def test_second_component_fails() -> None:
    outcome = execute([12, 0, *on_model(A, "a"), 12, 1, *on_model(A, "b")], **both())
    assert outcome.reason == Reason.IMAGE_SIZE
    assert outcome.actions == [*fetched(0, "a", A), begin(1, A), fetch(1, "b")]
    other = b"another image!"[: len(B)]
    outcome = execute([12, 0, *on_model(A, "a"), 12, 1, *on_model(other, "b")], **both())
    assert outcome.reason == Reason.IMAGE_DIGEST


def test_write_and_check_content() -> None:
    sequence = [20, {**parameters(A), 18: A}, 1, 15, 2, 15]
    outcome = execute([18, 2, 6, 15, 3, 15], shared_sequence=sequence)
    assert (outcome.reason, outcome.actions) == (Reason.OK, [begin(0, A), end(0, A)])
    assert execute([18, 2], shared_sequence=sequence).reason == Reason.OK  # the content itself is signed
    empty = [20, {1: VENDOR, 2: CLASS, 18: b""}, 1, 15, 2, 15]
    assert execute([18, 2, 6, 15], shared_sequence=empty).actions == [begin(0, b""), end(0, b"")]
    components = {"components": ((b"spare",),)}
    large = [20, {1: VENDOR, 2: CLASS, 18: bytes(65)}, 1, 15, 2, 15]
    assert execute([18, 2], shared_sequence=large, **components).reason == Reason.SLOT_TOO_SMALL


def test_copy_and_swap() -> None:
    old = b"old firmware"
    copying = [12, 0, 20, {3: digest_of(old), 14: len(old), 22: 1}, 22, 2, 3, 15]
    start = [12, 0, *shared(), 12, 1, *shared(image=old)]
    about = {"shared_sequence": start, "components": ((b"model",), (b"firmware",))}
    outcome = execute(copying, **about)
    assert (outcome.reason, outcome.actions) == (Reason.OK, [begin(0, old), end(0, old)])
    assert execute(copying[:-2], **about).reason == Reason.IMAGE_DIGEST
    assert execute([12, 0, 20, {22: 0}, 22, 2], **about).reason == Reason.PARAMETER_MALFORMED
    assert execute([12, 1, 20, {22: 1}, 31, 2], **about).reason == Reason.PARAMETER_MALFORMED
    assert execute([12, True, 20, {22: 1}, 31, 2], **about).reason == Reason.PARAMETER_MALFORMED
    # The source does not have the size that is told of it.
    assert execute([12, 1, 20, {14: 5}, *copying], **about).reason == Reason.IMAGE_SIZE
    # Swapped and both matched, or only one.
    model = b"old model"
    change = [12, 0, 20, {3: digest_of(old), 14: len(old), 22: 1}, 31, 2, 3, 15]
    match = [12, 1, 20, {3: digest_of(model), 14: len(model)}, 3, 15]
    outcome = execute([*change, *match], **about)
    assert (outcome.reason, outcome.actions) == (Reason.OK, ["swap:0:1"])
    assert execute(change, **about).reason == Reason.IMAGE_DIGEST


def test_integrated_payloads() -> None:
    def run(uri: str, payloads: dict[str, bytes], image: bytes = A) -> Outcome:
        return Receiver().one(envelope(manifest(on_model(image, uri)), members=payloads))

    outcome = run("#a", {"#a": A, "#b": B})
    assert (outcome.reason, outcome.actions) == (Reason.OK, [begin(0, A), end(0, A)])
    assert run("#b", {"#a": A, "#b": B}, B).actions == [begin(0, B), end(0, B)]
    assert (run("#c", {"#a": A, "#b": B}).reason, run("#a", {}).reason) == (Reason.PAYLOAD_MISSING,) * 2
    # Not covered by the signature: the digest catches a change.
    assert run("#a", {"#a": A[:-1] + b"X"}).reason == Reason.IMAGE_DIGEST
    assert run("#a", {"#a": A + b"X"}).reason == Reason.IMAGE_SIZE


def test_fetch_suspends_anywhere() -> None:
    """Random control flow around fetches, against a model of what must happen."""
    rng = random.Random(11)

    def sequence(depth: int) -> tuple[list[Any], list[str], bool]:
        """Commands, actions, and whether it ends well."""
        commands: list[Any] = []
        actions: list[str] = []
        for _ in range(rng.randrange(1, 4)):
            kind = rng.randrange(6 if depth < 4 else 3)
            if kind < 2:
                uri, image = rng.choice([("a", A), ("b", B), ("c", C)])
                commands += on_model(image, uri)
                actions += fetched(0, uri, image)
            elif kind == 2:
                if rng.random() < 0.4:
                    return [*commands, 14, 15], actions, False
                commands += [1, 15]
            elif kind == 3:
                inner, inner_actions, good = sequence(depth + 1)
                soft = rng.random() < 0.5
                commands += [32, dumps([*([20, {13: True}] if soft else []), *inner])]
                actions += inner_actions
                if not good and not soft:
                    return commands, actions, False
            else:
                parts = [sequence(depth + 1) for _ in range(rng.randrange(2, 4))]
                ending = rng.random() < 0.4
                commands += alternatives(*(part[0] for part in parts), *([None] if ending else []))
                for _, part_actions, good in parts:
                    actions += part_actions
                    if good:
                        break
                else:
                    if not ending:
                        return commands, actions, False
        return commands, actions, True

    cases = [sequence(1) for _ in range(400)]
    receiver = Receiver(payloads=URIS)
    outcomes = receiver.run(*(envelope(manifest(commands)) for commands, _, _ in cases))
    assert sum(len(actions) > 3 for _, actions, _ in cases) > 100
    for (_, actions, good), outcome in zip(cases, outcomes, strict=True):
        assert outcome.actions == actions
        assert outcome.reason == (Reason.OK if good else Reason.ABORTED)


# Encrypted payloads

KEK, CEK, IV12, IV16 = b"k" * 16, b"c" * 16, bytes(range(12)), bytes(range(16))
KW_KEY = ["--key", f"{b'kek'.hex()}:{A128KW}:{DECRYPT_ROLE}:{KEK.hex()}"]
OWN = ec.derive_private_key(777, ec.SECP256R1())
ECDH_KEY = [
    "--key",
    f"{b'ecdh'.hex()}:{ECDH_ES}:{DECRYPT_ROLE}:{OWN.private_numbers().private_value.to_bytes(32, 'big').hex()}",
]


def kw_recipient(cek: bytes = CEK, *, kid: bytes | None = b"kek", kek: bytes = KEK) -> list[Any]:
    return [b"", {1: A128KW, **({} if kid is None else {4: kid})}, aes_key_wrap(kek, cek)]


def ecdh_recipient(cek: bytes = CEK, *, kid: bytes | None = b"ecdh", seed: int = 5) -> list[Any]:
    ephemeral = ec.derive_private_key(seed, ec.SECP256R1())
    numbers = ephemeral.public_key().public_numbers()
    protected = dumps({1: ECDH_ES})
    context = dumps([A128KW, [None] * 3, [None] * 3, [128, protected, b"SUIT Payload Encryption"]])
    secret = ephemeral.exchange(ec.ECDH(), OWN.public_key())
    kek = HKDF(hashes.SHA256(), 16, None, context).derive(secret)
    key = {1: 2, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
    unprotected: dict[int, Any] = {} if kid is None else {4: kid}
    return [protected, {**unprotected, -1: key}, aes_key_wrap(kek, cek)]


def ctr_info(recipients: list[Any], iv: bytes = IV16) -> bytes:
    return dumps(cbor2.CBORTag(96, [b"", {1: -65534, 5: iv}, None, recipients]))


def gcm_info(recipients: list[Any], iv: bytes = IV12) -> bytes:
    return dumps(cbor2.CBORTag(96, [dumps({1: 1}), {5: iv}, None, recipients]))


def ctr_of(text: bytes, cek: bytes = CEK, iv: bytes = IV16) -> bytes:
    return Cipher(algorithms.AES(cek), modes.CTR(iv)).encryptor().update(text)


def gcm_of(text: bytes, cek: bytes = CEK, iv: bytes = IV12, context: str = "Encrypt") -> bytes:
    return AESGCM(cek).encrypt(iv, text, dumps([context, dumps({1: 1}), b""]))


def encrypted(info: bytes, content: bytes, *keys: str, image: bytes = IMAGE) -> Outcome:
    install = [20, {19: info, 21: "encrypted"}, 21, 2, 3, 15]
    receiver = Receiver(keys=[*SIGN.option(), *(keys or (*KW_KEY, *ECDH_KEY))], payloads={"encrypted": content})
    return receiver.one(envelope(manifest(install, shared_sequence=shared(image=image))))


@pytest.mark.parametrize("recipient", [kw_recipient, ecdh_recipient])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 36, 37, 38, 64, 1000])
def test_encrypted_payloads(recipient: Any, size: int) -> None:
    image = random.Random(size).randbytes(size)
    for kid in (None, recipient()[1].get(4)):
        recipients = [recipient(kid=kid)]
        for info, content in ((ctr_info(recipients), ctr_of(image)), (gcm_info(recipients), gcm_of(image))):
            outcome = encrypted(info, content, image=image)
            assert outcome.reason == Reason.OK
            assert outcome.actions == fetched(0, "encrypted", image)


def test_one_recipient_of_several() -> None:
    others = [kw_recipient(kid=b"other", kek=b"x" * 16), kw_recipient(kid=b"third", kek=b"y" * 16)]
    foreign = [dumps({1: -31}), {4: b"fourth"}, bytes(24)]
    recipients = [*others, foreign, kw_recipient()]
    assert encrypted(gcm_info(recipients), gcm_of(IMAGE)).reason == Reason.OK
    assert encrypted(gcm_info([*others, foreign]), gcm_of(IMAGE)).reason in {Reason.DECRYPT, Reason.UNSUPPORTED}
    assert encrypted(gcm_info(recipients * 2), gcm_of(IMAGE)).reason == Reason.PARAMETER_MALFORMED


def test_hostile_encryption() -> None:
    info, content = gcm_info([kw_recipient()]), gcm_of(IMAGE)
    assert encrypted(info, content).reason == Reason.OK
    for at in (0, 20, len(IMAGE) - 1, len(IMAGE), len(content) - 1):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        outcome = encrypted(info, changed)
        assert outcome.reason == Reason.DECRYPT
        assert not any(one.startswith("end") for one in outcome.actions)
    assert {encrypted(info, content[:size]).reason for size in (0, 1, 15, 16, len(content) - 1)} == {Reason.DECRYPT}
    assert encrypted(info, content + b"\0").reason == Reason.IMAGE_SIZE
    x, y = ecdh_recipient()[1][-1][-2], ecdh_recipient()[1][-1][-3]

    def ephemeral(**change: Any) -> list[Any]:
        protected, unprotected, wrapped = ecdh_recipient()
        key = {1: change.get("kty", 2), -1: change.get("crv", 1), -2: change.get("x", x), -3: change.get("y", y)}
        return [protected, {**unprotected, -1: key}, wrapped]

    recipients: list[Any] = [
        kw_recipient(kek=b"x" * 16),
        kw_recipient(kid=b"none"),
        [b"", {1: A128KW}, aes_key_wrap(KEK, CEK)[:-1]],
        [b"", {1: A128KW}, aes_key_wrap(KEK, b"c" * 24)],
        [b"", {1: A128KW}, b""],
        [dumps({1: A128KW}), {}, aes_key_wrap(KEK, CEK)],
        [b"", {1: ECDH_ES, -1: ecdh_recipient()[1][-1]}, ecdh_recipient()[2]],
        [dumps({1: ECDH_ES}), {}, ecdh_recipient()[2]],
        ephemeral(y=y[:-1] + bytes([y[-1] ^ 1])),
        ephemeral(x=bytes(32), y=bytes(32)),
        ephemeral(x=x[:31]),
        ephemeral(x=x + b"\0"),
        ephemeral(crv=2),
        ephemeral(kty=1),
        ephemeral(y=True),
    ]
    for recipient in recipients:
        outcome = encrypted(gcm_info([recipient]), content)
        assert outcome.reason in {Reason.DECRYPT, Reason.UNSUPPORTED}, recipient
        assert outcome.actions == []
    infos: list[Any] = [
        gcm_info([]),
        gcm_info([kw_recipient()], iv=bytes(11)),
        gcm_info([kw_recipient()], iv=b""),
        ctr_info([kw_recipient()], iv=bytes(12)),
        dumps(cbor2.CBORTag(96, [b"", {1: 1, 5: IV12}, None, [kw_recipient()]])),  # an algorithm that nothing protects
        dumps(cbor2.CBORTag(96, [dumps({1: -65534}), {5: IV16}, None, [kw_recipient()]])),
        dumps(cbor2.CBORTag(96, [dumps({1: 2}), {5: IV12}, None, [kw_recipient()]])),
        dumps(cbor2.CBORTag(96, [dumps({1: 1}), {}, None, [kw_recipient()]])),
        dumps(cbor2.CBORTag(96, [dumps({1: 1, 100: bytes(30)}), {5: IV12}, None, [kw_recipient()]])),
    ]
    for hostile in infos:
        outcome = encrypted(hostile, content)
        assert outcome.reason in {Reason.DECRYPT, Reason.UNSUPPORTED}, hostile.hex()
        assert outcome.actions == []
    # A key that was revoked, or that is not for decryption.
    revoked = ["--key", KW_KEY[1] + ":revoked"]
    assert encrypted(info, content, *revoked).reason == Reason.DECRYPT
    assert encrypted(info, content, "--key", KW_KEY[1].replace(":4:", ":3:")).reason == Reason.DECRYPT


def test_encrypt0() -> None:
    info = dumps(cbor2.CBORTag(16, [dumps({1: 1}), {4: b"kek", 5: IV12}, None]))
    assert encrypted(info, gcm_of(IMAGE, KEK, context="Encrypt0")).reason == Reason.OK
    assert encrypted(info, gcm_of(IMAGE, KEK)).reason == Reason.DECRYPT
    nobody = dumps(cbor2.CBORTag(16, [dumps({1: 1}), {4: b"none", 5: IV12}, None]))
    assert encrypted(nobody, gcm_of(IMAGE, KEK, context="Encrypt0")).reason == Reason.DECRYPT


def test_encrypted_write_and_copy() -> None:
    info = gcm_info([kw_recipient()])
    receiver = Receiver(keys=[*SIGN.option(), *KW_KEY])
    write = [20, {18: gcm_of(IMAGE), 19: info}, 18, 2, 3, 15]
    outcome = receiver.one(envelope(manifest(write)))
    assert (outcome.reason, outcome.actions) == (Reason.OK, ["begin:0:0", end(0, IMAGE)])
    receiver.components = [*component_option(b"model"), *component_option(b"spare", image=gcm_of(IMAGE))]
    start = [12, 0, *shared(), 12, 1, *shared(image=gcm_of(IMAGE))]
    copying = [12, 0, 20, {19: info, 22: 1}, 22, 2, 3, 15]
    data = envelope(manifest(copying, shared_sequence=start, components=((b"model",), (b"spare",))))
    outcome = receiver.one(data)
    assert (outcome.reason, outcome.actions) == (Reason.OK, [begin(0, IMAGE), end(0, IMAGE)])


def test_reused_key_and_iv() -> None:
    def of(first: bytes, second: bytes) -> Reason:
        def part(index: int, info: bytes) -> list[Any]:
            return [12, index, 20, {19: info, 21: "encrypted"}, 21, 2, 3, 15]

        receiver = Receiver(keys=[*SIGN.option(), *KW_KEY, *ECDH_KEY], payloads={"encrypted": ctr_of(IMAGE)})
        return receiver.reason(envelope(manifest([*part(0, first), *part(1, second)], **both())))

    once = ctr_info([kw_recipient()])
    assert of(once, once) == Reason.DECRYPT
    assert of(once, ctr_info([ecdh_recipient()])) == Reason.DECRYPT  # the same key, wrapped in another way
    # Another IV: the content does not fit, but nothing is reused.
    assert of(once, ctr_info([kw_recipient()], iv=b"i" * 16)) == Reason.IMAGE_DIGEST


# The drafts' examples, where they are beside the project.


def hex_of(text: str) -> bytes:
    return bytes.fromhex("".join(text.split()))


def example_key() -> list[str]:
    key = serialization.load_pem_private_key((_MANIFESTS / "private_key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    numbers = key.public_key().public_numbers()
    public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return ["--key", f":{ESP256}:{SIGNER}:{public.hex()}"]


def example_components(*ids: list[bytes]) -> list[str]:
    vendor, class_id = "fa6b4a53d5ad5fdfbe9de663e4d41ffe", "1492af1425695e48bf429b2d51f2ab45"
    options = []
    for one in ids:
        options += ["--component", f"{dumps(one).hex()}:{vendor}:{class_id}:100000:0:{SIGNER}:00"]
    return options


@pytest.mark.parametrize("path", sorted(_MANIFESTS.glob("example*.txt")), ids=lambda path: path.stem)
def test_manifest_examples(path: Any) -> None:
    blocks = re.findall(r"~~~\n([0-9a-f\n]+)~~~", path.read_text())
    receiver = Receiver(
        keys=example_key(),
        components=example_components([b"\0"], [b"\1"], [b"\2"]),
        sequences=[],
        options=["--slot", "1"],
        payloads={},
    )
    unsigned, signed = receiver.run(hex_of(blocks[0]), hex_of(blocks[-1]))
    assert (unsigned.reason, unsigned.actions) == (Reason.NO_AUTHENTICATION, [])
    number = int(path.stem[-1])
    if number in (4, 5):  # vendor and class are checked for one of the components alone
        assert (signed.reason, signed.actions) == (Reason.IDENTITY_UNCHECKED, [])
        return
    assert signed.sequence == number
    if number == 0:  # nothing to install; the image is another one
        assert (signed.reason, signed.actions) == (Reason.IMAGE_SIZE, [])
        return
    name, size = {1: ("file", 34768), 2: ("very/long/path/to/file/file", 34768), 3: ("file2", 76834)}[number]
    uri = f"http://example.com/{name}.bin"
    assert signed.reason == Reason.PAYLOAD_MISSING
    assert signed.actions == [f"begin:0:{size}", fetch(0, uri)]
    # With a payload its size decides.
    receiver.payloads = {uri: bytes(9)}
    assert receiver.reason(hex_of(blocks[-1])) == Reason.IMAGE_SIZE


@pytest.mark.parametrize("path", sorted(_ENCRYPTED.glob("suit-manifest*.hex.signed")), ids=lambda path: path.name)
def test_encrypted_manifest_examples(path: Any) -> None:
    """They are authentic, and refused because they check neither vendor nor class. The one with a dependency has a
    signature that its key does not verify, as published."""
    ids = [[b"plaintext-firmware"], [b"encrypted-firmware"], [b"decrypted-firmware"], [b"\0"], [b"\1"]]
    mac = ["--key", f":{HMAC_256}:{SIGNER}:{(b'a' * 32).hex()}"]
    receiver = Receiver(keys=[*example_key(), *mac], components=example_components(*ids), sequences=[])
    expected = Reason.BAD_SIGNATURE if "dependency" in path.name else Reason.IDENTITY_UNCHECKED
    assert receiver.reason(hex_of(path.read_text())) == expected
    if "aes-kw" in path.name:
        receiver.keys = example_key()
        assert receiver.reason(hex_of(path.read_text())) == Reason.WRONG_ALGORITHM


@pytest.mark.parametrize("path", sorted(_ENCRYPTED.glob("suit-encryption-info*.hex")), ids=lambda path: path.stem)
def test_encryption_examples(path: Any) -> None:
    content = path.with_name(path.name.replace("suit-encryption-info", "encrypted-payload"))
    private = "60fe6dd6d85d5740a5349b6f91267eeac5ba81b8cb53ee249e4b4eb102c476b3"
    for key, algorithm in ((b"a" * 16, A128KW), (bytes.fromhex(private), ECDH_ES)):
        request = ("cose_decrypt", hex_of(path.read_text()), hex_of(content.read_text()), b"kid-1", key, -algorithm)
        ((reason, text),) = ask(request)
        fits = ("aes-kw" in path.name) == (algorithm == A128KW)
        if fits:
            assert (reason, text) == (Reason.OK, b"This is a real firmware image.")
        else:
            assert reason == Reason.UNKNOWN_KEY


def test_pairs_of_conditions_keep_their_order() -> None:
    """Of two conditions that fail, the first one tells why."""
    cases = {4: ({4: 1}, Reason.EXPIRED), 5: ({5: 9}, Reason.SLOT_MISMATCH), 26: ({26: 99}, Reason.BATTERY)}
    for first, second in itertools.permutations(cases, 2):
        install = [20, dict(sorted({**cases[first][0], **cases[second][0]}.items())), first, 15, second, 15]
        assert execute(install, "--now", "5", "--slot", "0", "--battery", "1").reason == cases[first][1]
