"""Keys as a device holds them: identifier, the one algorithm they are bound to, raw material, roles.

Raw material: Ed25519 32 bytes, ESP256 x and y (64 bytes), HSS/LMS the HSS public key (60 bytes), ML-DSA the public
key of FIPS 204, HMAC-256 and A128KW the secret (32 and 16 bytes), ECDH-ES+A128KW the private scalar on P-256
(32 bytes). The key identifier is the first 8 bytes of SHA-256 over the public key.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from hashlib import sha256
from importlib import import_module
from typing import Any

from tinyops.errors import MissingToolError
from tinyops.suit.registry import Algorithm

KID_BYTES = 8


class Role(IntFlag):
    """What a key may do on a device."""

    SIGNER = 1
    ROOT = 2
    DECRYPT = 4


@dataclass(frozen=True)
class Key:
    """A provisioned key."""

    algorithm: Algorithm
    material: bytes
    kid: bytes
    roles: Role = Role.SIGNER
    revoked: bool = False

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature or MAC is this key's over `message`; False for anything malformed."""
        check = _VERIFY.get(self.algorithm)
        return check is not None and check(self.material, message, signature)


def key_id(public: bytes) -> bytes:
    """The identifier of a raw public key."""
    return sha256(public).digest()[:KID_BYTES]


def primitives(name: str) -> Any:
    """The module cryptography.hazmat.primitives.`name`; MissingToolError when the package is not installed."""
    try:
        return import_module(f"cryptography.hazmat.primitives.{name}")
    except ImportError as error:
        raise MissingToolError(
            "the Python package cryptography is not installed, or too old", hint='pip install "tinyops[update]"'
        ) from error


def _holds(check: Callable[[], object]) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        check()
    except (InvalidSignature, ValueError):
        return False
    return True


def _ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    keys = primitives("asymmetric.ed25519")
    return _holds(lambda: keys.Ed25519PublicKey.from_public_bytes(public).verify(signature, message))


def _esp256(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != 64 or len(public) != 64:
        return False
    ec, hashes, utils = primitives("asymmetric.ec"), primitives("hashes"), primitives("asymmetric.utils")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")

    def check() -> None:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))

    return _holds(check)


def _hmac_256(secret: bytes, message: bytes, tag: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, message, "sha256"), tag)


def _hss_lms(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        module = import_module("pyhsslms")
    except ImportError as error:
        raise MissingToolError(
            "the Python package pyhsslms is not installed", hint='pip install "tinyops[update]"'
        ) from error
    try:
        if module.HssSignature.deserialize(signature).serialize() != signature:  # the package ignores what follows
            return False
        return bool(module.HssPublicKey.deserialize(public).verify(message, signature))
    except (ValueError, IndexError, TypeError, KeyError, AttributeError):
        return False  # the package raises what its parsing happens to meet


def _ml_dsa(size: int) -> Callable[[bytes, bytes, bytes], bool]:
    def verify(public: bytes, message: bytes, signature: bytes) -> bool:
        keys = primitives("asymmetric.mldsa")
        return _holds(
            lambda: getattr(keys, f"MLDSA{size}PublicKey").from_public_bytes(public).verify(signature, message)
        )

    return verify


_VERIFY: dict[Algorithm, Callable[[bytes, bytes, bytes], bool]] = {
    Algorithm.ED25519: _ed25519,
    Algorithm.ESP256: _esp256,
    Algorithm.HMAC_256: _hmac_256,
    Algorithm.HSS_LMS: _hss_lms,
    Algorithm.ML_DSA_44: _ml_dsa(44),
    Algorithm.ML_DSA_65: _ml_dsa(65),
    Algorithm.ML_DSA_87: _ml_dsa(87),
}
