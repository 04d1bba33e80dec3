"""Encrypted payloads: SUIT_Encryption_Info of draft-ietf-suit-firmware-encryption-26.

A COSE_Encrypt with the content elsewhere: AES-128 in counter mode (no integrity of its own: the manifest's digest
of the plaintext gives it) or GCM; its key is wrapped for each recipient with AES-KW, or with a key agreed by ECDH
with an ephemeral key on P-256. COSE_Encrypt0 takes a key that both sides have. A content key and IV are never used
for two contents: both are drawn at random for every payload.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinyops.suit import cbor, cose
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.errors import AuthoringError, SuitError
from tinyops.suit.keys import Key, primitives
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import Algorithm, CoseTag, Curve, Header, KeyLabel, KeyType

KDF_OTHER = b"SUIT Payload Encryption"
KEY_BYTES = 16
TAG_BYTES = 16
IV_BYTES = {Algorithm.A128CTR: 16, Algorithm.A128GCM: 12}
MAX_RECIPIENTS = 4
MAX_CONTEXT = 32  # bytes of an encoded Enc_structure
MAX_PROTECTED = 16  # bytes of a recipient's protected headers with their head
_WHERE = "encryption-info"
_P256_KEY = bytes.fromhex("a4 01 02 20 01 21")  # COSE_Key of EC2 on P-256, up to x


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a payload is encrypted for: an A128KW secret of 16 bytes, or a P-256 public key (x and y, 64 bytes)."""

    algorithm: Algorithm
    material: bytes
    kid: bytes | None = None


def encrypt(
    plaintext: bytes, recipients: Sequence[Recipient], algorithm: Algorithm = Algorithm.A128GCM
) -> tuple[bytes, bytes]:
    """(ciphertext, encoded SUIT_Encryption_Info) with a fresh content key and IV. Raises `AuthoringError`."""
    if algorithm not in IV_BYTES:
        raise AuthoringError(f"algorithm {algorithm}", where="encryption", allowed="A128GCM, A128CTR")
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise AuthoringError(f"{len(recipients)} recipients", where="encryption", allowed=f"1 to {MAX_RECIPIENTS}")
    key, iv = os.urandom(KEY_BYTES), os.urandom(IV_BYTES[algorithm])
    protected, unprotected = _content_headers(algorithm, iv)
    info = [protected, unprotected, None, [_wrapped(key, recipient) for recipient in recipients]]
    ciphertext = _content(algorithm, key, iv, "Encrypt", protected).encrypt(plaintext)
    return ciphertext, cbor.encode(cbor.Tag(CoseTag.ENCRYPT, info))


def encrypt0(plaintext: bytes, key: Key, algorithm: Algorithm = Algorithm.A128GCM) -> tuple[bytes, bytes]:
    """The same with a key that the device has (of algorithm A128KW's size): COSE_Encrypt0."""
    iv = os.urandom(IV_BYTES[algorithm])
    protected, unprotected = _content_headers(algorithm, iv)
    unprotected[int(Header.KID)] = key.kid
    ciphertext = _content(algorithm, key.material, iv, "Encrypt0", protected).encrypt(plaintext)
    return ciphertext, cbor.encode(cbor.Tag(CoseTag.ENCRYPT0, [protected, unprotected, None]))


def decrypt(ciphertext: bytes, info: bytes, keys: Iterable[Key]) -> bytes:
    """The plaintext. Raises `SuitError`: `unknown-key` when no key fits, `decrypt` when a key fits and fails."""
    plaintext = content_key(info, keys).decrypt(ciphertext)
    if plaintext is None:
        raise SuitError(Reason.DECRYPT, "the authentication tag differs", where="payload")
    return plaintext


@dataclass(frozen=True, slots=True)
class ContentKey:
    """What decrypts a content; the same `key` and `iv` twice would give two contents away."""

    algorithm: Algorithm
    key: bytes
    iv: bytes
    context: str
    protected: bytes

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        """The plaintext; None when the authentication tag differs or is not there."""
        if self.algorithm is Algorithm.A128GCM and len(ciphertext) < TAG_BYTES:
            return None
        return _content(self.algorithm, self.key, self.iv, self.context, self.protected).decrypt(ciphertext)


