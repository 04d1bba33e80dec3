"""Who vouches for an envelope: its structure, its COSE messages and the digest of the manifest.

Nothing of the manifest is looked at before a provisioned key has vouched for it. The order of the checks, and so the
reason of an envelope with several faults, is that of the device (firmware/common, to_suit and to_cose).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tinyops.suit import cbor, cose
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.errors import SuitError
from tinyops.suit.keys import Key, Role
from tinyops.suit.manifest import digest_of
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import ACCEPTED, DIGEST_SIZES, ENVELOPE_TAG, Algorithm, CoseTag, Member, Section

SEVERABLE = frozenset({Section.COSWID, Section.PAYLOAD_FETCH, Section.INSTALL, Section.TEXT})
_TELLING = (
    Reason.REVOKED_KEY,
    Reason.BAD_SIGNATURE,
    Reason.UNSUPPORTED,
    Reason.WRONG_ALGORITHM,
    Reason.UNKNOWN_KEY,
)


@dataclass(frozen=True, slots=True)
class Authentic:
    """An envelope that a provisioned key vouches for."""

    manifest: bytes
    digest: bytes
    signer: int
    severed: Mapping[Section, bytes] = field(default_factory=dict)
    payloads: Mapping[str, bytes] = field(default_factory=dict)


def more_telling(a: Reason, b: Reason) -> Reason:
    """Of two reasons why two signatures do not help, the one that tells more."""
    for reason in _TELLING:
        if reason in {a, b}:
            return reason
    return a


def authenticate(envelope: bytes, keys: Sequence[Key], max_bytes: int) -> Authentic:
    """The envelope's parts. Raises `SuitError`."""
    if len(envelope) > max_bytes:
        raise SuitError(Reason.TOO_LARGE, f"an envelope of {len(envelope)} bytes")
    try:
        wrapper, manifest, severed, payloads = _members(envelope)
        reader = Reader(wrapper)
        items = reader.array()
        payload = reader.byte_string()
    except CborError as error:
        raise SuitError.of(error, "envelope") from error
    if items > 1 + cose.MAX_SIGNATURES:
        raise SuitError(Reason.TOO_LARGE, f"{items - 1} authentications")
    digest = read_digest(payload)
    if digest_of(manifest).value != digest:
        raise SuitError(Reason.MANIFEST_DIGEST, "manifest")
    signer = _signer(reader, items - 1, payload, keys)
    return Authentic(manifest, digest, signer, severed, payloads)


def _members(envelope: bytes) -> tuple[bytes, bytes, dict[Section, bytes], dict[str, bytes]]:
    severed: dict[Section, bytes] = {}
    payloads: dict[str, bytes] = {}
    wrapper = manifest = b""
    reader = Reader(envelope)
    if reader.tag() != ENVELOPE_TAG:
        raise SuitError(Reason.MALFORMED_CBOR, "the tag of the envelope")
    previous = b""
    for _ in range(reader.map()):
        previous = reader.key(previous)
        if reader.next_major() == cbor.TEXT:
            name = reader.text_string()
            payloads[name] = reader.byte_string()
            continue
        key = reader.int32()
        content = reader.byte_string()
        if key in SEVERABLE:
            severed[Section(key)] = content
        elif key == Member.AUTHENTICATION:
            wrapper = content
        elif key == Member.MANIFEST:
            manifest = content
        else:
            raise SuitError(Reason.COMMAND_UNKNOWN, f"member {key} of the envelope")
    reader.done()
    if not wrapper:
        raise SuitError(Reason.NO_AUTHENTICATION, "no authentication")
    if not manifest:
        raise SuitError(Reason.PARAMETER_MISSING, "no manifest")
    return wrapper, manifest, severed, payloads


def read_digest(data: bytes) -> bytes:
    """An encoded SUIT_Digest: SHA-256 alone."""
    reader = Reader(data)
    try:
        items = reader.array()
        algorithm = reader.int32()
        value = reader.byte_string()
        reader.done()
    except CborError as error:
        raise SuitError.of(error, "digest") from error
    short = algorithm == Algorithm.SHA_256 and len(value) != DIGEST_SIZES[Algorithm.SHA_256]
    if items != 2 or short:
        raise SuitError(Reason.PARAMETER_MALFORMED, f"a digest of {len(value)} bytes")
    if algorithm != Algorithm.SHA_256:
        raise SuitError(Reason.UNSUPPORTED, f"digest algorithm {algorithm}")
    return value


def _signer(reader: Reader, blocks: int, payload: bytes, keys: Sequence[Key]) -> int:
    """The key of the first block that verifies; the other blocks must be byte strings."""
    result = Reason.NO_AUTHENTICATION
    signer = 0
    try:
        for _ in range(blocks):
            block = reader.byte_string()
            if result is Reason.OK:
                continue
            try:
                signer = verify_message(block, payload, keys)
                result = Reason.OK
            except SuitError as error:
                result = more_telling(error.reason, result)
        reader.done()
    except CborError as error:
        raise SuitError.of(error, "authentication") from error
    if result is not Reason.OK:
        raise SuitError(result, "authentication")
    return signer


@dataclass(slots=True)
class _Headers:
    """Both header maps of one part of a message."""

    protected: bytes = b""
    algorithm: int = 0
    algorithm_protected: bool = False
    kid: bytes | None = None
    labels: set[bytes] = field(default_factory=set)


def verify_message(message: bytes, payload: bytes, keys: Sequence[Key]) -> int:
    """The index of the key that signed `payload` in a COSE_Sign1, COSE_Sign or COSE_Mac0 (detached).

    One good signature of a COSE_Sign is enough. Raises `SuitError`.
    """
    result = Reason.NO_AUTHENTICATION
    for block in cose.parse(message):
        try:
            return verify_block(block, payload, keys)
        except SuitError as error:
            result = more_telling(result, error.reason)
    raise SuitError(result, "signature")


def verify_block(block: cose.Block, payload: bytes, keys: Sequence[Key]) -> int:
    """The index of the key that made one authentication. Raises `SuitError`.

    The algorithm is that of the key; what the message says about it must agree.
    """
    if block.algorithm is None:
        raise SuitError(Reason.WRONG_ALGORITHM, "the algorithm is not protected")
    result = Reason.UNKNOWN_KEY if block.kid is not None else Reason.WRONG_ALGORITHM
    for index, key in enumerate(keys):
        if not key.roles & (Role.SIGNER | Role.ROOT) or block.kid not in {None, key.kid}:
            continue
        reason = Reason.WRONG_ALGORITHM
        fits = (block.tag is CoseTag.MAC0) == (key.algorithm is Algorithm.HMAC_256)
        if fits and block.algorithm in ACCEPTED.get(key.algorithm, ()):
            good = key.verify(block.to_be_signed(payload), block.signature)
            reason = Reason.OK if good else Reason.BAD_SIGNATURE
        if reason is Reason.OK and not key.revoked:
            return index
        result = more_telling(result, Reason.REVOKED_KEY if reason is Reason.OK else reason)
    raise SuitError(result, "signature")
