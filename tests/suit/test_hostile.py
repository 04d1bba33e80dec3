"""The receiver refuses hostile envelopes and manifests, each for its reason, and nothing of them stays."""

from __future__ import annotations

import pytest

from tests.support.hostile import accepted, envelopes, executions, fetches, structures
from tests.support.suit import (
    NEW,
    NOW,
    ROOT,
    SIGNER,
    common,
    device,
    keys_update,
    plain_manifest,
    seal,
    sequence,
    shared,
    signed,
    update,
    verdict,
)
from tinyops.suit import Reason
from tinyops.suit.cbor import decode, encode
from tinyops.suit.encryption import Recipient, encrypt
from tinyops.suit.keys import Key, Role
from tinyops.suit.receiver import Outcome, receive
from tinyops.suit.registry import Algorithm

ENVELOPES, STRUCTURES, EXECUTIONS, ACCEPTED = envelopes(), structures(), executions(), accepted()
_FETCH = fetches().get
_SECRET = Key(Algorithm.A128KW, b"k" * 16, b"kw", Role.DECRYPT)


@pytest.mark.parametrize("name", ENVELOPES)
def test_hostile_envelopes(name: str) -> None:
    data, reason = ENVELOPES[name]
    outcome = verdict(data)
    assert outcome.reason is reason
    assert not outcome.trace


@pytest.mark.parametrize("name", STRUCTURES)
def test_hostile_manifests_are_refused_before_anything_happens(name: str) -> None:
    data, reason = STRUCTURES[name]
    outcome = verdict(data)
    assert outcome.reason is reason
    assert not outcome.trace


@pytest.mark.parametrize("name", EXECUTIONS)
def test_manifests_that_fail_leave_nothing(name: str) -> None:
    data, reason = EXECUTIONS[name]
    outcome = verdict(data, fetch=_FETCH)
    assert outcome.reason is reason
    assert not outcome.stored


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_manifests_are_accepted(name: str) -> None:
    assert verdict(ACCEPTED[name]).reason is Reason.OK


def test_every_truncation_is_refused() -> None:
    data = signed()
    for size in range(len(data)):
        assert verdict(data[:size]).reason is Reason.TRUNCATED


def test_every_flipped_bit_is_refused() -> None:
    """But in the label of the key id: it is not signed, and a header that is not known says nothing."""
    data = signed()
    label = data.index(encode({4: SIGNER.kid})) + 1
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            assert verdict(bytes(changed)).reason is not Reason.OK or at == label


def test_a_replay_of_what_was_accepted_is_refused() -> None:
    first = verdict(signed())
    assert (first.reason, first.sequence, first.counters) == (Reason.OK, 5, frozenset({0}))
    assert first.stored == {0: NEW}
    assert verdict(signed(), sequences={0: 5}).reason is Reason.SEQUENCE_REPLAYED
    assert verdict(signed(), sequences={}).reason is Reason.OK


def test_time_limits() -> None:
    limited = signed(update(use_before=NOW + 1))
    assert verdict(limited).reason is Reason.OK
    assert verdict(limited, now=NOW + 1).reason is Reason.EXPIRED
    assert verdict(limited, now=None).reason is Reason.NO_CLOCK


def test_both_counters_are_looked_at() -> None:
    both = ACCEPTED["two components"]
    assert verdict(both, sequences={0: 4, 1: 5}).reason is Reason.SEQUENCE_REPLAYED
    assert verdict(both, sequences={0: 4, 1: 4}).counters == {0, 1}


def _encrypted(*contents: tuple[bytes, bytes], size: int = len(NEW)) -> Outcome:
    """Fetches each (ciphertext, info) in turn into the model's place."""
    commands: list[object] = [12, 0]
    for number, (_, info) in enumerate(contents):
        commands += [20, {19: info, 21: f"coap://e/{number}"}, 21, 15, 3, 15]
    manifest = plain_manifest(m3=common(shared_sequence=shared(p14=size)), m20=sequence(*commands))
    keys = [*device().keys, _SECRET]
    found = {f"coap://e/{number}": ciphertext for number, (ciphertext, _) in enumerate(contents)}
    return verdict(seal(manifest), keys=keys, fetch=found.get)


@pytest.mark.parametrize("algorithm", [Algorithm.A128GCM, Algorithm.A128CTR])
def test_encrypted_payloads(algorithm: Algorithm) -> None:
    to = [Recipient(Algorithm.A128KW, _SECRET.material, _SECRET.kid)]
    content = encrypt(NEW, to, algorithm)
    ciphertext, info = content
    assert _encrypted(content).reason is Reason.OK
    assert _encrypted(content, encrypt(NEW, to, algorithm)).reason is Reason.OK
    assert _encrypted(content, content).reason is Reason.DECRYPT  # the key and IV of another content
    damaged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    noticed = Reason.DECRYPT if algorithm is Algorithm.A128GCM else Reason.IMAGE_DIGEST
    assert _encrypted((damaged, info)).reason is noticed
    assert _encrypted((ciphertext + bytes(17), info)).reason is Reason.IMAGE_SIZE
    other = encrypt(NEW, [Recipient(Algorithm.A128KW, b"x" * 16, b"kw")], algorithm)
    assert _encrypted(other).reason is Reason.DECRYPT


def test_a_fifth_encrypted_content_is_too_much() -> None:
    to = [Recipient(Algorithm.A128KW, _SECRET.material, _SECRET.kid)]
    assert _encrypted(*[encrypt(NEW, to) for _ in range(4)]).reason is Reason.OK
    keys, found = [*device().keys, _SECRET], {}
    commands: list[object] = [12, 0]
    for number in range(5):
        found[f"coap://e/{number}"], info = encrypt(NEW, to)
        commands += [20, {19: info, 21: f"coap://e/{number}"}, 21, 15]
    data = seal(plain_manifest(m20=sequence(*commands)))
    assert receive(data, device(keys=keys, fetch=found.get, max_envelope=8192)).reason is Reason.TOO_LARGE


def test_an_update_of_the_keys_needs_the_root_key() -> None:
    assert verdict(keys_update(ROOT)).stored == {2: encode([SIGNER.kid])}
    assert verdict(keys_update(SIGNER)).reason is Reason.UNAUTHORIZED


def test_the_shapes_of_the_cases_are_what_their_names_say() -> None:
    """The first fault is the one meant: without it the same manifest is accepted."""
    assert verdict(seal(plain_manifest())).reason is Reason.OK
    assert decode(ACCEPTED["plain"]).number == 107
