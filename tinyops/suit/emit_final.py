"""A manifest of draft-ietf-suit-manifest-37 out of an `UpdateDescription`.

Every sequence names its component first, every branch of a try-each sets all parameters that it relies on, and
vendor and class are checked for each component before anything else happens to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyops.suit.commands import (
    AnyCommand,
    Condition,
    Digest,
    Directive,
    Sequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
)
from tinyops.suit.manifest import Manifest, Texts, digest_of
from tinyops.suit.registry import Command, Parameter, Section
from tinyops.suit.update import Delta, Image, SlotImage, UpdateDescription


def build(update: UpdateDescription) -> tuple[Manifest, dict[Section, bytes]]:
    """The manifest and its severed members. The description has passed `rules.check_description`."""
    severed: dict[Section, bytes] = {}
    if update.texts:
        severed[Section.TEXT] = Texts(update.texts).encode()
    if update.coswid is not None:
        severed[Section.COSWID] = update.coswid
    manifest = Manifest(
        sequence_number=update.sequence,
        components=tuple(image.component for image in update.images),
        shared=shared_sequence(update),
        sequences=sequences(update),
        reference_uri=update.reference_uri,
        component_id=update.manifest_component,
        set_version=update.set_version,
        coswid=digest_of(severed[Section.COSWID]) if Section.COSWID in severed else None,
        text=digest_of(severed[Section.TEXT]) if Section.TEXT in severed else None,
    )
    return manifest, severed


def sequences(update: UpdateDescription) -> dict[Section, Sequence | Digest]:
    """Install, validate and, where an image asks for it, invoke."""
    install: list[AnyCommand] = []
    validate: list[AnyCommand] = []
    invoke: list[AnyCommand] = []
    for index, image in enumerate(update.images):
        install += [SetComponentIndex(index), *install_commands(image)]
        validate += [SetComponentIndex(index), Condition(Command.IMAGE_MATCH)]
        if image.invoke:
            invoke += [SetComponentIndex(index), Directive(Command.INVOKE)]
    result: dict[Section, Sequence | Digest] = {Section.INSTALL: tuple(install), Section.VALIDATE: tuple(validate)}
    if invoke:
        result[Section.INVOKE] = tuple(invoke)
    return result


def shared_sequence(update: UpdateDescription) -> Sequence:
    """Who the update is for, and what each component becomes."""
    commands: list[AnyCommand] = []
    for index, image in enumerate(update.images):
        values: dict[int, Any] = {
            Parameter.VENDOR_IDENTIFIER: (image.vendor or update.vendor).bytes,
            Parameter.CLASS_IDENTIFIER: (image.class_id or update.class_id).bytes,
        }
        checks = [Condition(Command.VENDOR_IDENTIFIER), Condition(Command.CLASS_IDENTIFIER)]
        if update.device is not None:
            values[Parameter.DEVICE_IDENTIFIER] = update.device.bytes
            checks.append(Condition(Command.DEVICE_IDENTIFIER))
        if update.use_before is not None:
            values[Parameter.USE_BEFORE] = update.use_before
            checks.append(Condition(Command.USE_BEFORE))
        if update.requires_version is not None:
            values[Parameter.VERSION] = update.requires_version
            checks.append(Condition(Command.VERSION))
        if not image.slots:
            values |= _target(image.digest, image.size)
        commands += [SetComponentIndex(index), SetParameters(values), *checks]
        if image.slots:
            commands.append(_by_slot(image, lambda slot: _target(slot.digest, slot.size)))
    return tuple(commands)


def install_commands(image: Image) -> list[AnyCommand]:
    """How the component gets its new content: written, fetched for the free slot, by delta, or as a whole."""
    check = Condition(Command.IMAGE_MATCH)
    if image.content is not None:
        values = _source(Parameter.CONTENT, image.content, image.encryption_info)
        return [SetParameters(values), Directive(Command.WRITE), check]
    fetch: list[AnyCommand] = [Directive(Command.FETCH), check]
    if image.slots:
        return [_by_slot(image, lambda slot: {Parameter.URI: slot.uri}), *fetch]
    source = _source(Parameter.URI, image.uri, image.encryption_info)
    if not image.deltas:
        return [SetParameters(source), *fetch]
    whole: Sequence = (SetParameters(_target(image.digest, image.size) | source),)
    return [TryEach((*(_delta_branch(image, delta) for delta in image.deltas), whole)), *fetch]


def _delta_branch(image: Image, delta: Delta) -> Sequence:
    source = _source(Parameter.URI, delta.uri, delta.encryption_info)
    return (
        SetParameters(_target(delta.base_digest, delta.base_size)),
        Condition(Command.IMAGE_MATCH),
        SetParameters(_target(image.digest, image.size) | source),
    )


def _target(digest: bytes, size: int) -> dict[int, Any]:
    return {Parameter.IMAGE_DIGEST: Digest(digest), Parameter.IMAGE_SIZE: size}


def _source(parameter: Parameter, value: Any, encryption_info: bytes | None) -> dict[int, Any]:
    result: dict[int, Any] = {parameter: value}
    if encryption_info is not None:
        result[Parameter.ENCRYPTION_INFO] = encryption_info
    return result


def _by_slot(image: Image, values: Callable[[SlotImage], dict[int, Any]]) -> TryEach:
    return TryEach(
        tuple(
            (
                SetParameters({Parameter.COMPONENT_SLOT: slot.slot}),
                Condition(Command.COMPONENT_SLOT),
                SetParameters(values(slot)),
            )
            for slot in image.slots
        )
    )
