"""A manifest in words: what it would do, for whom, and whether the signature holds.

`describe` takes the bytes of an envelope, however hostile, and gives a table of plain values (for JSON);
`render` prints the table with rich. Text from the file is shown with control characters escaped and cut short.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tinyops.suit import cose, coswid
from tinyops.suit.commands import (
    AnyCommand,
    ComponentId,
    Condition,
    Custom,
    Digest,
    Directive,
    RunSequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
    VersionMatch,
    decode_sequence,
)
from tinyops.suit.commands import Sequence as Commands
from tinyops.suit.envelope import Envelope
from tinyops.suit.errors import SuitError
from tinyops.suit.keys import Key
from tinyops.suit.manifest import Manifest, Texts, digest_of
from tinyops.suit.reasons import Reason
from tinyops.suit.receiver.authenticate import more_telling, verify_block
from tinyops.suit.registry import (
    Algorithm,
    Command,
    ComponentTextKey,
    Parameter,
    Section,
    TextKey,
    VersionComparison,
)

if TYPE_CHECKING:
    from rich.console import Console

MAX_FILE_BYTES = 1 << 24
MAX_TEXT = 200
MAX_COMMANDS = 1000

_SECTION_WORDS = {
    Section.PAYLOAD_FETCH: "to fetch payloads",
    Section.INSTALL: "to install",
    Section.VALIDATE: "to validate",
    Section.LOAD: "to load at boot",
    Section.INVOKE: "to start",
    Section.DEPENDENCY_RESOLUTION: "to resolve dependencies",
    Section.CANDIDATE_VERIFICATION: "to verify candidates",
    Section.UNINSTALL: "to uninstall",
}
_COMMAND_WORDS = {
    Command.VENDOR_IDENTIFIER: "the vendor must be the given one",
    Command.CLASS_IDENTIFIER: "the class must be the given one",
    Command.DEVICE_IDENTIFIER: "the device must be the given one",
    Command.IMAGE_MATCH: "the image must have the given digest",
    Command.IMAGE_NOT_MATCH: "the image must not have the given digest",
    Command.CHECK_CONTENT: "the component must hold the given content",
    Command.COMPONENT_SLOT: "the free slot must be the given one",
    Command.USE_BEFORE: "the time must be before the given one",
    Command.MINIMUM_BATTERY: "the battery must hold the given energy",
    Command.UPDATE_AUTHORIZED: "the user must agree to the given priority",
    Command.VERSION: "the installed version must fit",
    Command.ABORT: "stop: this does not apply",
    Command.DEPENDENCY_INTEGRITY: "the dependency must be intact",
    Command.IS_DEPENDENCY: "the component must be a dependency",
    Command.FETCH: "fetch from the given URI",
    Command.WRITE: "write the given content",
    Command.COPY: "copy from the given component",
    Command.SWAP: "swap with the given component",
    Command.INVOKE: "start the component",
    Command.WAIT: "wait for the given event",
    Command.PROCESS_DEPENDENCY: "carry out the dependency",
    Command.UNLINK: "remove the component",
}
_COMPARISONS = {
    VersionComparison.GREATER: "above",
    VersionComparison.GREATER_EQUAL: "at least",
    VersionComparison.EQUAL: "exactly",
    VersionComparison.LESSER_EQUAL: "at most",
    VersionComparison.LESSER: "below",
}


def clean(text: str) -> str:
    """Text of a file for a terminal: control and format characters escaped, and cut."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:MAX_TEXT])
    return shown + ("…" if len(text) > MAX_TEXT else "")


def component_name(component: ComponentId) -> str:
    """A component id for people: "model", or "00/0a" where it is no text."""
    return "/".join(_part(part) for part in component) or "(nothing)"


def _part(part: bytes) -> str:
    text = part.decode("ascii", "replace")
    return clean(text) if text.isascii() and text.isprintable() and text else part.hex() or "(empty)"


def describe(data: bytes, keys: Sequence[Key] = (), names: Mapping[bytes, str] | None = None) -> dict[str, Any]:
    """What the file says. `keys` verify it, `names` call them by their key ids.

    The table has "verdict" ("authentic", "not verified" or "refused"), "reason" (slug) and "why" (text) in any case,
    and as much of the rest as could be read.
    """
    table: dict[str, Any] = {"bytes": len(data)}
    try:
        if len(data) > MAX_FILE_BYTES:
            raise SuitError(Reason.TOO_LARGE, f"{len(data)} bytes", where="file")
        envelope = Envelope.decode(data)
        table["dialect"] = str(envelope.dialect.name)
        table |= _verdict(envelope, keys, names or {})
        table |= _envelope_parts(envelope)
        manifest = envelope.model()
        table |= _manifest_table(manifest, envelope)
    except SuitError as error:
        table |= {"verdict": "refused", "reason": error.reason.slug, "why": clean(f"{error.where}: {error.what}")}
    return table


