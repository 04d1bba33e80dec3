"""What a file of an update holds, as a table of plain values: manifests, capsules, deltas, packs, firmware images.

Files may be hostile: sizes are bounded, parsers strict, texts made harmless. `ok` says whether everything that can be
verified was verified: a manifest needs a key that signed it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.emit.capsule import MAGIC as CAPSULE_MAGIC
from tinyops.emit.capsule import Capsule, PortSpec, read_capsule
from tinyops.errors import TinyopsError, UsageError
from tinyops.suit import KEYS, MODEL, Envelope, Manifest, Reason, SuitError, cbor
from tinyops.suit.commands import (
    ComponentId,
    Condition,
    Digest,
    RunSequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
)
from tinyops.suit.commands import Sequence as Commands
from tinyops.suit.describe import clean, component_name, describe
from tinyops.suit.keys import Key, Role
from tinyops.suit.registry import Command, Parameter, ReportReason, Section
from tinyops.suit.report import SuitReport
from tinyops.update.files import read_file
from tinyops.update.firmware_image import ImageFormat, ImageLayout, read_image
from tinyops.update.pack import MANIFEST, PACK

MAX_FILE = 1 << 28
_DELTA_MAGIC = b"TOD1"
_DELTA_HEADER = struct.Struct("<4s2B2x2I32s32s")
_MCUBOOT_MAGIC = struct.pack("<I", 0x96F3B83D)
_MCUBOOT_FIELDS = struct.Struct("<8xHxxI4xBBHI")
_RIOTBOOT_MAGIC = b"RIOT"
_RIOTBOOT_FIELDS = struct.Struct("<4x2I")

#: Keys below it hold the digest of the image for slot 0, 1, ...; no parameter has such a number.
_BY_SLOT = -(1 << 40)

Keys = Sequence[Key]
Names = Mapping[bytes, str]


def inspect_path(path: Path, keys: Keys = (), names: Names | None = None) -> dict[str, Any]:
    """The table of a file or of a pack's folder; `keys` verify, `names` call them by their identifiers."""
    if path.is_dir():
        return _pack(path, keys, names or {})
    return inspect_bytes(read_file(path, MAX_FILE), keys, names)


def inspect_bytes(data: bytes, keys: Keys = (), names: Names | None = None) -> dict[str, Any]:
    """The table of a file's content, whose kind is told by its first bytes."""
    if data.startswith(CAPSULE_MAGIC):
        return _guarded("capsule", lambda: _capsule(read_capsule(data), data))
    if data.startswith(_DELTA_MAGIC):
        return _guarded("delta", lambda: _delta(data))
    if data.startswith(_MCUBOOT_MAGIC):
        return _guarded("mcuboot image", lambda: _mcuboot(data))
    if data.startswith(_RIOTBOOT_MAGIC):
        return _guarded("riotboot image", lambda: _riotboot(data))
    if (report := _report(data)) is not None:
        return report
    table = describe(data, keys, names)
    if table["verdict"] == "authentic":
        role = Role.ROOT if component_name(KEYS) in table["components"] else Role.SIGNER
        if describe(data, [key for key in keys if key.roles & role])["verdict"] != "authentic":
            table |= {"verdict": "refused", "reason": Reason.UNAUTHORIZED.slug}
            table["why"] = f"the key that signed is not a {role.name.lower()} key"  # type: ignore[union-attr]
    table = {"kind": "manifest", "ok": table["verdict"] == "authentic", **table}
    revoked = _revoked_keys(data, names or {})
    return table | {"revokes": revoked} if revoked else table


def _revoked_keys(envelope: bytes, names: Names) -> list[str]:
    """The keys that a manifest for the component ["keys"] revokes, by name where that is known."""
    try:
        manifest = Envelope.decode(envelope).model()
        if KEYS not in manifest.components:
            return []
        commands = manifest.sequences.get(Section.INSTALL, ())
        steps = commands if isinstance(commands, tuple) else ()
        contents = [step.values.get(Parameter.CONTENT) for step in steps if isinstance(step, SetParameters)]
        kids = [kid for content in contents if isinstance(content, bytes) for kid in cbor.decode(content)]
    except (TinyopsError, cbor.CborError, TypeError):
        return []
    return [names.get(kid, kid.hex()) for kid in kids if isinstance(kid, bytes)]


