"""Manifests described in YAML, command by command, for people who write their own sequences.

Names are those of the specification without their prefix: `vendor-identifier` is suit-condition-vendor-identifier,
`fetch` is suit-directive-fetch, `image-digest` is suit-parameter-image-digest. A command without an argument is its
name; one with an argument is a map of one key. docs/updates.md has the whole format.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError
from tinyops.suit.commands import (
    MAX_NESTING,
    REPORT_ALL,
    ComponentId,
    Condition,
    Digest,
    Directive,
    RunSequence,
    Sequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
    VersionMatch,
)
from tinyops.suit.manifest import LanguageTexts, Manifest, Texts
from tinyops.suit.registry import CONDITIONS, Command, Parameter, Section, TextKey, VersionComparison
from tinyops.suit.update import class_uuid, vendor_uuid
from tinyops.update.yaml_file import read_yaml

MAX_FILE = 1 << 26
MAX_COMMANDS = 256
_WITH_ARGUMENT = ("set-component-index", "override-parameters", "try-each", "run-sequence")
_NOT_PLAIN = {
    Command.SET_COMPONENT_INDEX,
    Command.OVERRIDE_PARAMETERS,
    Command.SET_PARAMETERS,
    Command.TRY_EACH,
    Command.RUN_SEQUENCE,
    Command.OVERRIDE_MULTIPLE,
    Command.COPY_PARAMETERS,
}
_PLAIN = {command.name.lower().replace("_", "-"): command for command in Command if command not in _NOT_PLAIN}
_PARAMETERS = {parameter.name.lower().replace("_", "-"): parameter for parameter in Parameter}
_TEXTS = {key.name.lower().replace("_", "-"): key for key in TextKey}
_COMPARISONS = {
    ">": VersionComparison.GREATER,
    ">=": VersionComparison.GREATER_EQUAL,
    "==": VersionComparison.EQUAL,
    "<=": VersionComparison.LESSER_EQUAL,
    "<": VersionComparison.LESSER,
}


class _File(BaseModel):
    """The top level of a description."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    sequence: int | None = Field(default=None, ge=1, lt=1 << 32)
    vendor: str = Field(min_length=1, max_length=253)
    class_: str | None = Field(default=None, alias="class", min_length=1, max_length=256)
    components: list[list[str]] = Field(min_length=1, max_length=4)
    payloads: dict[str, str] = Field(default_factory=dict, max_length=16)
    reference_uri: str | None = Field(default=None, alias="reference-uri", max_length=255)
    text: dict[str, dict[str, str]] | None = Field(default=None, max_length=16)
    shared: list[Any] | None = Field(default=None, max_length=MAX_COMMANDS)
    payload_fetch: list[Any] | None = Field(default=None, alias="payload-fetch", max_length=MAX_COMMANDS)
    install: list[Any] | None = Field(default=None, max_length=MAX_COMMANDS)
    validate_: list[Any] | None = Field(default=None, alias="validate", max_length=MAX_COMMANDS)
    load: list[Any] | None = Field(default=None, max_length=MAX_COMMANDS)
    invoke: list[Any] | None = Field(default=None, max_length=MAX_COMMANDS)


@dataclass(frozen=True)
class Description:
    """A manifest that was described, its integrated payloads by "#name", and the other files by their names."""

    manifest: Manifest
    vendor: UUID
    class_id: UUID | None
    integrated: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def read_description(file: Path, sequence: int) -> Description:
    """Read a description; `sequence` counts where it has none. UsageError names the key that does not fit."""
    table = read_yaml(file)
    try:
        fields = _File.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        allowed = ", ".join(f.alias or name for name, f in _File.model_fields.items())
        unknown = first["type"] in ("extra_forbidden", "model_type")
        raise UsageError(f"{where}: {first['msg']}", where=str(file), allowed=allowed if unknown else None) from None
    return _Reader(file, fields).description(sequence)