def _verdict(envelope: Envelope, keys: Sequence[Key], names: Mapping[bytes, str]) -> dict[str, Any]:
    attached = not envelope.dialect.detached
    blocks = [part for block in envelope.blocks() for part in cose.parse(block, attached=attached)]
    if not blocks:
        raise SuitError(Reason.NO_AUTHENTICATION, where="authentication")
    table: dict[str, Any] = {"signatures": [_signature(block, keys, names, envelope) for block in blocks]}
    digest = digest_of(envelope.manifest)
    claimed = [Digest.decode(block.payload, envelope.dialect) for block in blocks if block.payload is not None]
    if any(other != digest for other in claimed or [envelope.digest()]):
        raise SuitError(Reason.MANIFEST_DIGEST, where="manifest")
    table["manifest_sha256"] = digest.value.hex()
    reasons = {signature["state"] for signature in table["signatures"]}
    if Reason.OK.slug in reasons:
        return {**table, "verdict": "authentic", "reason": "ok", "why": "a key that you trust signed it"}
    if not keys:
        why = "no key was given to verify with"
        return {**table, "verdict": "not verified", "reason": Reason.UNKNOWN_KEY.slug, "why": why}
    reason = functools.reduce(more_telling, sorted(Reason.from_slug(slug) for slug in reasons))
    return {**table, "verdict": "refused", "reason": reason.slug, "why": reason.text}


def _signature(
    block: cose.Block, keys: Sequence[Key], names: Mapping[bytes, str], envelope: Envelope
) -> dict[str, Any]:
    known = {int(algorithm): algorithm.name.lower() for algorithm in Algorithm}
    kid, state = block.kid, Reason.OK
    try:
        payload = envelope.authentication[0] if block.payload is None else block.payload
        kid = keys[verify_block(block, payload, keys)].kid
    except SuitError as error:
        state = error.reason
    return {
        "algorithm": known.get(block.algorithm or 0, f"unknown ({block.algorithm})"),
        "key": None if kid is None else names.get(kid, kid.hex()),
        "state": state.slug,
    }


def _envelope_parts(envelope: Envelope) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if envelope.severed:
        table["severed"] = {section.name.lower(): len(content) for section, content in envelope.severed.items()}
    if envelope.payloads:
        table["payloads"] = {clean(name): len(content) for name, content in envelope.payloads.items()}
    return table


def _manifest_table(manifest: Manifest, envelope: Envelope) -> dict[str, Any]:
    table: dict[str, Any] = {
        "sequence": manifest.sequence_number,
        "components": [component_name(component) for component in manifest.components],
    }
    if manifest.component_id is not None:
        table["manifest_component"] = component_name(manifest.component_id)
    if manifest.reference_uri is not None:
        table["reference_uri"] = clean(manifest.reference_uri)
    if manifest.set_version is not None:
        table["version"] = version_text(manifest.set_version)
    names = _Names(manifest.components)
    steps: dict[str, Any] = {}
    if manifest.shared is not None:
        steps["before each of the following"] = names.steps(manifest.shared)
    order = [*_SECTION_WORDS]
    for section, content in sorted(manifest.sequences.items(), key=lambda item: order.index(item[0])):
        sequence = _severed_sequence(section, content, envelope) if isinstance(content, Digest) else content
        steps[_SECTION_WORDS[section]] = "cut away" if sequence is None else names.steps(sequence)
    table["steps"] = steps
    table |= _texts(manifest, envelope) | _software(manifest, envelope)
    return table


def _severed(section: Section, digest: Digest, content: bytes | None) -> bytes | None:
    """The severed content, if it is there; it must be the signed one."""
    if content is not None and digest_of(content) != digest:
        raise SuitError(Reason.MANIFEST_DIGEST, where=section.name.lower())
    return content


def _severed_sequence(section: Section, digest: Digest, envelope: Envelope) -> Commands | None:
    found = _severed(section, digest, envelope.severed.get(section))
    return None if found is None else decode_sequence(found, envelope.dialect, section.name.lower())


def _texts(manifest: Manifest, envelope: Envelope) -> dict[str, Any]:
    texts = manifest.text
    if isinstance(texts, Digest):
        content = _severed(Section.TEXT, texts, envelope.severed.get(Section.TEXT))
        texts = None if content is None else Texts.decode(content)
    if texts is None:
        return {}
    languages: dict[str, Any] = {}
    for tag, language in texts.languages.items():
        about: dict[str, Any] = {_key_name(TextKey, key): clean(text) for key, text in language.manifest.items()}
        for component, lines in language.components.items():
            about[component_name(component)] = {
                _key_name(ComponentTextKey, key): clean(text) for key, text in lines.items()
            }
        languages[clean(tag)] = about
    return {"texts": languages}


def _key_name(enumeration: type[TextKey] | type[ComponentTextKey], key: int) -> str:
    return enumeration(key).name.lower() if key in set(enumeration) else str(key)


def _software(manifest: Manifest, envelope: Envelope) -> dict[str, Any]:
    tag = manifest.coswid
    if isinstance(tag, Digest):
        tag = _severed(Section.COSWID, tag, envelope.severed.get(Section.COSWID))
    if tag is None:
        return {}
    return {"software": {key: clean(value) for key, value in coswid.summary(tag).items()}}