def content_key(info: bytes, keys: Iterable[Key]) -> ContentKey:
    """Algorithm, key and IV of an encoded SUIT_Encryption_Info. Raises `SuitError`."""
    try:
        headers, single, key = _read_info(info, list(keys))
    except CborError as error:
        raise SuitError.of(error, _WHERE) from error
    context, iv = "Encrypt0" if single else "Encrypt", headers.iv or b""
    if headers.algorithm == Algorithm.A128CTR:
        if headers.protected or len(iv) != IV_BYTES[Algorithm.A128CTR]:  # RFC 9459: nothing can be protected
            raise SuitError(Reason.DECRYPT, "the headers of A128CTR", where=_WHERE)
        return ContentKey(Algorithm.A128CTR, key, iv, context, headers.protected)
    if headers.algorithm != Algorithm.A128GCM or not headers.algorithm_protected:
        raise SuitError(Reason.UNSUPPORTED, f"content algorithm {headers.algorithm}", where=_WHERE)
    if len(iv) != IV_BYTES[Algorithm.A128GCM] or len(cbor.encode([context, headers.protected, b""])) > MAX_CONTEXT:
        raise SuitError(Reason.DECRYPT, "the headers of A128GCM", where=_WHERE)
    return ContentKey(Algorithm.A128GCM, key, iv, context, headers.protected)


def check(info: bytes) -> None:
    """Raises `SuitError` when `info` is no SUIT_Encryption_Info; whether a key opens it is another question."""
    try:
        _read_info(info, [])
    except CborError as error:
        raise SuitError.of(error, _WHERE) from error
    except SuitError as error:
        if error.reason not in {Reason.UNKNOWN_KEY, Reason.UNSUPPORTED, Reason.DECRYPT}:
            raise


def _read_info(info: bytes, keys: list[Key]) -> tuple[cose.Headers, bool, bytes]:
    """Headers, whether it is COSE_Encrypt0, and the content key."""
    reader = Reader(info)
    tag = reader.tag()
    single = tag == CoseTag.ENCRYPT0
    if tag not in {CoseTag.ENCRYPT, CoseTag.ENCRYPT0} or reader.array() != (3 if single else 4):
        raise SuitError(Reason.MALFORMED_CBOR, "no COSE_Encrypt", where=_WHERE)
    headers = cose.read_headers(reader)
    if not reader.null():
        raise SuitError(Reason.MALFORMED_CBOR, "the ciphertext is not detached", where=_WHERE)
    if not single:
        return headers, single, _unwrapped(reader, keys)
    reader.done()
    return headers, single, _find(keys, headers, Algorithm.A128KW, KEY_BYTES).material


def _content_headers(algorithm: Algorithm, iv: bytes) -> tuple[bytes, dict[int, Any]]:
    if algorithm is Algorithm.A128GCM:
        return cbor.encode({int(Header.ALGORITHM): int(algorithm)}), {int(Header.IV): iv}
    return b"", {int(Header.ALGORITHM): int(algorithm), int(Header.IV): iv}


class _Gcm:
    def __init__(self, key: bytes, iv: bytes, context: str, protected: bytes) -> None:
        self.cipher = primitives("ciphers.aead").AESGCM(key)
        self.iv, self.data = iv, cbor.encode([context, protected, b""])

    def encrypt(self, plaintext: bytes) -> bytes:
        return bytes(self.cipher.encrypt(self.iv, plaintext, self.data))

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self.cipher.decrypt(self.iv, ciphertext, self.data))
        except InvalidTag:
            return None


class _Ctr:
    def __init__(self, key: bytes, iv: bytes) -> None:
        ciphers = primitives("ciphers")
        self.cipher = ciphers.Cipher(ciphers.algorithms.AES128(key), ciphers.modes.CTR(iv))

    def encrypt(self, plaintext: bytes) -> bytes:
        return bytes(self.cipher.encryptor().update(plaintext))

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        return bytes(self.cipher.decryptor().update(ciphertext))


def _content(algorithm: Algorithm, key: bytes, iv: bytes, context: str, protected: bytes) -> _Gcm | _Ctr:
    return _Gcm(key, iv, context, protected) if algorithm is Algorithm.A128GCM else _Ctr(key, iv)


def _wrapped(key: bytes, recipient: Recipient) -> list[Any]:
    """COSE_recipient."""
    kid: dict[int, Any] = {} if recipient.kid is None else {int(Header.KID): recipient.kid}
    wrap = primitives("keywrap").aes_key_wrap
    if recipient.algorithm is Algorithm.A128KW and len(recipient.material) == KEY_BYTES:
        return [b"", {int(Header.ALGORITHM): int(Algorithm.A128KW), **kid}, wrap(recipient.material, key)]
    if recipient.algorithm is not Algorithm.ECDH_ES_A128KW or len(recipient.material) != 64:
        raise AuthoringError("a recipient's key", where="encryption", allowed="A128KW 16 bytes, P-256 x and y 64 bytes")
    ec = primitives("asymmetric.ec")
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    protected = cbor.encode({int(Header.ALGORITHM): int(Algorithm.ECDH_ES_A128KW)})
    point = ephemeral.public_key().public_numbers()
    public = {
        int(KeyLabel.KTY): int(KeyType.EC2),
        int(KeyLabel.CRV): int(Curve.P256),
        int(KeyLabel.X): point.x.to_bytes(32, "big"),
        int(KeyLabel.Y): point.y.to_bytes(32, "big"),
    }
    kek = _agreed(ephemeral, recipient.material, protected)
    return [protected, {int(Header.EPHEMERAL_KEY): public, **kid}, wrap(kek, key)]


