"""From a description to a signed envelope.

unsigned = emit(description, FINAL)
envelope = sign(unsigned, signer)          # bytes, ready to be sent
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tinyops.suit import cose, emit_final, emit_riot
from tinyops.suit.envelope import Envelope, signed_digest
from tinyops.suit.errors import AuthoringError
from tinyops.suit.registry import DIALECTS, FINAL, Dialect, DialectName, Section
from tinyops.suit.rules import RIOT_MANIFEST_BYTES, check_description
from tinyops.suit.update import UpdateDescription


class Signer(Protocol):
    """A private key that may be a file, a token or a stateful key.

    `algorithm` is a COSE algorithm (`registry.Algorithm`: ED25519, ESP256, HSS_LMS, ML_DSA_*, HMAC_256), `kid`
    the identifier that devices know the key by. `sign` gives the raw signature (Ed25519 and ES256: 64 bytes,
    ES256 as r | s) or MAC of the message; a stateful key reserves its index durably before it returns.
    """

    @property
    def algorithm(self) -> int: ...

    @property
    def kid(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An encoded manifest with what travels beside it."""

    manifest: bytes
    dialect: Dialect = FINAL
    severed: Mapping[Section, bytes] = field(default_factory=dict)
    payloads: Mapping[str, bytes] = field(default_factory=dict)


def emit(update: UpdateDescription, dialect: Dialect | DialectName | str = FINAL) -> Unsigned:
    """The manifest of an update. Raises `AuthoringError` when a rule of `rules` is broken."""
    if not isinstance(dialect, Dialect):
        try:
            dialect = DIALECTS[DialectName(dialect)]
        except ValueError:
            names = ", ".join(DialectName)
            raise AuthoringError(f"unknown dialect {dialect!r}", where="dialect", allowed=names) from None
    check_description(update, dialect)
    builder = emit_riot if dialect.name is DialectName.RIOT_LEGACY else emit_final
    manifest, severed = builder.build(update)
    return Unsigned(manifest.encode(dialect), dialect, severed, dict(update.payloads))


def sign(unsigned: Unsigned, *signers: Signer) -> bytes:
    """The envelope, authenticated by each of the signers. Raises `AuthoringError`, and what a signer raises."""
    dialect = unsigned.dialect
    if not signers:
        raise AuthoringError("no key to sign with", where="signers", allowed="one to four keys")
    if len(signers) > (1 if dialect.name is DialectName.RIOT_LEGACY else 4):
        raise AuthoringError(f"{len(signers)} signers", where="signers", allowed="one for riot-legacy, else up to four")
    digest = signed_digest(unsigned.manifest, dialect)
    blocks = [_block(digest, signer, dialect) for signer in signers]
    authentication = [digest, *blocks] if dialect.detached else blocks
    envelope = Envelope(unsigned.manifest, tuple(authentication), unsigned.severed, unsigned.payloads, dialect).encode()
    if dialect.name is DialectName.RIOT_LEGACY and len(envelope) > RIOT_MANIFEST_BYTES:
        raise AuthoringError(
            f"an envelope of {len(envelope)} bytes",
            where=dialect.name,
            allowed=f"up to {RIOT_MANIFEST_BYTES} bytes",
            hint="use shorter URIs or fewer components",
        )
    return envelope


def _block(digest: bytes, signer: Signer, dialect: Dialect) -> bytes:
    algorithm = dialect.signature_algorithms.get(signer.algorithm)
    if algorithm is None:
        known = ", ".join(str(number) for number in dialect.signature_algorithms)
        raise AuthoringError(f"algorithm {signer.algorithm} in {dialect.name}", where="signers", allowed=known)
    if not dialect.detached:
        return cose.sign1(digest, algorithm, signer.sign, attached=True)
    if signer.algorithm in cose.MAC_ALGORITHMS:
        return cose.mac0(digest, algorithm, signer.sign, kid=signer.kid)
    return cose.sign1(digest, algorithm, signer.sign, kid=signer.kid)