class _Reader:
    """Turns names into numbers, and files into digests, sizes and contents."""

    def __init__(self, file: Path, fields: _File) -> None:
        self._file = file
        self._fields = fields
        self.vendor = _uuid(fields.vendor) or vendor_uuid(fields.vendor)

    def description(self, sequence: int) -> Description:
        fields = self._fields
        sections = {
            Section.PAYLOAD_FETCH: ("payload-fetch", fields.payload_fetch),
            Section.INSTALL: ("install", fields.install),
            Section.VALIDATE: ("validate", fields.validate_),
            Section.LOAD: ("load", fields.load),
            Section.INVOKE: ("invoke", fields.invoke),
        }
        manifest = Manifest(
            sequence_number=sequence if fields.sequence is None else fields.sequence,
            components=tuple(self._component(parts) for parts in fields.components),
            shared=None if fields.shared is None else self._sequence(fields.shared, "shared", 1),
            sequences={
                section: self._sequence(commands, name, 1)
                for section, (name, commands) in sections.items()
                if commands is not None
            },
            reference_uri=fields.reference_uri,
            text=self._texts(fields.text),
        )
        payloads = {name: self._read(path, f"payloads.{name}") for name, path in fields.payloads.items()}
        for name in payloads:
            if not name.startswith("#") and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
                raise self._error(f"payloads.{name}", "is no name of a payload", '"#name", or the name of a file')
        return Description(
            manifest,
            self.vendor,
            None if fields.class_ is None else self._class(fields.class_),
            integrated={name: data for name, data in payloads.items() if name.startswith("#")},
            files={name: data for name, data in payloads.items() if not name.startswith("#")},
        )

    # -- commands ------------------------------------------------------------------------------------------------

    def _sequence(self, commands: Any, where: str, level: int) -> Sequence:
        if level > MAX_NESTING:
            raise self._error(where, "sequences are nested too deeply", f"{MAX_NESTING} levels")
        if not isinstance(commands, list) or not 0 < len(commands) <= MAX_COMMANDS:
            raise self._error(where, "is no sequence", f"a list of 1 to {MAX_COMMANDS} commands")
        return tuple(self._command(command, f"{where}[{k}]", level) for k, command in enumerate(commands))

    def _command(self, command: Any, where: str, level: int) -> Any:
        name, argument = command, None
        if isinstance(command, dict) and len(command) == 1:
            ((name, argument),) = command.items()
        if not isinstance(name, str):
            raise self._error(where, "is no command", "a name, or a map of one name")
        if name in _PLAIN:
            return self._plain(_PLAIN[name], argument, where)
        if name == "set-component-index":
            return SetComponentIndex(self._index(argument, where))
        if name == "override-parameters":
            return SetParameters(self._parameters(argument, where))
        if name == "run-sequence":
            return RunSequence(self._sequence(argument, f"{where}.run-sequence", level + 1))
        if name == "try-each":
            return TryEach(self._branches(argument, f"{where}.try-each", level))
        raise self._error(where, f"{name!r:.60} is no command", ", ".join((*_WITH_ARGUMENT, *_PLAIN)))

    def _plain(self, command: Command, argument: Any, where: str) -> Condition | Directive:
        policy = REPORT_ALL
        if argument is not None:
            if not (isinstance(argument, dict) and set(argument) == {"report"} and _is_int(argument["report"], 15)):
                raise self._error(where, "has an argument that it cannot have", "{report: 0 to 15}")
            policy = argument["report"]
        return Condition(command, policy) if command in CONDITIONS else Directive(command, policy)

    def _index(self, value: Any, where: str) -> int | bool | tuple[int, ...]:
        last = len(self._fields.components) - 1
        if value is True or _is_int(value, last):
            index: int | bool = value
            return index
        if isinstance(value, list) and value and all(_is_int(item, last) for item in value):
            return tuple(value)
        raise self._error(where, f"{value!r:.40} is no component index", f"0 to {last}, a list of them, or true")

    def _branches(self, value: Any, where: str, level: int) -> tuple[Sequence | None, ...]:
        if not isinstance(value, list) or not 2 <= len(value) <= 8 or any(b is None for b in value[:-1]):
            raise self._error(where, "is no try-each", "2 to 8 sequences, of which the last may be null")
        return tuple(
            None if branch is None else self._sequence(branch, f"{where}[{k}]", level + 1)
            for k, branch in enumerate(value)
        )

    # -- parameters ----------------------------------------------------------------------------------------------

    def _parameters(self, table: Any, where: str) -> dict[int, Any]:
        if not isinstance(table, dict) or not table:
            raise self._error(where, "has no parameters", ", ".join(_PARAMETERS))
        found: dict[int, Any] = {}
        for name, value in table.items():
            if name not in _PARAMETERS:
                raise self._error(where, f"{name!r:.60} is no parameter", ", ".join(_PARAMETERS))
            found[_PARAMETERS[name]] = self._value(_PARAMETERS[name], value, f"{where}.{name}")
        return found

    def _value(self, parameter: Parameter, value: Any, where: str) -> Any:
        special: dict[Parameter, Callable[[Any, str], Any]] = {
            Parameter.VENDOR_IDENTIFIER: lambda v, _: (
                (_uuid(v) or vendor_uuid(v)).bytes if isinstance(v, str) else None
            ),
            Parameter.CLASS_IDENTIFIER: lambda v, _: self._class(v).bytes if isinstance(v, str) else None,
            Parameter.DEVICE_IDENTIFIER: lambda v, _: found.bytes if (found := _uuid(v)) else None,
            Parameter.IMAGE_DIGEST: self._digest,
            Parameter.IMAGE_SIZE: self._size,
            Parameter.USE_BEFORE: _time,
            Parameter.VERSION: _version,
        }
        kinds: dict[Parameter, Callable[[Any], bool]] = {
            Parameter.URI: lambda v: isinstance(v, str) and 0 < len(v) < 128,
            Parameter.STRICT_ORDER: lambda v: isinstance(v, bool),
            Parameter.SOFT_FAILURE: lambda v: isinstance(v, bool),
            Parameter.COMPONENT_SLOT: lambda v: _is_int(v, 1 << 31),
            Parameter.SOURCE_COMPONENT: lambda v: _is_int(v, len(self._fields.components) - 1),
            Parameter.MINIMUM_BATTERY: lambda v: _is_int(v, 1 << 62),
            Parameter.UPDATE_PRIORITY: lambda v: isinstance(v, int) and not isinstance(v, bool) and abs(v) < 1 << 31,
        }
        if parameter in special:
            made = special[parameter](value, where)
        elif parameter in kinds:
            made = value if kinds[parameter](value) else None
        else:
            made = self._bytes(value, where)
        if made is None:
            raise self._error(where, f"{value!r:.60} does not fit", _ALLOWED.get(parameter))
        return made

    def _digest(self, value: Any, where: str) -> Digest | None:
        if isinstance(value, dict) and set(value) == {"file"}:
            return Digest(hashlib.sha256(self._read(value["file"], where)).digest())
        text = value.get("sha-256") if isinstance(value, dict) and len(value) == 1 else None
        return Digest(bytes.fromhex(text)) if _is_hex(text) and len(text) == 64 else None

    def _size(self, value: Any, where: str) -> int | None:
        if isinstance(value, dict) and set(value) == {"file"}:
            return len(self._read(value["file"], where))
        return value if _is_int(value, (1 << 32) - 1) else None

    def _bytes(self, value: Any, where: str) -> bytes | None:
        if not isinstance(value, dict) or len(value) != 1:
            return None
        ((kind, text),) = value.items()
        if kind == "file":
            return self._read(text, where)
        if kind == "hex" and _is_hex(text):
            return bytes.fromhex(text)
        return str(text).encode() if kind == "text" and isinstance(text, str) else None

    # -- files and names -----------------------------------------------------------------------------------------

    def _read(self, path: Any, where: str) -> bytes:
        """A file below the description's folder."""
        parts = PurePosixPath(path).parts if isinstance(path, str) else ()
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or "\0" in path:
            raise self._error(
                where, f"{path!r:.80} is no path of a file", "a path from the description's folder downwards"
            )
        folder = self._file.parent.resolve()
        file = (folder / path).resolve()
        try:
            if not file.is_relative_to(folder) or not file.is_file() or file.stat().st_size > MAX_FILE:
                raise self._error(where, f"there is no file {path!r:.80}", f"a file of up to {MAX_FILE:,} bytes")
            content: bytes = file.read_bytes()
        except OSError as error:
            raise self._error(where, f"{path!r:.80} cannot be read: {error.strerror}", "a file") from error
        return content

    def _class(self, text: str) -> UUID:
        return _uuid(text) or class_uuid(self.vendor, text)

    def _component(self, parts: list[str]) -> ComponentId:
        if not 0 < len(parts) <= 4 or not all(re.fullmatch(r"[\x21-\x2e\x30-\x7e]{1,31}", part) for part in parts):
            raise self._error("components", f"{parts!r:.80} is no component", "[model], 1 to 4 short names")
        return tuple(part.encode() for part in parts)

    def _texts(self, table: dict[str, dict[str, str]] | None) -> Texts | None:
        if table is None:
            return None
        for tag, texts in table.items():
            if (
                not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", tag)
                or not texts
                or not set(texts) <= set(_TEXTS)
            ):
                raise self._error(f"text.{tag}", "is no text", f"a language tag, and in it: {', '.join(_TEXTS)}")
        return Texts(
            {tag: LanguageTexts({int(_TEXTS[n]): text for n, text in texts.items()}) for tag, texts in table.items()}
        )

    def _error(self, where: str, what: str, allowed: str | None) -> UsageError:
        return UsageError(f"{where}: {what}", where=str(self._file), allowed=allowed)


