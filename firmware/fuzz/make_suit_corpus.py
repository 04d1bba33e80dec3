"""Write the seed corpora of fuzz_suit.c and fuzz_cose.c, and the keys that they are made with (suit_keys.h).

Format the header with clang-format afterwards.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

SIGN = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OWN, EPHEMERAL = derive_private_key(12345, SECP256R1()), derive_private_key(54321, SECP256R1())
KEK, CEK, IV = b"k" * 16, b"c" * 16, bytes(12)
ZERO = bytes(16)
URI, IMAGE = "coap://host/model", b"an image"


def dumps(item: Any) -> bytes:
    return cbor2.dumps(item)


def digest(data: bytes) -> bytes:
    return dumps([-16, hashlib.sha256(data).digest()])


def point(key: EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def parameters() -> dict[int, Any]:
    return {1: ZERO, 2: ZERO, 3: digest(IMAGE), 14: len(IMAGE)}


SHARED: list[Any] = [20, parameters(), 1, 15, 2, 15]
FETCH: list[Any] = [20, {21: URI}, 21, 2, 3, 15]


def manifest(install: list[Any], shared: list[Any] | None = None, ids: Any = ((b"model",),), **more: Any) -> bytes:
    common = {2: [list(one) for one in ids], 4: dumps(SHARED if shared is None else shared)}
    content: dict[int, Any] = {1: 1, 2: 2, 3: dumps(common), 20: dumps(install)}
    content.update({int(key[1:]): value for key, value in more.items()})
    return dumps(dict(sorted(content.items())))


def sign(payload: bytes) -> bytes:
    protected = dumps({1: -19})
    signature = SIGN.sign(dumps(["Signature1", protected, b"", payload]))
    return dumps(cbor2.CBORTag(18, [protected, {4: b"ed"}, None, signature]))


def envelope(content: bytes, members: dict[Any, Any] | None = None) -> bytes:
    payload = digest(dumps(content))
    return dumps(cbor2.CBORTag(107, {2: dumps([payload, sign(payload)]), 3: content, **(members or {})}))


def accepted(content: bytes, members: dict[Any, Any] | None = None) -> bytes:
    """An input of the target in which everything counts as authentic."""
    rest = members or {}
    encoded = b"".join(dumps(key) + dumps(value) for key, value in rest.items())
    return len(content).to_bytes(2, "big") + content + bytes([len(rest)]) + encoded


def encryption(*, ecdh: bool, gcm: bool) -> bytes:
    if ecdh:
        protected = dumps({1: -29})
        context = dumps([-3, [None] * 3, [None] * 3, [128, protected, b"SUIT Payload Encryption"]])
        kek = HKDF(SHA256(), 16, None, context).derive(EPHEMERAL.exchange(ECDH(), OWN.public_key()))
        x, y = point(EPHEMERAL)
        recipient = [protected, {-1: {1: 2, -1: 1, -2: x, -3: y}}, aes_key_wrap(kek, CEK)]
    else:
        recipient = [b"", {1: -3, 4: b"kw"}, aes_key_wrap(KEK, CEK)]
    head = [dumps({1: 1}), {5: IV}] if gcm else [b"", {1: -65534, 5: bytes(16)}]
    return dumps(cbor2.CBORTag(96, [*head, None, [recipient]]))


def sealed(text: bytes) -> bytes:
    return AESGCM(CEK).encrypt(IV, text, dumps(["Encrypt", dumps({1: 1}), b""]))


def manifests() -> dict[str, tuple[bytes, dict[Any, Any]]]:
    two = ((b"model",), (b"firmware",))
    start = [12, 0, *SHARED, 12, 1, *SHARED]
    severed = dumps(FETCH)
    slots = [dumps([20, {5: slot}, 5, 15, *FETCH]) for slot in (1, 0)]
    inner = [dumps([32, dumps([14, 15])]), dumps(FETCH)]
    conditions = {4: 2000, 5: 1, 18: b"x", 24: ZERO, 26: 5, 27: -1, 28: dumps([2, [1, 0]])}
    tests = [number for one in (4, 5, 6, 24, 25, 26, 27, 28, 14) for number in (one, 15)]
    return {
        "fetch": (manifest(FETCH, k7=dumps([3, 15])), {}),
        "invoke": (manifest(FETCH, k7=dumps([1, 15]), k8=dumps([23, 2]), k9=dumps([20, {23: b"a"}, 23, 2])), {}),
        "payload_fetch": (manifest([1, 15], k16=dumps(FETCH), k4="https://x", k5=[b"model"]), {}),
        "integrated": (manifest([20, {21: "#a"}, 21, 2, 3, 15]), {"#a": IMAGE}),
        "severed": (manifest([1, 15], k20=cbor2.loads(digest(dumps(severed)))), {20: severed}),
        "write": (manifest([20, {18: IMAGE}, 18, 2, 6, 15, 3, 15]), {}),
        "try_each": (manifest([15, [*slots, None]]), {}),
        "nested": (manifest([32, dumps([20, {13: True}, 15, inner, 14, 15])]), {}),
        "conditions": (manifest([20, conditions, 15, [dumps(tests[i : i + 2]) for i in range(0, 16, 2)]]), {}),
        "every": (manifest([12, True, *FETCH], [12, True, *SHARED], two), {}),
        "list": (manifest([12, [0, 1], 32, dumps(FETCH)], start, two), {}),
        "copy": (manifest([12, 0, 20, {22: 1}, 22, 2, 12, 1, 20, {22: 0}, 31, 2], start, two), {}),
        "gcm": (manifest([20, {19: encryption(ecdh=False, gcm=True), 21: URI}, 21, 2, 3, 15]), {}),
        "ctr": (manifest([20, {18: sealed(IMAGE), 19: encryption(ecdh=True, gcm=False)}, 18, 2, 3, 15]), {}),
        "versions": (manifest(FETCH, k6=dumps([1, 2]), k14=cbor2.loads(digest(b"x")), k23=dumps({})), {}),
    }


def key_table() -> str:
    def array(name: str, data: bytes) -> str:
        rows = [data[at : at + 16] for at in range(0, len(data), 16)]
        body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
        return f"static const uint8_t {name}[] = {{\n{body}\n}};\n"

    secret = OWN.private_numbers().private_value.to_bytes(32, "big")
    hss = bytes([0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 4]) + bytes(48)
    keys = [
        ("ed", SIGN.public_key().public_bytes_raw(), "TO_COSE_ED25519", "TO_COSE_SIGNER"),
        ("es", b"".join(point(OWN)), "TO_COSE_ESP256", "TO_COSE_ROOT"),
        ("hs", hss, "TO_COSE_HSS_LMS", "TO_COSE_SIGNER"),
        ("ma", b"m" * 32, "TO_COSE_HMAC_256", "TO_COSE_SIGNER"),
        ("kw", KEK, "TO_COSE_A128KW", "TO_COSE_DECRYPT"),
        ("dh", secret, "TO_COSE_ECDH_ES_A128KW", "TO_COSE_DECRYPT"),
    ]
    lines = ["/* Made by make_suit_corpus.py: keys of the fuzz targets. */\n"]
    lines += [array(f"key_{name}", data) for name, data, _, _ in keys]
    rows = [
        f'    {{{{(const uint8_t *)"{name}", 2}}, key_{name}, sizeof key_{name}, {algorithm}, {role}}},'
        for name, _, algorithm, role in keys
    ]
    lines += ["static const to_cose_key key_table[] = {\n" + "\n".join(rows) + "\n};\n"]
    lines += ["static const to_cose_keys keys = {key_table, sizeof key_table / sizeof *key_table, 0};\n"]
    return "\n".join(lines)


def main() -> None:
    folder = Path(__file__).parent
    payload = dumps([-16, b""])
    cose = {
        "items": b"\0" + dumps([1, -1, b"x", "é", {1: [True, None], "a": {}}, cbor2.CBORTag(18, 0)]),
        "keys": b"\0" + dumps({1: 0, 24: 0, -1: 0, b"": 0, "": 0}),
        "sign1": b"\1" + sign(payload),
        "sign": b"\1" + dumps(cbor2.CBORTag(98, [b"", {}, None, [[dumps({1: -9}), {4: b"es"}, bytes(64)]] * 2])),
        "mac0": b"\1" + dumps(cbor2.CBORTag(17, [dumps({1: 5}), {4: b"ma"}, None, bytes(32)])),
        "hss": b"\1" + dumps(cbor2.CBORTag(18, [dumps({1: -46}), {4: b"hs"}, None, bytes(4) + bytes(1292)])),
    }
    for ecdh in (False, True):
        for gcm in (False, True):
            info = encryption(ecdh=ecdh, gcm=gcm)
            name = f"{'ecdh' if ecdh else 'kw'}_{'gcm' if gcm else 'ctr'}"
            cose[name] = b"\2" + len(info).to_bytes(2, "big") + info + sealed(b"some text that is longer than a block")
    corpora = {
        "corpus_envelope": {name: envelope(*parts) for name, parts in manifests().items()},
        "corpus_manifest": {name: accepted(*parts) for name, parts in manifests().items()},
        "corpus_cose": cose,
    }
    for corpus, seeds in corpora.items():
        (folder / corpus).mkdir(exist_ok=True)
        for name, data in seeds.items():
            (folder / corpus / name).write_bytes(data)
    (folder / "suit_keys.h").write_text(key_table())


if __name__ == "__main__":
    main()
