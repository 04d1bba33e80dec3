"""Bundles: packed updates that were published for the fleet. A pack is a folder with manifest.suit and its payloads.

A bundle's files are served under /b/ID/NAME, ID being the first 16 hexadecimal digits of the SHA-256 of the manifest,
and payloads under the paths by which the manifest names them. A path has the same content for ever, or none.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from tinyops.errors import UsageError
from tinyops.suit import Envelope, Manifest, Reason, SuitError
from tinyops.suit.commands import Digest, RunSequence, SetComponentIndex, SetParameters, TryEach, decode_sequence
from tinyops.suit.receiver.authenticate import authenticate
from tinyops.suit.registry import ENVELOPE_TAG, SEQUENCES, Parameter, Section
from tinyops.update import audit
from tinyops.update.campaign import DRAFT, ENDED, OFFERING
from tinyops.update.database import Database, FleetError
from tinyops.update.keystore import Keystore
from tinyops.update.store import MAX_FILE, Store
from tinyops.update.tables import MANIFEST, Bundle, BundleFile, Campaign

_MAX_MANIFEST = 64 << 10
_MAX_FILES = 64
_MAX_PATH = 127
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_ID = re.compile(r"[0-9a-f]{16,64}")
_PAYLOADS = ("*.bin", "*.suit")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fleet must know of a manifest. `digest` is that of the model; `uris` are those of all payloads."""

    sequence: int
    component: str
    class_id: uuid.UUID | None
    digest: bytes | None
    use_before: int | None
    encrypted: bool
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was read: its files by name, the manifest among them, and their paths in the manifest."""

    name: str
    files: dict[str, bytes]
    paths: dict[str, str]
    facts: Facts

    @property
    def id(self) -> str:
        return hashlib.sha256(self.files[MANIFEST]).hexdigest()


@dataclass(slots=True)
class _Seen:
    """Parameters of one component."""

    values: dict[int, Any] = field(default_factory=dict)
    uris: list[str] = field(default_factory=list)


def read_pack(folder: Path, keystore: Keystore, now: float) -> Pack:
    """The pack in `folder`, signed by a key of the keystore that is not revoked, and not expired.

    UsageError when the folder is none, SuitError for a manifest that devices would refuse.
    """
    if not folder.is_dir():
        raise UsageError("is no folder", where=str(folder), allowed="what `tinyops update pack` wrote")
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"has no {MANIFEST}", where=str(folder), allowed="what `tinyops update pack` wrote")
    paths = sorted({path for pattern in _PAYLOADS for path in folder.glob(pattern) if path.is_file()})
    if len(paths) > _MAX_FILES:
        raise UsageError(f"has {len(paths)} files", where=str(folder), allowed=f"up to {_MAX_FILES}")
    bad = [path.name for path in paths if not _NAME.fullmatch(path.name)]
    if bad:
        raise UsageError(
            f"the file {bad[0]!r} cannot be published", where=str(folder), allowed="letters, digits, . _ -"
        )
    for path in paths:
        most = _MAX_MANIFEST if path.name == MANIFEST else MAX_FILE
        if path.stat().st_size > most:
            raise UsageError(f"is over {most:,} bytes", where=str(path))
    files = {path.name: path.read_bytes() for path in paths}
    if files[MANIFEST][:1] and not files[MANIFEST].startswith(bytes((0xD8, ENVELOPE_TAG))):
        raise UsageError(
            "its manifest is not of the final dialect, and devices of others do not check in",
            where=str(folder),
            hint="tinyops update push",
        )
    _verify(files[MANIFEST], keystore, folder)
    envelope = Envelope.decode(files[MANIFEST])
    facts = facts_of(envelope.model(), envelope.severed)
    if facts.use_before is not None and facts.use_before <= now:
        raise SuitError(Reason.EXPIRED, f"use before {_utc(facts.use_before)}", where=str(folder))
    outside = [uri for uri in facts.uris if uri not in envelope.payloads]
    whole = (hashlib.sha256(content).digest() for content in (*files.values(), *envelope.payloads.values()))
    if facts.digest is not None and not facts.encrypted and facts.digest not in whole:
        hint = f"the whole pack again; tinyops update inspect {folder} tells more"
        raise SuitError(Reason.IMAGE_DIGEST, "no file of the pack has it", where=str(folder), hint=hint)
    return Pack(folder.resolve().name, files, _paths(outside, files, folder), facts)


def _verify(envelope: bytes, keystore: Keystore, folder: Path) -> None:
    """SuitError unless a key of the keystore vouches for the manifest."""
    keys = keystore.verification_keys()
    try:
        authenticate(envelope, keys, _MAX_MANIFEST)
    except SuitError as refused:
        hint = "tinyops keys list" if refused.reason in (Reason.UNKNOWN_KEY, Reason.REVOKED_KEY) else None
        raise SuitError(refused.reason, refused.detail, where=str(folder / MANIFEST), hint=hint) from refused


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _paths(uris: Sequence[str], files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """The path of each payload by its name; the last part of a URI is a file's name, or its digest's first digits."""
    paths: dict[str, str] = {}
    for uri in uris:
        path = uri_path(uri)
        last = path.rsplit("/", 1)[-1]
        names = [name for name in files if last == name or _is_digest(last.split(".")[0], files[name])]
        if not names or names[0] == MANIFEST or len(path) > _MAX_PATH:
            raise FleetError(
                f"the payload {uri[:80]} is none of the files: it is missing, or was changed",
                where=str(folder),
                hint=f"the whole pack again; tinyops update inspect {folder} tells more",
            )
        if "/" not in path:
            raise UsageError(
                f"the manifest names its payload {uri} by the name of a file, which another update may have as well",
                where=str(folder),
                allowed="a path, such as /p/ and the first 16 hexadecimal digits of its SHA-256",
            )
        paths[names[0]] = path
    return paths


def uri_path(uri: str) -> str:
    """The path of a coap URI, or of a reference to the same server, without the first slash."""
    _, separator, rest = uri.partition("://")
    return (rest.partition("/")[2] if separator else uri).lstrip("/")


def _is_digest(text: str, content: bytes) -> bool:
    return _ID.fullmatch(text) is not None and hashlib.sha256(content).hexdigest().startswith(text)


def facts_of(manifest: Manifest, severed: Mapping[Section, bytes]) -> Facts:
    """The facts of a manifest and its severed parts. Of several components campaigns watch the model, or the first."""
    seen = [_Seen() for _ in manifest.components]
    outside = (decode_sequence(severed[section]) for section in SEQUENCES if section in severed)
    for sequence in (manifest.shared, *manifest.sequences.values(), *outside):
        if isinstance(sequence, tuple):
            _walk(sequence, seen, [0])
    names = ["/".join(part.decode("utf-8", "backslashreplace") for part in parts) for parts in manifest.components]
    if not names:
        raise UsageError("the manifest changes no component", where=MANIFEST)
    watched = names.index("model") if "model" in names else 0
    values = seen[watched].values
    class_id, digest = values.get(Parameter.CLASS_IDENTIFIER), values.get(Parameter.IMAGE_DIGEST)
    return Facts(
        sequence=manifest.sequence_number,
        component=names[watched][:48],
        class_id=uuid.UUID(bytes=class_id) if isinstance(class_id, bytes) and len(class_id) == 16 else None,
        digest=digest.value if isinstance(digest, Digest) and names[watched] == "model" else None,
        use_before=values.get(Parameter.USE_BEFORE),
        encrypted=Parameter.ENCRYPTION_INFO in values,
        uris=tuple(dict.fromkeys(uri for component in seen for uri in component.uris)),
    )


def _walk(sequence: Sequence[object], seen: list[_Seen], current: list[int]) -> None:
    """Collect parameters; a later one counts, as it does on the device. The depth is bounded by the decoder."""
    for command in sequence:
        if isinstance(command, SetComponentIndex):
            current[:] = _indexes(command.index, len(seen))
        elif isinstance(command, SetParameters):
            for index in current:
                if index < len(seen):
                    seen[index].values.update(command.values)
                    if isinstance(uri := command.values.get(Parameter.URI), str):
                        seen[index].uris.append(uri)
        elif isinstance(command, TryEach):
            for branch in command.branches:
                _walk(branch or (), seen, current)
        elif isinstance(command, RunSequence):
            _walk(command.sequence, seen, current)


def _indexes(index: int | bool | tuple[int, ...], count: int) -> Iterator[int]:
    if index is True:
        return iter(range(count))
    return iter(index if isinstance(index, tuple) else (int(index),))


def publish(database: Database, store: Store, pack: Pack, now: float, actor: str) -> Bundle:
    """Make a pack known to the fleet: all of it, or nothing. A pack that is known already is left as it is.

    FleetError for a downgrade: a sequence number that is not above those of the same class and component.
    """
    added: list[bytes] = []
    try:
        with database.write() as session:
            known = session.get(Bundle, pack.id, options=[selectinload(Bundle.files)])
            if known is None or known.withdrawn is not None:
                _refuse_downgrade(session, pack)
                _refuse_taken_path(session, pack)
            for name, content in sorted(pack.files.items()):
                digest = hashlib.sha256(content).digest()
                if not store.has(digest, len(content)):
                    store.add(content, name)
                    added.append(digest)
            if known is not None and known.withdrawn is None:
                return known
            bundle = known or _new_bundle(session, pack, now)
            bundle.withdrawn = None
            session.flush()
            details = {"update": bundle.id, "name": bundle.name, "sequence": bundle.sequence}
            audit.record(session, now, actor, "update publish", details)
            return bundle
    except BaseException:
        for digest in added:
            store.remove(digest)
        raise


def _new_bundle(session: Session, pack: Pack, now: float) -> Bundle:
    facts = pack.facts
    files = [
        BundleFile(
            bundle_id=pack.id,
            name=name,
            digest=hashlib.sha256(content).digest(),
            size=len(content),
            path=pack.paths.get(name),
        )
        for name, content in pack.files.items()
    ]
    bundle = Bundle(
        id=pack.id,
        name=pack.name[:48],
        component=facts.component,
        sequence=facts.sequence,
        class_id=facts.class_id,
        digest=facts.digest,
        published=now,
        files=files,
    )
    session.add(bundle)
    return bundle


def _refuse_downgrade(session: Session, pack: Pack) -> None:
    facts = pack.facts
    newest = session.scalar(
        select(func.max(Bundle.sequence)).where(
            Bundle.component == facts.component, Bundle.class_id == facts.class_id, Bundle.id != pack.id
        )
    )
    if newest is not None and facts.sequence <= newest:
        raise FleetError(
            f"its sequence number {facts.sequence} is not above {newest}, which was published for the same class: "
            "devices that have it refuse this one",
            where=pack.name,
            hint=f"tinyops update pack ... --sequence {newest + 1}",
        )


def _refuse_taken_path(session: Session, pack: Pack) -> None:
    for name, path in pack.paths.items():
        digest = hashlib.sha256(pack.files[name]).digest()
        taken = select(Bundle.name).join(BundleFile, BundleFile.bundle_id == Bundle.id)
        other = session.scalar(taken.where(BundleFile.path == path, BundleFile.digest != digest).limit(1))
        if other is not None:
            raise FleetError(
                f"the path {path} of {name} has other content in the update {other!r}; a device that is in the middle "
                "of a download would mix them",
                where=pack.name,
                hint="tinyops update pack ... --server coap://HOST, or other URIs",
            )


def withdraw(database: Database, store: Store, text: str, now: float, actor: str) -> Bundle:
    """Take a bundle back: its files are removed, unless a campaign that has not ended needs them."""
    with database.write() as session:
        bundle = find(session, text)
        users = session.scalars(
            select(Campaign.name).where(Campaign.bundle_id == bundle.id, Campaign.state.not_in(ENDED))
        ).all()
        if users:
            raise FleetError(
                f"the rollout {users[0]} needs it", where=bundle.name, hint=f"tinyops update rollout abort {users[0]}"
            )
        if bundle.withdrawn is None:
            bundle.withdrawn = now
            session.flush()
            audit.record(session, now, actor, "update withdraw", {"update": bundle.id, "name": bundle.name})
        still = select(BundleFile.digest).join(Bundle, Bundle.id == BundleFile.bundle_id)
        needed = set(session.scalars(still.where(Bundle.withdrawn.is_(None))))
    for file in bundle.files:
        if file.digest not in needed:
            store.remove(file.digest)
    return bundle


def find(session: Session, text: str) -> Bundle:
    """The bundle with this id (16 digits or more) or, of those with this name, the newest."""
    query = select(Bundle).options(selectinload(Bundle.files)).order_by(Bundle.sequence.desc(), Bundle.published.desc())
    query = query.where(Bundle.id.startswith(text) if _ID.fullmatch(text) else Bundle.name == text)
    bundle = session.scalars(query).first()
    if bundle is None:
        raise FleetError(
            "there is no such published update, and no such pack", where=text, hint="tinyops update published"
        )
    return bundle


@dataclass(frozen=True, slots=True)
class Served:
    """A file that the server gives out; `open` says whether it does so now (a paused campaign's is not)."""

    digest: bytes
    size: int
    open: bool


def lookup(session: Session, path: Sequence[str]) -> Served | None:
    """The file at a path, ("b", ID, NAME) or one of a manifest; None where there is none, or not any more.

    A bundle that campaigns use is served while one of them offers it; one that none uses, for updates by hand, always.
    """
    query = select(BundleFile.digest, BundleFile.size, Bundle.id).join(Bundle, Bundle.id == BundleFile.bundle_id)
    query = query.where(Bundle.withdrawn.is_(None))
    if len(path) == 3 and path[0] == "b" and re.fullmatch(r"[0-9a-f]{16}", path[1]):
        query = query.where(Bundle.id.startswith(path[1]), BundleFile.name == path[2])
    elif path:
        query = query.where(BundleFile.path == "/".join(path)[: _MAX_PATH + 1])
    else:
        return None
    paused = None
    for digest, size, bundle in session.execute(query):
        states = set(session.scalars(select(Campaign.state).where(Campaign.bundle_id == bundle)))
        if not states - {DRAFT} or states & set(OFFERING) or "finished" in states:
            return Served(digest, size, True)
        if states - set(ENDED) - {DRAFT}:
            paused = Served(digest, size, False)
    return paused


def as_dict(bundle: Bundle) -> dict[str, Any]:
    """A bundle for `--json`."""
    return {
        "id": bundle.id,
        "name": bundle.name,
        "component": bundle.component,
        "sequence": bundle.sequence,
        "class": str(bundle.class_id) if bundle.class_id else None,
        "digest": bundle.digest.hex() if bundle.digest else None,
        "path": bundle.path,
        "published": bundle.published,
        "withdrawn": bundle.withdrawn,
        "files": {file.name: {"bytes": file.size, "digest": file.digest.hex()} for file in bundle.files},
    }
