"""Encrypted payloads: round trips, and everything that must not decrypt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.suit import digest, ec_private
from tinyops.suit import Algorithm, AuthoringError, Reason, SuitError
from tinyops.suit.cbor import Tag, decode, encode
from tinyops.suit.encryption import Recipient, check, content_key, decrypt, encrypt, encrypt0
from tinyops.suit.keys import Key, Role

SECRET = digest(b"kek")[:16]
PRIVATE = ec_private("receiver")
_POINT = PRIVATE.public_key().public_numbers()
_XY = _POINT.x.to_bytes(32, "big") + _POINT.y.to_bytes(32, "big")
_D = PRIVATE.private_numbers().private_value.to_bytes(32, "big")
WRAP = Key(Algorithm.A128KW, SECRET, b"kw", Role.DECRYPT)
AGREE = Key(Algorithm.ECDH_ES_A128KW, _D, b"es", Role.DECRYPT)
TO_WRAP = Recipient(Algorithm.A128KW, SECRET, b"kw")
TO_AGREE = Recipient(Algorithm.ECDH_ES_A128KW, _XY, b"es")
CONTENTS = [Algorithm.A128GCM, Algorithm.A128CTR]


@pytest.mark.parametrize("algorithm", CONTENTS)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize(("recipient", "key"), [(TO_WRAP, WRAP), (TO_AGREE, AGREE)], ids=["aes-kw", "ecdh-es"])
def test_what_is_encrypted_decrypts(algorithm: Algorithm, size: int, recipient: Recipient, key: Key) -> None:
    plaintext = bytes(range(256)) * 4
    ciphertext, info = encrypt(plaintext[:size], [recipient], algorithm)
    check(info)
    assert decrypt(ciphertext, info, [key]) == plaintext[:size]
    assert len(ciphertext) == size + (16 if algorithm is Algorithm.A128GCM else 0)


@pytest.mark.parametrize("algorithm", CONTENTS)
def test_each_of_several_recipients_decrypts(algorithm: Algorithm) -> None:
    ciphertext, info = encrypt(b"for both", [TO_WRAP, TO_AGREE], algorithm)
    for key in (WRAP, AGREE):
        assert decrypt(ciphertext, info, [key]) == b"for both"


@pytest.mark.parametrize("algorithm", CONTENTS)
def test_a_key_of_both_sides_needs_no_recipient(algorithm: Algorithm) -> None:
    ciphertext, info = encrypt0(b"direct", WRAP, algorithm)
    assert decrypt(ciphertext, info, [AGREE, WRAP]) == b"direct"


def test_content_keys_are_never_used_twice() -> None:
    drawn = {(found.key, found.iv) for _ in range(50) for found in [content_key(encrypt(b"", [TO_WRAP])[1], [WRAP])]}
    assert len(drawn) == 50


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], Reason.UNKNOWN_KEY),
        ([AGREE], Reason.UNKNOWN_KEY),
        ([Key(Algorithm.A128KW, SECRET, b"other", Role.DECRYPT)], Reason.UNKNOWN_KEY),
        ([Key(Algorithm.A128KW, SECRET, b"kw", Role.DECRYPT, revoked=True)], Reason.UNKNOWN_KEY),
        ([Key(Algorithm.A128KW, digest(b"x")[:16], b"kw", Role.DECRYPT)], Reason.DECRYPT),
    ],
    ids=["none", "another kind", "another id", "revoked", "another secret"],
)
def test_without_the_key_nothing_decrypts(keys: list[Key], reason: Reason) -> None:
    ciphertext, info = encrypt(b"secret", [TO_WRAP])
    with pytest.raises(SuitError) as caught:
        decrypt(ciphertext, info, keys)
    assert caught.value.reason is reason


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_changed_ciphertext_is_noticed(at: int) -> None:
    ciphertext, info = encrypt(b"authenticated", [TO_WRAP])
    changed = bytearray(ciphertext)
    changed[at] ^= 1
    for data in (bytes(changed), ciphertext[:15], ciphertext[:-1], b""):
        with pytest.raises(SuitError) as caught:
            decrypt(data, info, [WRAP])
        assert caught.value.reason is Reason.DECRYPT


def _edited(info: bytes, edit: Callable[[list[object]], object]) -> bytes:
    tagged = decode(info, ordered=False)
    replaced = edit(tagged.value)
    return encode(replaced if isinstance(replaced, Tag) else tagged)


_IV = 5
EDITS: dict[str, tuple[Callable[[list[object]], object], Reason]] = {
    "another tag": (lambda items: Tag(97, items), Reason.MALFORMED_CBOR),
    "three items": (lambda items: items.pop(), Reason.MALFORMED_CBOR),
    "attached": (lambda items: items.__setitem__(2, b"ciphertext"), Reason.MALFORMED_CBOR),
    "no IV": (lambda items: items.__setitem__(1, {}), Reason.DECRYPT),
    "short IV": (lambda items: items.__setitem__(1, {_IV: bytes(11)}), Reason.DECRYPT),
    "no recipients": (lambda items: items.__setitem__(3, []), Reason.UNKNOWN_KEY),
    "many recipients": (lambda items: items.__setitem__(3, items[3] * 5), Reason.TOO_LARGE),  # type: ignore[operator]
    "not protected": (lambda items: (items.__setitem__(0, b""), items[1].update({1: 1})), Reason.UNSUPPORTED),  # type: ignore[attr-defined]
    "unknown algorithm": (lambda items: items.__setitem__(0, encode({1: 3})), Reason.UNSUPPORTED),
    "header twice": (lambda items: items[1].update({1: 1}), Reason.MALFORMED_CBOR),  # type: ignore[attr-defined]
    "critical": (lambda items: items[1].update({2: [99]}), Reason.UNSUPPORTED),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("name", EDITS)
def test_hostile_encryption_infos_are_refused(name: str) -> None:
    edit, reason = EDITS[name]
    ciphertext, info = encrypt(b"content", [TO_WRAP])
    with pytest.raises(SuitError) as caught:
        decrypt(ciphertext, _edited(info, edit), [WRAP])
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "point",
    [
        {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)},
        {1: 2, -1: 1, -2: bytes(31), -3: bytes(32)},
        {1: 2, -1: 2, -2: _XY[:32], -3: _XY[32:]},
        {1: 2, -1: 1, -2: _XY[:32]},
        {},
        7,
    ],
    ids=["not on the curve", "short", "another curve", "without y", "empty", "no map"],
)
def test_hostile_ephemeral_keys_are_refused(point: object) -> None:
    ciphertext, info = encrypt(b"content", [TO_AGREE])

    def replace(items: list[object]) -> None:
        items[3][0][1][-1] = point  # type: ignore[index]

    with pytest.raises(SuitError) as caught:
        decrypt(ciphertext, _edited(info, replace), [AGREE])
    assert caught.value.reason is Reason.DECRYPT


def test_every_truncation_is_refused() -> None:
    ciphertext, info = encrypt(b"content", [TO_WRAP, TO_AGREE])
    for size in range(len(info)):
        with pytest.raises(SuitError):
            decrypt(ciphertext, info[:size], [WRAP])


def test_authoring_mistakes_are_named() -> None:
    for recipients, algorithm in (
        ([], Algorithm.A128GCM),
        ([TO_WRAP] * 5, Algorithm.A128GCM),
        ([TO_WRAP], Algorithm.SHA_256),
        ([Recipient(Algorithm.A128KW, b"short")], Algorithm.A128GCM),
        ([Recipient(Algorithm.ECDH_ES_A128KW, b"short")], Algorithm.A128GCM),
    ):
        with pytest.raises(AuthoringError):
            encrypt(b"", recipients, algorithm)
