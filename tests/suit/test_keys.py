"""Keys verify what they are bound to and nothing else; malformed material is never an exception."""

from __future__ import annotations

import random
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from tests.support.suit import ES256, HSS_LMS, MAC, SIGNER, STRANGER, TestSigner, digest
from tinyops.errors import MissingToolError
from tinyops.suit import Algorithm, Reason, SuitError
from tinyops.suit.cbor import Tag, encode
from tinyops.suit.cose import parse, sign1, sign_by_many
from tinyops.suit.keys import Key, Role
from tinyops.suit.receiver.authenticate import verify_message

MESSAGE = b"the message"


def _signers() -> dict[str, TestSigner]:
    private = mldsa.MLDSA44PrivateKey.from_seed_bytes(digest(b"ml-dsa"))
    lattice = TestSigner(Algorithm.ML_DSA_44, private.public_key().public_bytes_raw(), private.sign)
    return {"ed25519": SIGNER, "esp256": ES256, "hmac": MAC, "hss-lms": HSS_LMS, "ml-dsa-44": lattice}


SIGNERS = _signers()


@pytest.mark.parametrize("name", SIGNERS)
def test_signatures_verify_with_their_key_alone(name: str) -> None:
    signer = SIGNERS[name]
    signature = signer.sign(MESSAGE)
    assert signer.key().verify(MESSAGE, signature)
    assert not signer.key().verify(MESSAGE + b"x", signature)
    assert not signer.key().verify(MESSAGE, signature[:-1])
    assert not signer.key().verify(MESSAGE, signature + b"\x00")
    assert not signer.key().verify(MESSAGE, bytes(len(signature)))
    assert not signer.key().verify(MESSAGE, b"")
    for other in SIGNERS.values():
        assert other is signer or not other.key().verify(MESSAGE, signature)


@pytest.mark.parametrize("algorithm", sorted(Algorithm))
@pytest.mark.parametrize("size", [0, 1, 32, 60, 64])
def test_malformed_keys_verify_nothing(algorithm: Algorithm, size: int) -> None:
    for signature in (b"", bytes(64), b"\xff" * 64):
        assert not Key(algorithm, b"\xff" * size, b"kid").verify(MESSAGE, signature)


def test_the_same_signature_with_a_larger_s_is_a_signature_of_es256() -> None:
    """ECDSA allows both; nothing here takes signatures for names of messages."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signature = ES256.sign(MESSAGE)
    other = signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    assert ES256.key().verify(MESSAGE, other)
    assert not ES256.key().verify(MESSAGE, bytes(32) + signature[32:])
    assert not ES256.key().verify(MESSAGE, signature[:32] + order.to_bytes(32, "big"))


def test_malformed_hss_lms_signatures_are_refused() -> None:
    signature, rng = HSS_LMS.sign(MESSAGE), random.Random(1)
    for _ in range(200):
        at = rng.choice([rng.randrange(16), rng.randrange(len(signature))])
        changed = signature[:at] + bytes([signature[at] ^ rng.randrange(1, 256)]) + signature[at + 1 :]
        assert not HSS_LMS.key().verify(MESSAGE, changed)
        assert not HSS_LMS.key().verify(MESSAGE, signature[:at])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    monkeypatch.setitem(sys.modules, "pyhsslms", None)
    for signer in (SIGNER.key(), Key(Algorithm.HSS_LMS, bytes(60), b"")):
        with pytest.raises(MissingToolError) as caught:
            signer.verify(MESSAGE, bytes(64))
        assert caught.value.hint == 'pip install "tinyops[update]"'


def test_one_of_several_signatures_is_enough() -> None:
    message = sign_by_many(MESSAGE, [STRANGER, ES256, SIGNER])
    blocks = list(parse(message))
    assert [block.kid for block in blocks] == [STRANGER.kid, ES256.kid, SIGNER.kid]
    assert verify_message(message, MESSAGE, [SIGNER.key(), ES256.key()]) == 1
    with pytest.raises(SuitError) as caught:
        verify_message(sign_by_many(MESSAGE, [STRANGER]), MESSAGE, [SIGNER.key()])
    assert caught.value.reason is Reason.UNKNOWN_KEY


def test_a_signature_of_one_structure_is_none_of_another() -> None:
    """Signature1, Signature and MAC0 begin differently, so none can be taken for another."""
    single = next(parse(sign1(MESSAGE, Algorithm.ED25519, SIGNER.sign, kid=SIGNER.kid)))
    several = encode(Tag(98, [b"", {}, None, [[single.headers.protected, {4: SIGNER.kid}, single.signature]]]))
    with pytest.raises(SuitError) as caught:
        verify_message(several, MESSAGE, [SIGNER.key()])
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_key_that_only_decrypts_authenticates_nothing() -> None:
    message = sign1(MESSAGE, Algorithm.ED25519, SIGNER.sign)
    with pytest.raises(SuitError):
        verify_message(message, MESSAGE, [SIGNER.key(Role.DECRYPT)])
    assert verify_message(message, MESSAGE, [SIGNER.key()]) == 0