def version_text(version: Iterable[int]) -> str:
    """1.2.3-beta.4 for (1, 2, 3, -2, 4)."""
    names = {-1: "rc", -2: "beta", -3: "alpha"}
    text = ""
    for part in version:
        text += f"-{names.get(part, part)}" if part < 0 else f"{'.' if text else ''}{part}"
    return text


class _Names:
    """Commands in words, with the names of the components."""

    def __init__(self, components: Sequence[ComponentId]) -> None:
        self.components = components
        self.left = MAX_COMMANDS

    def component(self, index: int) -> str:
        return component_name(self.components[index]) if index < len(self.components) else f"component {index}"

    def steps(self, sequence: Commands) -> list[Any]:
        lines: list[Any] = []
        for command in sequence:
            if self.left <= 0:
                return [*lines, "…"]
            self.left -= 1
            lines += self.words(command)
        return lines

    def words(self, command: AnyCommand) -> list[Any]:
        if isinstance(command, (Condition, Directive)):
            return [_COMMAND_WORDS[command.command]]
        if isinstance(command, SetComponentIndex):
            return [f"for {self.selection(command.index)}:"]
        if isinstance(command, SetParameters):
            verb = "set" if command.override else "set where unset"
            return [f"{verb} {self.parameter(key, value)}" for key, value in command.values.items()]
        if isinstance(command, TryEach):
            branches = [["do nothing"] if branch is None else self.steps(branch) for branch in command.branches]
            return [{"the first of these that succeeds": branches}]
        if isinstance(command, RunSequence):
            return [{"in one go": self.steps(command.sequence)}]
        assert isinstance(command, Custom)
        return [f"command {command.number}: {clean(repr(command.argument))}"]

    def selection(self, index: int | bool | tuple[int, ...]) -> str:
        if index is True:
            return "all components"
        return ", ".join(self.component(item) for item in (index if isinstance(index, tuple) else (index,)))

    def parameter(self, key: int, value: Any) -> str:
        if key < 0:
            return f"parameter {key} = {clean(repr(value))}"
        name = Parameter(key).name.lower().replace("_", " ")
        return f"{name} = {self.value(Parameter(key), value)}"

    def value(self, parameter: Parameter, value: Any) -> str:
        words: dict[Parameter, Callable[[Any], str]] = {
            Parameter.IMAGE_SIZE: lambda size: f"{size:,} bytes",
            Parameter.SOURCE_COMPONENT: self.component,
            Parameter.USE_BEFORE: _moment,
            Parameter.URI: clean,
            Parameter.ENCRYPTION_INFO: lambda info: f"{len(info)} bytes of COSE",
        }
        if parameter in words:
            return words[parameter](value)
        if isinstance(value, Digest):
            return f"{value.algorithm.name.lower().replace('_', '-')} {value.value.hex()}"
        if isinstance(value, VersionMatch):
            return f"{_COMPARISONS[value.comparison]} {version_text(value.version)}"
        if isinstance(value, bytes):
            return _uuid(value) if parameter in _UUIDS else f"{len(value)} bytes {value[:16].hex()}"
        return clean(str(value))


_UUIDS = {Parameter.VENDOR_IDENTIFIER, Parameter.CLASS_IDENTIFIER, Parameter.DEVICE_IDENTIFIER}


def _uuid(value: bytes) -> str:
    text = value.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"


def render(table: Mapping[str, Any], console: Console) -> None:
    """The table as text."""
    from rich.text import Text

    style = {"authentic": "bold green", "refused": "bold red"}.get(table["verdict"], "bold yellow")
    console.print(Text.assemble((str(table["verdict"]), style), f": {table['why']}"), soft_wrap=True)
    for key, value in table.items():
        if key not in {"verdict", "why", "reason"}:
            _print(key.replace("_", " "), value, 0, console)


def _print(name: str, value: Any, depth: int, console: Console) -> None:
    from rich.text import Text

    indent = "  " * depth
    if isinstance(value, Mapping) and value:
        console.print(Text(f"{indent}{name}:"), soft_wrap=True)
        for key, item in value.items():
            _print(str(key), item, depth + 1, console)
    elif isinstance(value, list) and value:
        console.print(Text(f"{indent}{name}:"), soft_wrap=True)
        for item in value:
            _print_item(item, depth + 1, console)
    else:
        console.print(Text(f"{indent}{name}: {value}"), soft_wrap=True)


def _print_item(item: Any, depth: int, console: Console) -> None:
    from rich.text import Text

    if isinstance(item, Mapping) and "state" in item:
        state = "good" if item["state"] == "ok" else item["state"]
        line = f"{state}: {item['algorithm']} by {item['key'] or 'a key that is not named'}"
        console.print(Text("  " * depth + line), soft_wrap=True)
    elif isinstance(item, Mapping):
        for key, value in item.items():
            _print(str(key), value, depth, console)
    elif isinstance(item, list):
        console.print(Text("  " * depth + "-"), soft_wrap=True)
        for line in item:
            _print_item(line, depth + 1, console)
    else:
        console.print(Text("  " * depth + str(item)), soft_wrap=True)
