"""Public and private keys by algorithm: raw public bytes, key identifiers, signatures in the form that COSE has them.

| algorithm | COSE | raw public key | signature |
|---|---|---|---|
| ed25519 | -19 | 32 B (RFC 8032) | 64 B |
| es256 | -9 | x and y, 64 B, big-endian | r and s, 64 B, big-endian |
| hsslms | -46 | HSS public key, 60 B (RFC 8554) | HSS signature |
| ml-dsa-44, -65, -87 | -48, -49, -50 | as in FIPS 204 | as in FIPS 204, empty context |
| ecdh-es | -29 | x and y, 64 B, big-endian | none: devices decrypt with it |
| aes-kw | -3 | none: it is a secret of 16 B | none |

The key identifier (kid) is the first 8 bytes of SHA-256 over the raw public key; that of a secret is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from tinyops.errors import MissingToolError, TinyopsError
from tinyops.suit.keys import Key, Role, key_id, primitives
from tinyops.suit.registry import Algorithm as Cose

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


class Algorithm(StrEnum):
    """What a key does. A key has one algorithm for its whole life."""

    ED25519 = "ed25519"
    ES256 = "es256"
    HSSLMS = "hsslms"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    AES_KW = "aes-kw"
    ECDH_ES = "ecdh-es"

    @property
    def cose(self) -> Cose:
        """The COSE algorithm that messages name."""
        return _COSE[self]

    @property
    def experimental(self) -> bool:
        """Whether no device verifies it yet."""
        return self in _ML_DSA_BYTES

    @property
    def decrypts(self) -> bool:
        """Whether it is for payloads that devices decrypt, not for signatures."""
        return self in (Algorithm.AES_KW, Algorithm.ECDH_ES)

    @property
    def stateful(self) -> bool:
        """Whether each signature uses up a part of the key."""
        return self is Algorithm.HSSLMS


_COSE = {
    Algorithm.ED25519: Cose.ED25519,
    Algorithm.ES256: Cose.ESP256,
    Algorithm.HSSLMS: Cose.HSS_LMS,
    Algorithm.ML_DSA_44: Cose.ML_DSA_44,
    Algorithm.ML_DSA_65: Cose.ML_DSA_65,
    Algorithm.ML_DSA_87: Cose.ML_DSA_87,
    Algorithm.AES_KW: Cose.A128KW,
    Algorithm.ECDH_ES: Cose.ECDH_ES_A128KW,
}
_ML_DSA_BYTES = {Algorithm.ML_DSA_44: 1312, Algorithm.ML_DSA_65: 1952, Algorithm.ML_DSA_87: 2592}
_RAW_BYTES = {Algorithm.ED25519: 32, Algorithm.ES256: 64, Algorithm.HSSLMS: 60, Algorithm.ECDH_ES: 64, **_ML_DSA_BYTES}


class Signer(Protocol):
    """What signs a manifest."""

    @property
    def public(self) -> PublicKey: ...

    @property
    def algorithm(self) -> Cose:
        """The COSE algorithm."""
        ...

    @property
    def kid(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, as in the table above."""
        ...


@dataclass(frozen=True)
class PublicKey:
    """A public key: algorithm and raw bytes. TinyopsError when the bytes are no key of that algorithm."""

    algorithm: Algorithm
    raw: bytes

    def __post_init__(self) -> None:
        wanted = _RAW_BYTES.get(self.algorithm, 0)
        if len(self.raw) != wanted:
            raise TinyopsError(
                f"the public key has {len(self.raw)} bytes", allowed=f"{wanted} bytes for {self.algorithm}"
            )
        if self.algorithm in (Algorithm.ES256, Algorithm.ECDH_ES):
            ec_public(self.raw)
        if self.algorithm is Algorithm.HSSLMS:
            _hss_public(self.raw)

    @cached_property
    def kid(self) -> bytes:
        """The key identifier, 8 bytes."""
        return key_id(self.raw)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `data`; False for anything malformed."""
        return self.key().verify(data, signature)

    def key(self, roles: Role = Role.SIGNER, *, revoked: bool = False) -> Key:
        """The key as a device holds it."""
        return Key(self.algorithm.cose, self.raw, self.kid, roles, revoked)


class PublicSide:
    """What a signer says of its key."""

    public: PublicKey

    @property
    def algorithm(self) -> Cose:
        return self.public.algorithm.cose

    @property
    def kid(self) -> bytes:
        return self.public.kid


def pyhsslms_module() -> Any:
    """The package's module of the RFC 8554 primitives; MissingToolError when it is not installed."""
    try:
        from pyhsslms import pyhsslms
    except ImportError as error:
        raise MissingToolError("the package pyhsslms is not installed", hint='pip install "tinyops[update]"') from error
    return pyhsslms


