"""The other side of the interoperability tests: pycose and taylor-suit, in an environment of their own.

    python other_side.py make   < keys.json > fixtures.json      what they make, for us to verify
    python other_side.py verify < ours.json > answers.json       whether they verify what we made

pycose needs cbor2 before 6, so tests start this file with another Python (ci/interop.sh); nothing of tinyops is
imported here.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import cbor2
import taylor
from pycose.algorithms import A128GCM, A128KW, HMAC256, CoseAlgorithm, EcdhEsA128KW, EdDSA, Es256
from pycose.headers import IV, KID, Algorithm, EphemeralKey, StaticKey, SuppPubOther
from pycose.keys import EC2Key, OKPKey, SymmetricKey
from pycose.keys.curves import P256, Ed25519
from pycose.keys.keyops import DeriveKeyOp, MacCreateOp, MacVerifyOp, SignOp, UnwrapOp, VerifyOp, WrapOp
from pycose.keys.keyparam import KpAlg, KpKeyOps
from pycose.messages import CoseMessage, EncMessage, Mac0Message, Sign1Message, SignMessage
from pycose.messages.recipient import KeyAgreementWithKeyWrap, KeyWrap
from pycose.messages.signer import CoseSignature

KDF_OTHER = b"SUIT Payload Encryption"


@CoseAlgorithm.register_attribute()
class FullySpecifiedEd25519(EdDSA):
    """RFC 9864."""

    identifier = -19
    fullname = "ED25519"


@CoseAlgorithm.register_attribute()
class FullySpecifiedEs256(Es256):
    """RFC 9864."""

    identifier = -9
    fullname = "ESP256"


def _okp(key: dict[str, str], ops: Any) -> OKPKey:
    private = {"d": bytes.fromhex(key["d"])} if ops is SignOp else {}
    return OKPKey(crv=Ed25519, x=bytes.fromhex(key["x"]), optional_params={KpKeyOps: [ops]}, **private)


def _ec2(key: dict[str, str], ops: Any) -> EC2Key:
    private = {"d": bytes.fromhex(key["d"])} if ops in {SignOp, DeriveKeyOp} else {}
    return EC2Key(
        crv=P256, x=bytes.fromhex(key["x"]), y=bytes.fromhex(key["y"]), optional_params={KpKeyOps: [ops]}, **private
    )


def _secret(text: str, algorithm: Any, ops: list[Any]) -> SymmetricKey:
    return SymmetricKey(k=bytes.fromhex(text), optional_params={KpAlg: algorithm, KpKeyOps: ops})


# ---- make ----


def _detached(message: Any, payload: bytes) -> bytes:
    """The message with its payload taken out."""
    encoded = cbor2.loads(message.encode())
    assert encoded.value[2] == payload
    encoded.value[2] = None
    return cbor2.dumps(encoded)


def make(keys: dict[str, Any]) -> dict[str, Any]:
    payload = bytes.fromhex(keys["payload"])
    uhdr = {KID: b"by pycose"}
    ed = Sign1Message({Algorithm: EdDSA}, uhdr, payload, key=_okp(keys["ed25519"], SignOp))
    es = Sign1Message({Algorithm: Es256}, uhdr, payload, key=_ec2(keys["es256"], SignOp))
    mac = Mac0Message({Algorithm: HMAC256}, uhdr, payload, key=_secret(keys["hmac"], HMAC256, [MacCreateOp]))
    signers = [
        CoseSignature({Algorithm: EdDSA}, {KID: b"one"}, key=_okp(keys["ed25519"], SignOp)),
        CoseSignature({Algorithm: Es256}, {KID: b"two"}, key=_ec2(keys["es256"], SignOp)),
    ]
    several = SignMessage({}, {}, payload, signers=signers)
    messages = {"ed25519": ed, "es256": es, "hmac": mac, "sign": several}
    made = {name: _detached(message, payload).hex() for name, message in messages.items()}
    return {
        "payload": payload.hex(),
        "messages": made,
        "encrypted": {name: [part.hex() for part in parts] for name, parts in _encrypted(keys, payload).items()},
        "envelopes": _envelopes(keys),
    }


def _encrypted(keys: dict[str, Any], plaintext: bytes) -> dict[str, tuple[bytes, bytes]]:
    wrap = KeyWrap(uhdr={Algorithm: A128KW, KID: b"kw"}, key=_secret(keys["kek"], A128KW, [WrapOp]))
    agree = KeyAgreementWithKeyWrap(phdr={Algorithm: EcdhEsA128KW}, uhdr={KID: b"es"})
    agree.local_attrs = {StaticKey: _ec2(keys["recipient"], VerifyOp), SuppPubOther: KDF_OTHER}
    agree.payload = bytes(range(16))
    found = {}
    for name, recipient in (("aes-kw", wrap), ("ecdh-es", agree)):
        iv = hashlib.sha256(name.encode()).digest()[:12]
        message = EncMessage({Algorithm: A128GCM}, {IV: iv}, plaintext, recipients=[recipient])
        encoded = cbor2.loads(message.encode())
        ciphertext, encoded.value[2] = encoded.value[2], None
        found[name] = (ciphertext, cbor2.dumps(encoded))
    return found


def description(keys: dict[str, Any]) -> dict[str, Any]:
    """An update of one model for taylor, whose maps come out in the alphabetical order of these names."""
    return {
        "version": 1,
        "sequence-number": 5,
        "suit-common": {
            "suit-components": [[b"model".hex()]],
            "suit-shared-sequence": [
                {"suit-directive-set-component-index": 0},
                {"suit-directive-override-parameters": {"vendor-id": keys["vendor"]}},
                {"suit-directive-override-parameters": {"class-id": keys["class"]}},
                {
                    "suit-directive-override-parameters": {
                        "image-digest": {"algorithm": "sha256", "digest": keys["image_sha256"]},
                        "image-size": keys["image_size"],
                    }
                },
                {"suit-condition-vendor-identifier": 15},
                {"suit-condition-class-identifier": 15},
            ],
        },
        "sequence": {
            "payload-installation": [
                {"suit-directive-set-component-index": 0},
                {"suit-directive-override-parameters": {"uri": keys["uri"]}},
                {"suit-directive-fetch": 15},
                {"suit-condition-image-match": 15},
            ],
            "image-validation": [{"suit-directive-set-component-index": 0}, {"suit-condition-image-match": 15}],
        },
    }


def _envelopes(keys: dict[str, Any]) -> dict[str, str]:
    signed = taylor.build_envelope(description(keys), key_pem=keys["es256"]["pem"])
    return {"taylor": signed.hex(), "taylor manifest": taylor.encode_manifest(description(keys)).hex()}


# ---- verify ----


def verify(ours: dict[str, Any]) -> dict[str, Any]:
    keys = ours["keys"]
    answers: dict[str, Any] = {}
    for name, one in ours["messages"].items():
        answers[name] = _verifies(bytes.fromhex(one["message"]), bytes.fromhex(one["payload"]), keys)
    for name, (ciphertext, info) in ours["encrypted"].items():
        answers[name] = _decrypted(bytes.fromhex(ciphertext), bytes.fromhex(info), keys).hex()
    answers["taylor manifest"] = taylor.encode_manifest(description(keys)).hex()
    return answers


def _verifies(data: bytes, payload: bytes, keys: dict[str, Any]) -> bool:
    message = CoseMessage.decode(data)
    if isinstance(message, Mac0Message):
        message.key = _secret(keys["hmac"], HMAC256, [MacVerifyOp])
        message.payload = payload
        return bool(message.verify_tag())
    if isinstance(message, SignMessage):
        message.payload = payload
        return all(_signature_verifies(signer, None, keys) for signer in message.signers)
    return _signature_verifies(message, payload, keys)


def _signature_verifies(message: Any, payload: bytes | None, keys: dict[str, Any]) -> bool:
    edwards = issubclass(message.get_attr(Algorithm), EdDSA)
    message.key = _okp(keys["ed25519"], VerifyOp) if edwards else _ec2(keys["es256"], VerifyOp)
    return bool(message.verify_signature(payload) if payload is not None else message.verify_signature())


def _decrypted(ciphertext: bytes, info: bytes, keys: dict[str, Any]) -> bytes:
    encoded = cbor2.loads(info)
    encoded.value[2] = ciphertext
    message = EncMessage.decode(cbor2.dumps(encoded))
    (recipient,) = message.recipients
    if isinstance(recipient, KeyWrap):
        recipient.key = _secret(keys["kek"], A128KW, [UnwrapOp])
    else:
        assert recipient.get_attr(EphemeralKey) is not None
        recipient.key = _ec2(keys["recipient"], DeriveKeyOp)
        recipient.local_attrs = {SuppPubOther: KDF_OTHER}
    return bytes(message.decrypt(recipient))


if __name__ == "__main__":
    work = {"make": make, "verify": verify}[sys.argv[1]]
    json.dump(work(json.load(sys.stdin)), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