def _report(data: bytes) -> dict[str, Any] | None:
    """The table of a suit-report, None of anything else. Nothing in it is signed: it is what a device says."""
    try:
        report = SuitReport.decode(data)
    except SuitError:
        return None
    failure = report.failure
    table: dict[str, Any] = {"kind": "suit-report", "ok": True, "bytes": len(data)}
    if report.manifest_uri:
        table["of"] = clean(report.manifest_uri)
    if report.manifest_digest is not None:
        table["manifest_sha256"] = report.manifest_digest.value.hex()
    pending = failure is not None and failure.reason is ReportReason.INVOKE_PENDING
    table["carried_out"] = "yes" if failure is None else "it is on trial, or about to be" if pending else "no"
    if failure is not None and not pending:
        reason = next((reason for reason in Reason if reason == failure.code), None)
        table["because"] = failure.code if reason is None else f"{reason.text} ({reason.slug})"
        table["at"] = {"section": failure.record.section, "command": failure.record.offset}
    return table


def _guarded(kind: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The table, or why there is none."""
    try:
        table = read()
    except TinyopsError as error:
        reason = getattr(error, "reason", None)
        return {"kind": kind, "ok": False, "reason": reason.slug if reason else None, "why": clean(error.what)}
    return {"kind": kind, "ok": True, **table}


def _capsule(capsule: Capsule, data: bytes) -> dict[str, Any]:
    seeds = [vector.seed for vector in capsule.golden if vector.inputs is None]
    return {
        "name": clean(capsule.name),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "model_sha256": capsule.model_digest.hex(),
        "plan": capsule.plan.hex(),
        "kernel_abi": capsule.kernel_abi.hex(),
        "arena_bytes": capsule.arena_bytes,
        "state_bytes": capsule.state_bytes,
        "data_bytes": len(capsule.data),
        "inputs": [_port(port) for port in capsule.inputs],
        "outputs": [_port(port) for port in capsule.outputs],
        "golden": {"vectors": len(capsule.golden), "recorded": len(capsule.golden) - len(seeds)},
        "metadata": {clean(str(key)): _plain(value) for key, value in capsule.metadata.items()},
    }


def _port(port: PortSpec) -> str:
    scale = f", scale {port.scale:g}, zero point {port.zero_point}" if port.scale else ""
    return f"{port.dtype} {list(port.shape)}{scale}"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (int, float, bool)) else clean(str(value))


def _delta(data: bytes) -> dict[str, Any]:
    if len(data) < _DELTA_HEADER.size:
        raise TinyopsError("the header is cut off")
    _, method, lanes, base_bytes, result_bytes, base, result = _DELTA_HEADER.unpack_from(data)
    if method != 1 or lanes not in (1, 2, 4) or not base_bytes or not result_bytes:
        raise TinyopsError("the header is malformed")
    return {
        "bytes": len(data),
        "base_bytes": base_bytes,
        "base_sha256": base.hex(),
        "result_bytes": result_bytes,
        "result_sha256": result.hex(),
        "share": f"{100 * len(data) / result_bytes:.1f} % of the whole",
    }


def _mcuboot(data: bytes) -> dict[str, Any]:
    if len(data) < 32:
        raise TinyopsError("the header is cut off")
    header, size, *version = _MCUBOOT_FIELDS.unpack_from(data)
    firmware = read_image(data, ImageFormat.MCUBOOT, ImageLayout())
    return {
        "bytes": len(data),
        "version": "{}.{}.{}+{}".format(*version),
        "header_bytes": header,
        "firmware_bytes": size,
        "firmware_sha256": hashlib.sha256(firmware).hexdigest(),
    }


def _riotboot(data: bytes) -> dict[str, Any]:
    read_image(data, ImageFormat.RIOTBOOT, ImageLayout())
    version, start = _RIOTBOOT_FIELDS.unpack_from(data)
    return {"bytes": len(data), "version": version, "start_address": f"{start:#010x}"}


# -- packs -----------------------------------------------------------------------------------------------------------


def _pack(folder: Path, keys: Keys, names: Names) -> dict[str, Any]:
    """A pack: its manifest, and whether its files are those that the manifest promises."""
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"has no {MANIFEST}", where=str(folder), allowed="what `tinyops update pack` wrote, or a file")
    data = read_file(folder / MANIFEST, MAX_FILE)
    manifest = inspect_bytes(data, keys, names)
    contents = {
        path.name: read_file(path, MAX_FILE)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, PACK)
    }
    files = {name: _file(content) for name, content in contents.items()}
    wrong = _broken_promises(data, contents, files)
    table: dict[str, Any] = {"kind": "pack", "ok": manifest["ok"] and not wrong}
    if wrong:
        table["why"] = "; ".join(wrong)
    elif not manifest["ok"]:
        table["why"] = "its manifest is not authentic"
    return {**table, "manifest": manifest, "files": files}


def _file(content: bytes) -> dict[str, Any]:
    table: dict[str, Any] = {"kind": "file", "ok": True}
    if content.startswith((CAPSULE_MAGIC, _DELTA_MAGIC, _MCUBOOT_MAGIC, _RIOTBOOT_MAGIC)):
        table = inspect_bytes(content)
    return {**table, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _broken_promises(
    envelope: bytes, contents: Mapping[str, bytes], files: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What of a manifest's payloads is not there or not as it says."""
    try:
        parsed = Envelope.decode(envelope)
        promises = find_promises(parsed.model())
    except TinyopsError:
        return []  # the manifest's own verdict tells
    wrong = []
    for uri, promise in promises.items():
        if uri in parsed.payloads:
            continue
        last = uri.rsplit("/", 1)[-1]
        name = next((n for n, file in files.items() if n == last or file["sha256"].startswith(last)), None)
        if name is None:
            wrong.append(f"{clean(uri)} is none of the files here: it is missing, or was changed")
            continue
        plain = contents.get(f"{Path(name).stem}.plain") if promise.encrypted else contents[name]
        if promise.delta and promise.component == MODEL and not promise.encrypted:
            fits = files[name].get("result_sha256") == promise.digest.hex()
        elif promise.delta or plain is None:
            fits = True
        else:
            fits = hashlib.sha256(plain).digest() == promise.digest
        if not (fits and files[name]["ok"]):
            wrong.append(f"{clean(name)} is not what the manifest promises")
    return wrong


@dataclass(frozen=True, slots=True)
class Promise:
    """What the payload at a URI makes: an image of `component` with this SHA-256."""

    component: ComponentId
    digest: bytes
    delta: bool
    encrypted: bool


def find_promises(manifest: Manifest) -> dict[str, Promise]:
    """URI -> promise, of all that a manifest sets with a digest in effect."""
    found: dict[str, Promise] = {}
    values: list[dict[int, Any]] = [{} for _ in manifest.components]
    for commands in (manifest.shared, *manifest.sequences.values()):
        if isinstance(commands, tuple):
            _collect(commands, manifest.components, values, [0], found, delta=False)
    return found


def _collect(
    commands: Commands,
    names: Sequence[ComponentId],
    values: list[dict[int, Any]],
    current: list[int],
    found: dict[str, Promise],
    *,
    delta: bool,
) -> None:
    for command in commands:
        if isinstance(command, SetComponentIndex):
            index = command.index
            chosen = range(len(values)) if index is True else index if isinstance(index, tuple) else (int(index),)
            current[:] = [k for k in chosen if k < len(values)]
        elif isinstance(command, SetParameters):
            for k in current:
                values[k].update(command.values)
                place = _BY_SLOT - values[k].get(Parameter.COMPONENT_SLOT, 0)
                uri, digest = command.values.get(Parameter.URI), command.values.get(Parameter.IMAGE_DIGEST)
                digest = values[k][place] = digest or values[k].get(place) or values[k].get(Parameter.IMAGE_DIGEST)
                if isinstance(uri, str) and isinstance(digest, Digest):
                    found[uri] = Promise(names[k], digest.value, delta, Parameter.ENCRYPTION_INFO in command.values)
        elif isinstance(command, TryEach):
            for branch in command.branches:
                conditional = Condition(Command.IMAGE_MATCH) in (branch or ())
                _collect(branch or (), names, values, current, found, delta=delta or conditional)
                for table in values:
                    table.pop(Parameter.COMPONENT_SLOT, None)
        elif isinstance(command, RunSequence):
            _collect(command.sequence, names, values, current, found, delta=delta)