def ec_public(raw: bytes) -> EllipticCurvePublicKey:
    ec = primitives("asymmetric.ec")
    try:
        key: EllipticCurvePublicKey = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)
    except ValueError as error:
        raise TinyopsError("the public key is no point of the curve P-256") from error
    return key


def _hss_public(raw: bytes) -> Any:
    hss = pyhsslms_module()
    levels = int.from_bytes(raw[:4], "big")
    try:
        if not 1 <= levels <= hss.MaxHssLevels:
            raise ValueError
        return hss.HssPublicKey.deserialize(raw)
    except (ValueError, KeyError) as error:
        raise TinyopsError("the public key is no HSS/LMS key") from error


def public_key_of(key: Any, where: str) -> PublicKey:
    """The PublicKey of a public key object of `cryptography`; TinyopsError names `where` it is from."""
    ec = primitives("asymmetric.ec")
    ed25519 = primitives("asymmetric.ed25519")
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(Algorithm.ED25519, key.public_bytes_raw())
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        numbers = key.public_numbers()
        return PublicKey(Algorithm.ES256, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
    mldsa = primitives("asymmetric.mldsa")
    for algorithm in _ML_DSA_BYTES:
        if isinstance(key, getattr(mldsa, f"MLDSA{algorithm[-2:]}PublicKey")):
            return PublicKey(algorithm, key.public_bytes_raw())
    raise TinyopsError("is no key for updates", where=where, allowed="Ed25519, or EC on P-256")


class SoftwareSigner(PublicSide):
    """A private key of `cryptography` that signs in this process."""

    def __init__(self, key: Any, where: str = "the private key") -> None:
        self._key = key
        self.public = public_key_of(key.public_key(), where)

    @classmethod
    def generate(cls, algorithm: Algorithm) -> SoftwareSigner:
        """A new key."""
        if algorithm is Algorithm.ED25519:
            return cls(primitives("asymmetric.ed25519").Ed25519PrivateKey.generate())
        if algorithm is Algorithm.ES256:
            ec = primitives("asymmetric.ec")
            return cls(ec.generate_private_key(ec.SECP256R1()))
        if algorithm.experimental:
            return cls(getattr(primitives("asymmetric.mldsa"), f"MLDSA{algorithm[-2:]}PrivateKey").generate())
        raise ValueError(f"{algorithm} keys are no keys of this kind")

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None, where: str) -> SoftwareSigner:
        """The key of a PEM file; TinyopsError for a wrong passphrase and for what is no such key."""
        serialization = primitives("serialization")
        from cryptography.exceptions import UnsupportedAlgorithm

        try:
            key = serialization.load_pem_private_key(pem, passphrase)
        except TypeError as error:
            what = "is encrypted, and no passphrase is given" if passphrase is None else "is not encrypted"
            raise TinyopsError(what, where=where) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            what = "the passphrase is wrong" if b"ENCRYPTED" in pem else "holds no private key that can be read"
            raise TinyopsError(what, where=where, allowed="PEM (PKCS#8), Ed25519 or EC on P-256") from error
        return cls(key, where)

    def to_pem(self, passphrase: bytes | None) -> bytes:
        """PKCS#8, encrypted when there is a passphrase."""
        s = primitives("serialization")
        encryption = s.BestAvailableEncryption(passphrase) if passphrase else s.NoEncryption()
        pem: bytes = self._key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)
        return pem

    def sign(self, message: bytes) -> bytes:
        signature: bytes
        if self.public.algorithm is not Algorithm.ES256:
            signature = self._key.sign(message)
            return signature
        ec, hashes = primitives("asymmetric.ec"), primitives("hashes")
        r, s = primitives("asymmetric.utils").decode_dss_signature(
            self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        )
        return bytes(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def generate_p256() -> tuple[bytes, bytes]:
    """A key pair on P-256: (private scalar, 32 bytes; x and y, 64 bytes)."""
    ec = primitives("asymmetric.ec")
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    scalar: bytes = key.private_numbers().private_value.to_bytes(32, "big")
    return scalar, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
