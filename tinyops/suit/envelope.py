"""The envelope: authentication blocks, the manifest, severed members and integrated payloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tinyops.suit import cbor
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.commands import Digest, decode
from tinyops.suit.errors import SuitError
from tinyops.suit.manifest import Manifest, digest_of
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import ENVELOPE_TAG, FINAL, RIOT_LEGACY, SEVERABLE, Dialect, Member, Section

MAX_MEMBERS = 64
MAX_PART = 1 << 16  # bytes of the manifest, and of the authentication


def _limited(data: bytes, where: str) -> bytes:
    if len(data) > MAX_PART:
        raise SuitError(Reason.TOO_LARGE, f"{len(data)} bytes", where=where, allowed=f"up to {MAX_PART}")
    return data


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope whose bytes are kept: `manifest` is the encoded manifest, `authentication` the content of the
    wrapper's byte strings (the digest first, except in riot-legacy), each as it stands on the wire."""

    manifest: bytes
    authentication: tuple[bytes, ...] = ()
    severed: Mapping[Section, bytes] = field(default_factory=dict)
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    dialect: Dialect = FINAL

    def encode(self) -> bytes:
        members: dict[Any, Any] = {
            int(Member.AUTHENTICATION): cbor.encode(list(self.authentication)),
            int(Member.MANIFEST): self.manifest,
            **{int(self.dialect.sections[section]): content for section, content in self.severed.items()},
            **self.payloads,
        }
        return cbor.encode(cbor.Tag(ENVELOPE_TAG, members) if self.dialect.tagged else members)

    @classmethod
    def decode(cls, data: bytes, dialect: Dialect | None = None) -> Envelope:
        """The envelope in `data`; without `dialect` it is told by the tag. Raises `SuitError`."""
        try:
            return cls._read(Reader(bytes(data)), dialect)
        except CborError as error:
            raise SuitError.of(error, "envelope") from error

    @classmethod
    def _read(cls, reader: Reader, dialect: Dialect | None) -> Envelope:
        tagged = reader.next_major() == cbor.TAG
        dialect = dialect or (FINAL if tagged else RIOT_LEGACY)
        if tagged != dialect.tagged or (tagged and reader.tag() != ENVELOPE_TAG):
            raise SuitError(Reason.MALFORMED_CBOR, "the tag of the envelope", where="envelope")
        severed: dict[Section, bytes] = {}
        payloads: dict[str, bytes] = {}
        members: dict[int, bytes] = {}
        count, previous = reader.map(), b""
        if count > MAX_MEMBERS:
            raise SuitError(Reason.TOO_LARGE, f"{count} members", where="envelope", allowed=f"up to {MAX_MEMBERS}")
        for _ in range(count):
            previous = reader.key(previous)
            if reader.next_major() == cbor.TEXT:
                name = reader.text_string()
                payloads[name] = reader.byte_string()
                continue
            key = reader.int32()
            section = dialect.section_of.get(key)
            if section in SEVERABLE:
                severed[section] = reader.byte_string()
            elif key in {int(member) for member in Member}:
                members[key] = _limited(reader.byte_string(), Member(key).name.lower())
            else:
                raise SuitError(Reason.COMMAND_UNKNOWN, f"member {key}", where="envelope")
        reader.done()
        if Member.AUTHENTICATION not in members:
            raise SuitError(Reason.NO_AUTHENTICATION, where="envelope")
        if Member.MANIFEST not in members:
            raise SuitError(Reason.PARAMETER_MISSING, "no manifest", where="envelope")
        blocks = decode(members[Member.AUTHENTICATION], "authentication")
        if not isinstance(blocks, list) or not all(type(block) is bytes for block in blocks):
            raise SuitError(Reason.MALFORMED_CBOR, "not an array of byte strings", where="authentication")
        return cls(members[Member.MANIFEST], tuple(blocks), severed, payloads, dialect)

    def blocks(self) -> tuple[bytes, ...]:
        """The COSE messages."""
        return self.authentication[1:] if self.dialect.detached else self.authentication

    def digest(self) -> Digest:
        """The digest of the manifest that the authentication blocks of the final dialect cover."""
        if not self.authentication:
            raise SuitError(Reason.NO_AUTHENTICATION, where="authentication")
        return Digest.decode(self.authentication[0], self.dialect, "manifest digest")

    def model(self) -> Manifest:
        """The manifest as a typed model. It says nothing about who signed it."""
        return Manifest.decode(self.manifest, self.dialect)

    def without(self, *sections: Section) -> Envelope:
        """The envelope with these members cut away."""
        return replace(self, severed={name: data for name, data in self.severed.items() if name not in sections})


def signed_digest(manifest: bytes, dialect: Dialect) -> bytes:
    """What the signature covers: the encoded SUIT_Digest of the manifest."""
    return digest_of(manifest).encode(dialect)