def _agreed(private: Any, public: bytes, protected: bytes) -> bytes:
    """The key encryption key: ECDH, then HKDF-SHA-256 over the context of the specification."""
    ec, hashes, kdf = primitives("asymmetric.ec"), primitives("hashes"), primitives("kdf.hkdf")
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)
    nobody = [None, None, None]
    context = cbor.encode([int(Algorithm.A128KW), nobody, nobody, [8 * KEY_BYTES, protected, KDF_OTHER]])
    hkdf = kdf.HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=context)
    return bytes(hkdf.derive(private.exchange(ec.ECDH(), peer)))


def _find(keys: list[Key], headers: cose.Headers, algorithm: Algorithm, size: int) -> Key:
    """The first key that the headers ask for."""
    for key in keys:
        fits = key.algorithm is algorithm and len(key.material) == size and not key.revoked
        if fits and headers.kid in {None, key.kid}:
            return key
    raise SuitError(Reason.UNKNOWN_KEY, "no key to decrypt with", where=_WHERE)


def _unwrapped(reader: Reader, keys: list[Key]) -> bytes:
    """The content key, from the first recipient that a key of ours opens."""
    count = reader.array()
    if count > MAX_RECIPIENTS:
        raise SuitError(Reason.TOO_LARGE, f"{count} recipients", where=_WHERE)
    found, failure = None, SuitError(Reason.UNKNOWN_KEY, "no recipient", where=_WHERE)
    for _ in range(count):
        if reader.array() != 3:
            raise SuitError(Reason.MALFORMED_CBOR, "a recipient of not three items", where=_WHERE)
        headers = cose.read_headers(reader)
        wrapped = reader.byte_string()
        if found is None:
            try:
                found = _unwrap(headers, wrapped, keys)
            except SuitError as error:
                failure = error
    reader.done()
    if found is None:
        raise failure
    return found


def _unwrap(headers: cose.Headers, wrapped: bytes, keys: list[Key]) -> bytes:
    if len(wrapped) != KEY_BYTES + 8:
        raise SuitError(Reason.DECRYPT, "the size of the wrapped key", where=_WHERE)
    if headers.algorithm == Algorithm.A128KW and not headers.protected:
        kek = _find(keys, headers, Algorithm.A128KW, KEY_BYTES).material
    elif headers.algorithm == Algorithm.ECDH_ES_A128KW and headers.algorithm_protected:
        kek = _key_agreed_on(_find(keys, headers, Algorithm.ECDH_ES_A128KW, 32), headers)
    else:
        raise SuitError(Reason.UNSUPPORTED, f"algorithm {headers.algorithm} of a recipient", where=_WHERE)
    keywrap = primitives("keywrap")
    try:
        return bytes(keywrap.aes_key_unwrap(kek, wrapped))
    except keywrap.InvalidUnwrap as error:
        raise SuitError(Reason.DECRYPT, "the content key does not unwrap", where=_WHERE) from error


def _key_agreed_on(key: Key, headers: cose.Headers) -> bytes:
    ec = primitives("asymmetric.ec")
    encoded = headers.ephemeral or b""
    if not encoded.startswith(_P256_KEY) or len(cbor.encode(headers.protected)) > MAX_PROTECTED:
        raise SuitError(Reason.DECRYPT, "the ephemeral key", where=_WHERE)
    reader = Reader(encoded)
    reader.at = len(_P256_KEY)
    try:
        x, label, y = reader.byte_string(), reader.int32(), reader.byte_string()
        reader.done()
    except CborError as error:
        raise SuitError(Reason.DECRYPT, "the ephemeral key", where=_WHERE) from error
    if label != KeyLabel.Y or len(x) != 32 or len(y) != 32:
        raise SuitError(Reason.DECRYPT, "the ephemeral key", where=_WHERE)
    private = ec.derive_private_key(int.from_bytes(key.material, "big"), ec.SECP256R1())
    try:
        return _agreed(private, x + y, headers.protected)
    except ValueError as error:
        raise SuitError(Reason.DECRYPT, "the ephemeral key is no point of the curve", where=_WHERE) from error
