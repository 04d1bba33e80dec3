"""Public keys for other programs: PEM, COSE_Key, C and JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from textwrap import wrap

from tinyops.errors import TinyopsError
from tinyops.suit import cbor
from tinyops.suit.keys import primitives
from tinyops.suit.registry import Curve, KeyLabel, KeyType
from tinyops.update.keystore import KeyRecord
from tinyops.update.signing import Algorithm, PublicKey

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_PUB = -1  #: of HSS-LMS (RFC 8778) and AKP keys


def to_pem(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo. HSS/LMS keys have an object identifier of their own (RFC 9802)."""
    serialization = primitives("serialization")
    encode = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.algorithm is Algorithm.HSSLMS:
        return _hss_pem(key)
    if key.algorithm is Algorithm.ED25519:
        made = primitives("asymmetric.ed25519").Ed25519PublicKey.from_public_bytes(key.raw)
    elif key.algorithm in (Algorithm.ES256, Algorithm.ECDH_ES):
        ec = primitives("asymmetric.ec")
        made = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key.raw)
    else:
        kind = getattr(primitives("asymmetric.mldsa"), f"MLDSA{key.algorithm[-2:]}PublicKey")
        made = kind.from_public_bytes(key.raw)
    pem: bytes = made.public_bytes(*encode)
    return pem


#: SubjectPublicKeyInfo of id-alg-hss-lms-hashsig, 1.2.840.113549.1.9.16.3.17, up to the 60 bytes of the key
_HSS_DER = bytes.fromhex("304e300d060b2a864886f70d0109100311033d00")


def _hss_pem(key: PublicKey) -> bytes:
    lines = wrap(base64.b64encode(_HSS_DER + key.raw).decode(), 64)
    return "\n".join([_BEGIN, *lines, _END, ""]).encode()


def hss_of_pem(pem: bytes) -> PublicKey | None:
    """The HSS/LMS key of a PEM file, if it is one."""
    text = pem.decode("ascii", "replace").strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        return None
    try:
        der = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except ValueError:
        return None
    return PublicKey(Algorithm.HSSLMS, der[len(_HSS_DER) :]) if der.startswith(_HSS_DER) else None


def to_cose_key(key: PublicKey) -> bytes:
    """A COSE_Key in deterministic CBOR."""
    table: dict[int, object] = {int(KeyLabel.KID): key.kid, int(KeyLabel.ALG): key.algorithm.cose}
    if key.algorithm is Algorithm.ED25519:
        table |= {KeyLabel.KTY: KeyType.OKP, KeyLabel.CRV: Curve.ED25519, KeyLabel.X: key.raw}
    elif key.algorithm in (Algorithm.ES256, Algorithm.ECDH_ES):
        x, y = key.raw[:32], key.raw[32:]
        table |= {KeyLabel.KTY: KeyType.EC2, KeyLabel.CRV: Curve.P256, KeyLabel.X: x, KeyLabel.Y: y}
    else:
        kind = KeyType.HSS_LMS if key.algorithm is Algorithm.HSSLMS else KeyType.AKP
        table |= {KeyLabel.KTY: kind, _PUB: key.raw}
    return cbor.encode(table)


def to_c(records: Sequence[KeyRecord]) -> str:
    """A C header with the kid and the public key of each, as constants; TinyopsError for a secret key."""
    for record in records:
        _refuse_secret(record)
    lines = [
        "/* Public keys of updates. */",
        "#ifndef TINYOPS_KEYS_H",
        "#define TINYOPS_KEYS_H",
        "",
        "#include <stdint.h>",
    ]
    for record in records:
        name = record.name.replace("-", "_").replace(".", "_")
        lines += ["", f"/* {record.name}: {record.algorithm}, {record.role} */"]
        lines += _array(f"tinyops_key_{name}_kid", bytes.fromhex(record.kid))
        lines += _array(f"tinyops_key_{name}", bytes.fromhex(record.public))
    return "\n".join([*lines, "", "#endif", ""])


def _array(name: str, data: bytes) -> list[str]:
    text = wrap(", ".join(f"0x{byte:02x}" for byte in data), 96)
    return [f"static const uint8_t {name}[{len(data)}] = {{", *(f"    {line}" for line in text), "};"]


def to_json(record: KeyRecord) -> str:
    """What is public of a key."""
    table = record.model_dump(mode="json", exclude={"token", "version"}, exclude_none=True)
    return json.dumps(table | {"cose_algorithm": record.algorithm.cose}, indent=2) + "\n"


def export(record: KeyRecord, form: str) -> bytes:
    """The public key as "pem", "cose", "c" or "json"; TinyopsError for a secret key, which has none."""
    _refuse_secret(record)
    if form == "pem":
        return to_pem(record.public_key)
    if form == "cose":
        return to_cose_key(record.public_key)
    if form == "c":
        return to_c([record]).encode()
    if form == "json":
        return to_json(record).encode()
    raise TinyopsError(f"there is no form {form!r}", allowed="pem, cose, c, json")


def _refuse_secret(record: KeyRecord) -> None:
    if not record.public:
        raise TinyopsError(f"the key {record.name!r} is a secret: it has no public half")
