"""COSE messages around a payload (RFC 9052): Sign1, Sign and Mac0, made and taken apart strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tinyops.suit import cbor
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import Algorithm, CoseTag, Header

MAX_HEADERS = 8
MAX_SIGNATURES = 4
MAC_ALGORITHMS = frozenset({int(Algorithm.HMAC_256)})
_CONTEXTS = {CoseTag.SIGN1: "Signature1", CoseTag.SIGN: "Signature", CoseTag.MAC0: "MAC0"}


@dataclass(slots=True)
class Headers:
    """Both header maps of one part of a message. `ephemeral` is an encoded COSE_Key."""

    protected: bytes
    algorithm: int | None = None
    algorithm_protected: bool = False
    kid: bytes | None = None
    iv: bytes | None = None
    ephemeral: bytes | None = None
    labels: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Block:
    """One authentication: of COSE_Sign1, COSE_Mac0, or one signer of COSE_Sign."""

    tag: CoseTag
    headers: Headers
    signature: bytes
    payload: bytes | None = None
    body_protected: bytes = b""

    @property
    def algorithm(self) -> int | None:
        """The algorithm that the signer names; None when it is not protected, which is as good as none."""
        return self.headers.algorithm if self.headers.algorithm_protected else None

    @property
    def kid(self) -> bytes | None:
        return self.headers.kid

    def to_be_signed(self, payload: bytes) -> bytes:
        """The bytes that the signature or MAC covers, for a detached payload."""
        body = [self.body_protected] if self.tag is CoseTag.SIGN else []
        return cbor.encode([_CONTEXTS[self.tag], *body, self.headers.protected, b"", payload])


def sign1(
    payload: bytes,
    algorithm: int,
    sign: Callable[[bytes], bytes],
    *,
    kid: bytes | None = None,
    attached: bool = False,
) -> bytes:
    """A tagged COSE_Sign1; the payload is detached unless `attached`."""
    return _single(CoseTag.SIGN1, payload, algorithm, sign, kid, attached)


def mac0(payload: bytes, algorithm: int, mac: Callable[[bytes], bytes], *, kid: bytes | None = None) -> bytes:
    """A tagged COSE_Mac0 with a detached payload."""
    return _single(CoseTag.MAC0, payload, algorithm, mac, kid, attached=False)


def _single(
    tag: CoseTag, payload: bytes, algorithm: int, sign: Callable[[bytes], bytes], kid: bytes | None, attached: bool
) -> bytes:
    protected = cbor.encode({int(Header.ALGORITHM): int(algorithm)})
    signature = sign(cbor.encode([_CONTEXTS[tag], protected, b"", payload]))
    unprotected = {} if kid is None else {int(Header.KID): kid}
    return cbor.encode(cbor.Tag(tag, [protected, unprotected, payload if attached else None, signature]))


class _Signs(Protocol):
    @property
    def algorithm(self) -> int: ...

    @property
    def kid(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


def sign_by_many(payload: bytes, signers: Iterable[_Signs]) -> bytes:
    """A tagged COSE_Sign with a detached payload and one signature of each signer."""
    signatures = []
    for signer in signers:
        protected = cbor.encode({int(Header.ALGORITHM): int(signer.algorithm)})
        message = cbor.encode(["Signature", b"", protected, b"", payload])
        signatures.append([protected, {int(Header.KID): signer.kid}, signer.sign(message)])
    return cbor.encode(cbor.Tag(CoseTag.SIGN, [b"", {}, None, signatures]))


def parse(message: bytes, *, attached: bool = False, where: str = "authentication") -> Iterator[Block]:
    """The authentications of one message, one after the other: one of Sign1 and Mac0, one for each signer of Sign.

    With `attached` the payload must be in the message, else it must not. Raises `SuitError` where it meets a fault.
    """
    try:
        yield from _blocks(Reader(message), attached, where)
    except CborError as error:
        raise SuitError.of(error, where) from error


def _blocks(reader: Reader, attached: bool, where: str) -> Iterator[Block]:
    tag = reader.tag()
    if tag not in set(_CONTEXTS):
        raise SuitError(Reason.WRONG_ALGORITHM, f"CBOR tag {tag}", where=where, allowed="COSE_Sign1, _Sign, _Mac0")
    if reader.array() != 4:
        raise SuitError(Reason.MALFORMED_CBOR, "not four items", where=where)
    headers = read_headers(reader)
    payload = reader.byte_string() if attached else None
    if not attached and not reader.null():
        raise SuitError(Reason.MALFORMED_CBOR, "the payload is not detached", where=where)
    if tag == CoseTag.SIGN:
        yield from _signatures(reader, headers.protected, payload, where)
        return
    signature = reader.byte_string()
    reader.done()
    yield Block(CoseTag(tag), headers, signature, payload)


def _signatures(reader: Reader, body: bytes, payload: bytes | None, where: str) -> Iterator[Block]:
    start = reader.at
    reader.skip()
    reader.done()
    reader.at = start
    count = reader.array()
    if count > MAX_SIGNATURES:
        raise SuitError(Reason.TOO_LARGE, f"{count} signatures", where=where)
    for _ in range(count):
        if reader.array() != 3:
            raise SuitError(Reason.MALFORMED_CBOR, "a signature of not three items", where=where)
        headers = read_headers(reader)
        yield Block(CoseTag.SIGN, headers, reader.byte_string(), payload, body)


def read_headers(reader: Reader) -> Headers:
    """The protected byte string and the unprotected map of a message part.

    Parameters stand in any order, each once in both maps together. Unknown ones are passed over, as RFC 9052,
    section 3.1, asks; critical ones are refused. Raises `SuitError` and `CborError`.
    """
    headers = Headers(reader.byte_string())
    if headers.protected:
        inner = Reader(headers.protected)
        _read_map(inner, headers, protected=True)
        inner.done()
    _read_map(reader, headers, protected=False)
    return headers


def _read_map(reader: Reader, headers: Headers, *, protected: bool) -> None:
    for _ in range(reader.map()):
        encoded = reader.skip()
        if encoded in headers.labels:
            raise SuitError(Reason.MALFORMED_CBOR, "a header twice")
        if len(headers.labels) == MAX_HEADERS:
            raise SuitError(Reason.TOO_LARGE, "too many headers")
        headers.labels.add(encoded)
        label = cbor.decode(encoded)
        if label == Header.ALGORITHM:
            headers.algorithm = reader.int32()
            headers.algorithm_protected = protected
        elif label == Header.CRITICAL:
            raise SuitError(Reason.UNSUPPORTED, "critical headers")
        elif label == Header.KID:
            headers.kid = reader.byte_string()
        elif label == Header.IV:
            headers.iv = reader.byte_string()
        elif label == Header.EPHEMERAL_KEY:
            headers.ephemeral = reader.skip()
        else:
            reader.skip()
