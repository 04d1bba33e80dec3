"""pycose and taylor-suit verify what we make, and we verify what they make.

What they make is in fixtures.json (`ci/interop.sh make` renews it). What we make is verified where an environment with
both packages is: in .cache/interop, which ci/interop.sh sets up, or at the Python that TINYOPS_INTEROP_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.suit import (
    CLASS,
    ES256,
    MAC,
    NEW,
    SIGNER,
    URI,
    VENDOR,
    TestSigner,
    common,
    device,
    digest,
    ec_private,
    plain_manifest,
    seal,
    sequence,
)
from tinyops.suit import Algorithm, Reason
from tinyops.suit.cbor import decode, encode
from tinyops.suit.cose import mac0, sign1, sign_by_many
from tinyops.suit.encryption import Recipient, decrypt, encrypt
from tinyops.suit.keys import Key, Role
from tinyops.suit.receiver import receive
from tinyops.suit.receiver.authenticate import verify_message

HERE = Path(__file__).parent
FIXTURES = json.loads((HERE / "fixtures.json").read_text(encoding="utf-8"))
PAYLOAD = b"what is signed"
RECIPIENT = ec_private("recipient")
KEK = digest(b"kek")[:16]


def _interpreters() -> list[str]:
    named = os.environ.get("TINYOPS_INTEROP_PYTHON")
    own = HERE.parents[2] / ".cache" / "interop" / "bin" / "python"
    return [named] if named else [str(own)] if own.exists() else []


def _point(private: Any) -> dict[str, str]:
    numbers = private.private_numbers()
    public = numbers.public_numbers
    values = {"x": public.x, "y": public.y, "d": numbers.private_value}
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {**{name: value.to_bytes(32, "big").hex() for name, value in values.items()}, "pem": pem}


def keys() -> dict[str, Any]:
    """Everything that the other side needs to know."""
    seed = digest(b"signer")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert public == SIGNER.raw
    return {
        "payload": PAYLOAD.hex(),
        "ed25519": {"x": public.hex(), "d": seed.hex()},
        "es256": _point(ec_private("signer of another kind")),
        "hmac": MAC.raw.hex(),
        "kek": KEK.hex(),
        "recipient": _point(RECIPIENT),
        "vendor": str(VENDOR),
        "class": str(CLASS),
        "image_sha256": digest(NEW).hex(),
        "image_size": len(NEW),
        "uri": URI,
    }


def _without_id(signer: TestSigner) -> Key:
    return Key(signer.algorithm, signer.raw, b"by pycose")


@pytest.mark.parametrize(("name", "signer"), [("ed25519", SIGNER), ("es256", ES256), ("hmac", MAC)])
def test_we_verify_what_pycose_signs(name: str, signer: TestSigner) -> None:
    message = bytes.fromhex(FIXTURES["messages"][name])
    assert verify_message(message, bytes.fromhex(FIXTURES["payload"]), [_without_id(signer)]) == 0


@pytest.mark.parametrize(("kid", "signer"), [(b"one", SIGNER), (b"two", ES256)])
def test_we_verify_several_signatures_of_pycose(kid: bytes, signer: TestSigner) -> None:
    message = bytes.fromhex(FIXTURES["messages"]["sign"])
    key = Key(signer.algorithm, signer.raw, kid)
    assert verify_message(message, bytes.fromhex(FIXTURES["payload"]), [key]) == 0


DECRYPTION = {
    "aes-kw": Key(Algorithm.A128KW, KEK, b"kw", Role.DECRYPT),
    "ecdh-es": Key(
        Algorithm.ECDH_ES_A128KW, RECIPIENT.private_numbers().private_value.to_bytes(32, "big"), b"es", Role.DECRYPT
    ),
}


@pytest.mark.parametrize("name", DECRYPTION)
def test_we_decrypt_what_pycose_encrypts(name: str) -> None:
    ciphertext, info = (bytes.fromhex(part) for part in FIXTURES["encrypted"][name])
    assert decrypt(ciphertext, info, [DECRYPTION[name]]) == bytes.fromhex(FIXTURES["payload"])


def _as_taylor() -> dict[Any, Any]:
    """The manifest that taylor's description says, written by hand."""
    shared = sequence(
        *[12, 0, 20, {1: VENDOR.bytes}, 20, {2: CLASS.bytes}],
        *[20, {3: encode([-16, digest(NEW)]), 14: len(NEW)}, 1, 15, 2, 15],
    )
    return plain_manifest(m3=common(shared_sequence=shared))


def test_we_carry_out_what_taylor_signs() -> None:
    outcome = receive(bytes.fromhex(FIXTURES["envelopes"]["taylor"]), device())
    assert (outcome.reason, outcome.stored) == (Reason.OK, {0: NEW})


def test_taylor_encodes_as_we_do() -> None:
    assert decode(bytes.fromhex(FIXTURES["envelopes"]["taylor manifest"])) == encode(_as_taylor())


def _ours() -> dict[str, Any]:
    """What the other side is to verify."""
    envelope = decode(seal(_as_taylor())).value
    digest_item, block = decode(envelope[2])
    messages = {
        "envelope": (block, digest_item),
        "ed25519": (sign1(PAYLOAD, Algorithm.EDDSA, SIGNER.sign, kid=b"k"), PAYLOAD),
        "es256": (sign1(PAYLOAD, Algorithm.ES256, ES256.sign, kid=b"k"), PAYLOAD),
        "esp256": (sign1(PAYLOAD, Algorithm.ESP256, ES256.sign), PAYLOAD),
        "hmac": (mac0(PAYLOAD, Algorithm.HMAC_256, MAC.sign, kid=b"k"), PAYLOAD),
        "several": (sign_by_many(PAYLOAD, [SIGNER, ES256]), PAYLOAD),
    }
    point = RECIPIENT.public_key().public_numbers()
    public = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    encrypted = {
        "aes-kw": encrypt(PAYLOAD, [Recipient(Algorithm.A128KW, KEK, b"kw")]),
        "ecdh-es": encrypt(PAYLOAD, [Recipient(Algorithm.ECDH_ES_A128KW, public, b"es")]),
    }
    return {
        "keys": keys(),
        "messages": {
            name: {"message": message.hex(), "payload": payload.hex()} for name, (message, payload) in messages.items()
        },
        "encrypted": {name: [part.hex() for part in parts] for name, parts in encrypted.items()},
    }


@pytest.mark.parametrize("python", _interpreters())
def test_they_verify_what_we_make(python: str) -> None:
    ours = _ours()
    bad = {**ours["messages"]["ed25519"], "payload": b"another".hex()}
    ours["messages"]["forged"] = bad
    command = [python, str(HERE / "other_side.py"), "verify"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        command, input=json.dumps(ours), capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr[-3000:]
    answers = json.loads(result.stdout)
    assert answers.pop("taylor manifest") == encode(encode(_as_taylor())).hex()
    assert {answers.pop(name) for name in ours["encrypted"]} == {PAYLOAD.hex()}
    assert answers.pop("forged") is False
    assert set(answers.values()) == {True}
    assert set(answers) == set(ours["messages"]) - {"forged"}


if __name__ == "__main__":
    print(json.dumps(keys()))
