"""The manifest as a typed model, decoded strictly and encoded back byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tinyops.suit import cbor
from tinyops.suit.commands import ComponentId, Digest, Sequence, decode, decode_sequence, encode_sequence
from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import DEPENDENCY_PREFIX, FINAL, SEQUENCES, SEVERABLE, Common, Dialect, Section

VERSION = 1


@dataclass(frozen=True, slots=True)
class LanguageTexts:
    """Texts in one language: about the manifest (`TextKey`) and about components (`ComponentTextKey`)."""

    manifest: Mapping[int, str] = field(default_factory=dict)
    components: Mapping[ComponentId, Mapping[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Texts:
    """suit-text: language tag (RFC 5646) -> texts."""

    languages: Mapping[str, LanguageTexts]

    def encode(self) -> bytes:
        plain = {
            tag: {**texts.manifest, **{name: dict(about) for name, about in texts.components.items()}}
            for tag, texts in self.languages.items()
        }
        return cbor.encode(plain)

    @classmethod
    def decode(cls, data: bytes) -> Texts:
        plain = decode(data, "text")
        if not isinstance(plain, dict) or not plain:
            raise SuitError(Reason.PARAMETER_MALFORMED, "not a map of languages", where="text")
        return cls({_text(tag, "language tag"): _language(texts) for tag, texts in plain.items()})


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise SuitError(Reason.PARAMETER_MALFORMED, "not text", where=where)
    return value


def _language(plain: Any) -> LanguageTexts:
    if not isinstance(plain, dict):
        raise SuitError(Reason.PARAMETER_MALFORMED, "not a map", where="text")
    manifest: dict[int, str] = {}
    components: dict[ComponentId, Mapping[int, str]] = {}
    for key, value in plain.items():
        if type(key) is int:
            manifest[key] = _text(value, "text")
        elif isinstance(key, tuple) and isinstance(value, dict) and all(type(name) is int for name in value):
            components[key] = {name: _text(about, "text") for name, about in value.items()}
        else:
            raise SuitError(Reason.PARAMETER_MALFORMED, "neither a text nor texts about a component", where="text")
    return LanguageTexts(manifest, components)


@dataclass(frozen=True, slots=True)
class Manifest:
    """SUIT_Manifest. A severable member is its content, or the `Digest` of what stands in the envelope."""

    sequence_number: int
    components: tuple[ComponentId, ...]
    shared: Sequence | None = None
    sequences: Mapping[Section, Sequence | Digest] = field(default_factory=dict)
    reference_uri: str | None = None
    component_id: ComponentId | None = None
    set_version: tuple[int, ...] | None = None
    coswid: bytes | Digest | None = None
    text: Texts | Digest | None = None
    dependencies: Mapping[int, ComponentId | None] = field(default_factory=dict)
    version: int = VERSION

    def plain(self, dialect: Dialect = FINAL) -> dict[int, Any]:
        """The map on the wire."""
        members: dict[Section, Any] = {
            Section.VERSION: self.version,
            Section.SEQUENCE_NUMBER: self.sequence_number,
            Section.COMMON: self._common(dialect),
            Section.REFERENCE_URI: self.reference_uri,
            Section.COMPONENT_ID: None if self.component_id is None else list(self.component_id),
            Section.SET_VERSION: None if self.set_version is None else cbor.encode(list(self.set_version)),
            Section.COSWID: self.coswid.plain(dialect) if isinstance(self.coswid, Digest) else self.coswid,
        }
        if self.text is not None:
            members[Section.TEXT] = self.text.plain(dialect) if isinstance(self.text, Digest) else self.text.encode()
        for section, sequence in self.sequences.items():
            if isinstance(sequence, Digest):
                members[section] = sequence.plain(dialect)
            else:
                members[section] = encode_sequence(sequence, dialect)
        present = {section: value for section, value in members.items() if value is not None}
        for section in present:
            if section not in dialect.sections:
                raise SuitError(Reason.COMMAND_UNKNOWN, f"{dialect.name} has no member {section.name.lower()}")
        return {int(dialect.sections[section]): value for section, value in present.items()}

    def encode(self, dialect: Dialect = FINAL) -> bytes:
        """The manifest without its byte string head."""
        return cbor.encode(self.plain(dialect))

    def _common(self, dialect: Dialect) -> bytes:
        common: dict[int, Any] = {}
        if self.dependencies:
            common[Common.DEPENDENCIES] = {
                index: {} if prefix is None else {DEPENDENCY_PREFIX: list(prefix)}
                for index, prefix in self.dependencies.items()
            }
        if self.components:
            common[Common.COMPONENTS] = [list(component) for component in self.components]
        if self.shared is not None:
            common[Common.SHARED_SEQUENCE] = encode_sequence(self.shared, dialect)
        return cbor.encode(common)

    @classmethod
    def decode(cls, data: bytes, dialect: Dialect = FINAL) -> Manifest:
        """The model of an encoded manifest. Raises `SuitError`; authenticate the bytes first."""
        plain = decode(data, "manifest")
        if not isinstance(plain, dict):
            raise SuitError(Reason.MALFORMED_CBOR, "not a map", where="manifest")
        members: dict[Section, Any] = {}
        for number, value in plain.items():
            if type(number) is not int:
                raise SuitError(Reason.MALFORMED_CBOR, "a key that is no number", where="manifest")
            section = dialect.section_of.get(number)
            if section is None:
                raise SuitError(Reason.COMMAND_UNKNOWN, f"member {number}", where="manifest")
            members[section] = value
        return _manifest(members, dialect)


def _manifest(members: dict[Section, Any], dialect: Dialect) -> Manifest:
    for section in (Section.VERSION, Section.SEQUENCE_NUMBER, Section.COMMON):
        if section not in members:
            raise SuitError(Reason.PARAMETER_MISSING, section.name.lower(), where="manifest")
    if members[Section.VERSION] != VERSION or type(members[Section.VERSION]) is not int:
        raise SuitError(Reason.MANIFEST_VERSION, repr(members[Section.VERSION]), where="manifest", allowed=str(VERSION))
    sequence_number = members[Section.SEQUENCE_NUMBER]
    if type(sequence_number) is not int or sequence_number < 0:
        raise SuitError(Reason.PARAMETER_MALFORMED, "sequence number", where="manifest")
    components, shared, dependencies = _decode_common(_member_bytes(members[Section.COMMON], Section.COMMON), dialect)
    for section, value in members.items():
        if value is None:
            raise SuitError(Reason.PARAMETER_MALFORMED, "null", where=section.name.lower())
    return Manifest(
        sequence_number=sequence_number,
        components=components,
        shared=shared,
        sequences={
            section: _decode_sequence_member(members[section], section, dialect)
            for section in SEQUENCES
            if section in members
        },
        reference_uri=_text(members[Section.REFERENCE_URI], "reference_uri")
        if Section.REFERENCE_URI in members
        else None,
        component_id=component_id(members[Section.COMPONENT_ID]) if Section.COMPONENT_ID in members else None,
        set_version=_decode_set_version(members[Section.SET_VERSION]) if Section.SET_VERSION in members else None,
        coswid=_decode_severable(members.get(Section.COSWID), Section.COSWID, dialect),
        text=_decode_text(members.get(Section.TEXT), dialect),
        dependencies=dependencies,
    )


def _member_bytes(value: Any, section: Section) -> bytes:
    if type(value) is not bytes:
        raise SuitError(Reason.PARAMETER_MALFORMED, "not a byte string", where=section.name.lower())
    return value


def _decode_severable(value: Any, section: Section, dialect: Dialect) -> bytes | Digest | None:
    if value is None:
        return None
    if isinstance(value, list) and section in SEVERABLE:
        return Digest.from_plain(value, dialect, section.name.lower())
    return _member_bytes(value, section)


def _decode_sequence_member(value: Any, section: Section, dialect: Dialect) -> Sequence | Digest:
    content = _decode_severable(value, section, dialect)
    if isinstance(content, Digest):
        return content
    return decode_sequence(_member_bytes(content, section), dialect, section.name.lower())


def _decode_text(value: Any, dialect: Dialect) -> Texts | Digest | None:
    content = _decode_severable(value, Section.TEXT, dialect)
    return Texts.decode(content) if isinstance(content, bytes) else content


def _decode_set_version(value: Any) -> tuple[int, ...]:
    parts = decode(_member_bytes(value, Section.SET_VERSION), "set_version")
    if not isinstance(parts, list) or not parts or not all(type(part) is int for part in parts):
        raise SuitError(Reason.PARAMETER_MALFORMED, "not numbers", where="set_version")
    return tuple(parts)


def component_id(value: Any) -> ComponentId:
    """SUIT_Component_Identifier."""
    if not isinstance(value, list) or not all(type(part) is bytes for part in value):
        raise SuitError(Reason.PARAMETER_MALFORMED, "a component id is an array of byte strings", where="components")
    return tuple(value)


def _decode_common(
    data: bytes, dialect: Dialect
) -> tuple[tuple[ComponentId, ...], Sequence | None, dict[int, ComponentId | None]]:
    plain = decode(data, "common")
    if not isinstance(plain, dict):
        raise SuitError(Reason.MALFORMED_CBOR, "not a map", where="common")
    for key in plain:
        if type(key) is not int:
            raise SuitError(Reason.MALFORMED_CBOR, "a key that is no number", where="common")
        if key not in set(Common):
            raise SuitError(Reason.COMMAND_UNKNOWN, f"member {key}", where="common")
    components = plain.get(Common.COMPONENTS)
    if components is not None and (not isinstance(components, list) or not components):
        raise SuitError(Reason.PARAMETER_MISSING, "no components", where="common")
    shared = plain.get(Common.SHARED_SEQUENCE)
    sequence = None if shared is None else decode_sequence(_member_bytes(shared, Section.COMMON), dialect, "shared")
    dependencies = _dependencies(plain[Common.DEPENDENCIES]) if Common.DEPENDENCIES in plain else {}
    return tuple(component_id(component) for component in components or ()), sequence, dependencies


def _dependencies(plain: Any) -> dict[int, ComponentId | None]:
    if not isinstance(plain, dict) or not plain:
        raise SuitError(Reason.PARAMETER_MALFORMED, "not a map", where="dependencies")
    result: dict[int, ComponentId | None] = {}
    for index, about in plain.items():
        if type(index) is not int or not isinstance(about, dict) or not set(about) <= {DEPENDENCY_PREFIX}:
            raise SuitError(Reason.PARAMETER_MALFORMED, "not index => {1: prefix}", where="dependencies")
        result[index] = component_id(about[DEPENDENCY_PREFIX]) if about else None
    return result


def digest_of(content: bytes) -> Digest:
    """The digest of a manifest or a severed member: over the byte string with its head."""
    return Digest(sha256(cbor.encode(content)).digest())