_BYTES_ALLOWED = "{file: PATH}, {hex: ...} or {text: ...}"
_ALLOWED = {
    Parameter.VENDOR_IDENTIFIER: "a domain, or a UUID",
    Parameter.CLASS_IDENTIFIER: "a text such as board|kernel-abi|task, or a UUID",
    Parameter.DEVICE_IDENTIFIER: "a UUID",
    Parameter.IMAGE_DIGEST: "{file: PATH} or {sha-256: 64 hexadecimal digits}",
    Parameter.IMAGE_SIZE: "{file: PATH} or a number",
    Parameter.USE_BEFORE: "a date such as 2031-05-01, or 2031-05-01T12:00:00Z",
    Parameter.VERSION: '{">=": "1.2.3"}, one of > >= == <= <',
    Parameter.URI: "a URI of less than 128 characters",
    Parameter.STRICT_ORDER: "true or false",
    Parameter.SOFT_FAILURE: "true or false",
    Parameter.COMPONENT_SLOT: "a number",
    Parameter.SOURCE_COMPONENT: "the index of a component",
    Parameter.CONTENT: _BYTES_ALLOWED,
    Parameter.ENCRYPTION_INFO: _BYTES_ALLOWED,
    Parameter.INVOKE_ARGUMENTS: _BYTES_ALLOWED,
}


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) and len(value) in (32, 36) else None
    except ValueError:
        return None


def _is_int(value: Any, last: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= last


def _is_hex(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"([0-9a-fA-F]{2})*", value) is not None


def _time(value: Any, _where: str) -> int | None:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    return None


def _version(value: Any, _where: str) -> VersionMatch | None:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((sign, text),) = value.items()
    if sign not in _COMPARISONS or not isinstance(text, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,3}", text):
        return None
    return VersionMatch(_COMPARISONS[sign], tuple(int(part) for part in text.split(".")))
