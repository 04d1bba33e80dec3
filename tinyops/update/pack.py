"""Packs: a folder with a signed manifest and all that it names, ready to be pushed or published.

    manifest.suit       the signed envelope
    capsule.bin         the model as it is sent: the capsule, or its ciphertext
    delta-DIGEST.bin    the same from the capsule with that digest (its first 8 digits), where that is worth it
    firmware.bin        a firmware image, and firmware-delta-DIGEST.bin
    capsule.plain       the capsule where capsule.bin is encrypted, for later deltas; it is never published
    pack.json           what is inside, for machines

A pack is made as a whole or not at all: it is written to a folder beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tinyops import __version__
from tinyops.errors import TinyopsError, UsageError
from tinyops.suit import FINAL, Delta, Envelope, Image, SlotImage, UpdateDescription, coswid, emit, sign
from tinyops.suit.commands import ComponentId
from tinyops.suit.describe import describe
from tinyops.suit.encryption import Recipient, encrypt
from tinyops.suit.manifest import LanguageTexts
from tinyops.suit.registry import Algorithm as Cose
from tinyops.suit.registry import Dialect, DialectName, TextKey
from tinyops.update.files import read_file
from tinyops.update.rehearsal import Stage, rehearse
from tinyops.update.signing import Signer
from tinyops.update.target import Target

MANIFEST, PACK = "manifest.suit", "pack.json"
#: What devices have room for where they were not built with more.
ENVELOPE_BYTES, ENVELOPE_BYTES_HSSLMS = 1024, 4096
#: A delta is used when it has less than this part of the bytes of the whole.
WORTH = 0.6


@dataclass(frozen=True)
class Options:
    """What all images of an update have in common; None stands for "not at all".

    `sequence` is by default the Unix time. URIs are /p/DIGEST, at the server that the manifest comes from, or at
    `server` (coap://HOST). `recipients` are those that payloads are encrypted for, with `cipher`.
    """

    sequence: int | None = None
    dialect: DialectName = DialectName.FINAL
    server: str | None = None
    use_before: int | None = None
    device: UUID | None = None
    recipients: tuple[Recipient, ...] = ()
    cipher: Cose = Cose.A128CTR
    sbom: Path | None = None
    sbom_uri: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Payload:
    """Bytes that make an image, whole or as a delta from the image `base`."""

    file: str
    content: bytes
    base: bytes | None = None
    base_bytes: int = 0
    method: str | None = None


@dataclass(frozen=True)
class Part:
    """One component of an update: its image, the deltas that are worth having, and what pack.json tells of it.

    `other_slot` is the image for the second slot, where images are linked for their place; `whole` is for the first.
    """

    component: ComponentId
    image: bytes
    whole: Payload
    deltas: tuple[Payload, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    other_slot: Payload | None = None

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.image).digest()


@dataclass(frozen=True)
class Packed:
    """All files of a pack. Names ending in .plain are private."""

    files: Mapping[str, bytes]
    facts: dict[str, Any]


def default_sequence() -> int:
    """Seconds since 1970: ascends by itself, and is below 2^32 until 2106."""
    return int(time.time())


def choose_sequence(options: Options, target: Target, earlier: Sequence[tuple[int, str]]) -> int:
    """The sequence number of a new pack; TinyopsError when it is not above the factory's and those of `earlier` packs.

    `earlier` are (sequence, where it is from).
    """
    sequence = default_sequence() if options.sequence is None else options.sequence
    known = [*earlier, *([(target.sequence, "the firmware's build")] if target.sequence else [])]
    for before, where in known:
        if sequence <= before:
            raise TinyopsError(
                f"the sequence number {sequence} is not above {before} of {where}: devices that have that refuse it",
                allowed=f"--sequence {before + 1} or more",
            )
    if not 0 < sequence < 1 << 32:
        raise UsageError(f"the sequence number {sequence}", allowed="1 to 2^32 - 1")
    return sequence


def check_use_before(use_before: int | None) -> None:
    """TinyopsError for a time that has passed."""
    if use_before is not None and use_before <= time.time():
        when = datetime.fromtimestamp(use_before, UTC)
        raise TinyopsError(
            f"the update would be expired: use-before {when:%Y-%m-%d %H:%M:%S} UTC has passed",
            allowed="a time to come, such as +30d",
        )


@dataclass(frozen=True)
class Signing:
    """A key that signs, and what it is called."""

    name: str
    signer: Signer


def pack_parts(
    parts: Sequence[Part], target: Target, options: Options, keys: Sequence[Signing], sequence: int
) -> Packed:
    """Encrypt, describe, sign and check an update of `parts`; a device needs to trust one of the keys."""
    check_use_before(options.use_before)
    files: dict[str, bytes] = {}
    images, facts = [], []
    for part in parts:
        image, fact = _place(part, options, files)
        images.append(image)
        facts.append(fact)
    tag, sbom = _sbom(parts, target, options, sequence)
    update = UpdateDescription(
        sequence=sequence,
        vendor=target.vendor_id,
        class_id=target.class_id,
        images=tuple(images),
        device=options.device,
        use_before=options.use_before,
        coswid=tag,
        texts=_texts(options.text),
    )
    unsigned = emit(update, options.dialect)
    envelope = sign(unsigned, *(key.signer for key in keys))
    if unsigned.dialect is FINAL:
        _rehearse(envelope, parts, facts, target, options, keys, files)
    described: dict[str, Any] = {
        "vendor_id": str(target.vendor_id),
        "class_id": str(target.class_id),
        "board": target.board,
        "images": facts,
    }
    if options.use_before is not None:
        described["use_before"] = options.use_before
    if sbom is not None:
        described["sbom"] = sbom
    return finish(envelope, keys, files, described, unsigned.dialect)


def _rehearse(
    envelope: bytes,
    parts: Sequence[Part],
    facts: Sequence[Mapping[str, Any]],
    target: Target,
    options: Options,
    keys: Sequence[Signing],
    files: Mapping[str, bytes],
) -> None:
    payloads: dict[str, bytes] = {}
    for fact in facts:
        payloads |= {place["uri"]: files[place["file"]] for place in (fact, *fact["deltas"], *fact.get("slots", ()))}
    images = {
        part.component: (part.image, *(() if part.other_slot is None else (part.other_slot.content,))) for part in parts
    }
    for key in keys:
        trusted = [key.signer.public.key()]
        stage = Stage(target.vendor_id, target.class_id, trusted, payloads, options.device)
        rehearse(envelope, stage, images, options.recipients)


def finish(
    envelope: bytes, keys: Sequence[Signing], files: Mapping[str, bytes], facts: Mapping[str, Any], dialect: Dialect
) -> Packed:
    """Check an envelope as its receiver would, and add it and pack.json to the files."""
    signers = [key.signer for key in keys]
    _check(envelope, signers)
    room = ENVELOPE_BYTES_HSSLMS if any(s.algorithm == Cose.HSS_LMS for s in signers) else ENVELOPE_BYTES
    warnings = [
        f"{s.public.algorithm} is experimental: no device verifies it"
        for s in signers
        if s.public.algorithm.experimental
    ]
    if len(envelope) > room:
        warnings.append(
            f"the envelope has {len(envelope):,} bytes, and devices have room for {room:,} unless they were built with "
            "more"
        )
    if dialect.name is DialectName.RIOT_LEGACY and any("://" not in image["uri"] for image in facts.get("images", ())):
        warnings.append("RIOT fetches from full URIs alone: --server coap://HOST")
    table: dict[str, Any] = {
        "tinyops": __version__,
        "version": 1,
        "sequence": Envelope.decode(envelope, dialect).model().sequence_number,
        "dialect": str(dialect.name),
        "keys": [
            {"name": key.name, "kid": key.signer.kid.hex(), "algorithm": str(key.signer.public.algorithm)}
            for key in keys
        ],
        "manifest": {"file": MANIFEST, "bytes": len(envelope), "sha256": hashlib.sha256(envelope).hexdigest()},
        **facts,
        "warnings": [*warnings, *facts.get("warnings", ())],
    }
    text = json.dumps(table, indent=2) + "\n"
    return Packed({MANIFEST: envelope, **files, PACK: text.encode()}, table)


def _check(envelope: bytes, signers: Sequence[Signer]) -> None:
    """Every signature of a new envelope verifies, with its public key alone."""
    for signer in signers:
        found = describe(envelope, [signer.public.key()])
        if found["verdict"] != "authentic":
            raise TinyopsError(f"the new manifest does not verify: {found['why']}", hint="tinyops keys list")


def _place(part: Part, options: Options, files: dict[str, bytes]) -> tuple[Image, dict[str, Any]]:
    """Put a component's payloads into `files`, encrypted where that is wanted."""
    uri, info, sent = _send(part.whole, options, files)
    deltas, facts = [], []
    for delta in part.deltas:
        assert delta.base is not None
        there, delta_info, delta_sent = _send(delta, options, files)
        deltas.append(Delta(there, delta.base, delta.base_bytes, delta_info))
        facts.append(
            {
                "file": delta.file,
                "uri": there,
                "base_sha256": delta.base.hex(),
                "bytes": delta_sent,
                "method": delta.method,
            }
        )
    if options.recipients:
        files[f"{Path(part.whole.file).stem}.plain"] = part.image
    image = Image(part.component, part.digest, len(part.image), uri, deltas=tuple(deltas), encryption_info=info)
    slots = []
    if part.other_slot is not None:
        if options.recipients or part.deltas:
            raise UsageError("an image for two slots has neither deltas nor encryption")
        other, _, _ = _send(part.other_slot, options, files)
        slots = [(part.whole, uri), (part.other_slot, other)]
        image = Image(part.component, slots=tuple(_slot(k, *slot) for k, slot in enumerate(slots)))
    return image, {
        "component": "/".join(name.decode() for name in part.component),
        "file": part.whole.file,
        "uri": uri,
        "bytes": len(part.image),
        "sha256": part.digest.hex(),
        "sent_bytes": sent,
        "encrypted": str(options.cipher.name).lower() if options.recipients else None,
        "deltas": facts,
        **({"slots": [{"file": payload.file, "uri": where} for payload, where in slots]} if slots else {}),
        **part.facts,
    }


def _slot(number: int, payload: Payload, uri: str) -> SlotImage:
    return SlotImage(number, hashlib.sha256(payload.content).digest(), len(payload.content), uri)


def _send(payload: Payload, options: Options, files: dict[str, bytes]) -> tuple[str, bytes | None, int]:
    """(URI, encryption info, bytes) of a payload as it is sent."""
    content, info = payload.content, None
    if options.recipients:
        content, info = encrypt(content, options.recipients, options.cipher)
    if payload.file in files:
        raise UsageError(f"two payloads are called {payload.file}")
    files[payload.file] = content
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{(options.server or '').rstrip('/')}/p/{digest}", info, len(content)


def _sbom(
    parts: Sequence[Part], target: Target, options: Options, sequence: int
) -> tuple[bytes | None, dict[str, Any] | None]:
    """A CoSWID tag that refers to the bill of materials, and what pack.json says of it."""
    if options.sbom is None:
        return None, None
    content = read_file(options.sbom, 1 << 26)
    digest = hashlib.sha256(content).digest()
    uri = options.sbom_uri or options.sbom.name
    tag = coswid.sbom_reference(
        tag_id=f"{target.class_id}/{sequence}",
        name=str(parts[0].facts.get("name", target.name or "firmware")),
        version=str(sequence),
        creator=target.vendor,
        uri=uri,
        digest=digest,
        size=len(content),
        file=options.sbom.name,
    )
    return tag, {"uri": uri, "bytes": len(content), "sha256": digest.hex()}


def _texts(text: str | None) -> dict[str, LanguageTexts]:
    return {} if text is None else {"en": LanguageTexts({int(TextKey.UPDATE_DESCRIPTION): text})}


def worth_it(delta: bytes, whole: bytes) -> bool:
    """Whether a delta is small enough to be shipped."""
    return len(delta) < WORTH * len(whole)
