"""Carries out a valid manifest on a model of the device: what the device's executor does, with the same outcome.

Nothing here changes the `Device`: new contents are kept beside it and are the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from tinyops.suit import encryption
from tinyops.suit.cbor import Reader
from tinyops.suit.errors import SuitError
from tinyops.suit.keys import Role
from tinyops.suit.reasons import Reason
from tinyops.suit.receiver.authenticate import Authentic
from tinyops.suit.receiver.device import Device, Place
from tinyops.suit.receiver.parameters import read_index, read_parameters
from tinyops.suit.receiver.validate import BOOT, NEEDS, UPDATE, Program
from tinyops.suit.registry import CONDITIONS, Algorithm, Command, Parameter, Section, VersionComparison

MAX_CONTENTS = 4
TAG_BYTES = 16


class ConditionFailed(SuitError):  # noqa: N818 - a condition that fails is no error of the manifest
    """A condition does not hold: a try-each may go on with its next branch."""


@dataclass(slots=True)
class Point:
    """Where in the manifest: the section's key, the command's offset in it, the component."""

    section: int = 0
    component: int = 0
    offset: int = 0


@dataclass(slots=True)
class _Frame:
    """A sequence that runs: whether a failed condition ends it alone, and where its bytes are in the section."""

    soft: bool = False
    base: int = 0


@dataclass(slots=True)
class Executor:
    """`trace` lists what the device does, in the words of firmware/tools/suit_check.c; `stored` is the new content
    of its places."""

    device: Device
    authentic: Authentic
    program: Program
    trace: list[str] = field(default_factory=list)
    stored: dict[int, bytes | None] = field(default_factory=dict)
    point: Point = field(default_factory=Point)
    selected: tuple[int, ...] = (0,)
    parameters: list[dict[Parameter, Any]] = field(default_factory=list)
    unverified: set[int] = field(default_factory=set)
    contents: set[tuple[bytes, bytes]] = field(default_factory=set)

    def update(self) -> None:
        """Payload-fetch, install, validate. Raises `SuitError`."""
        self._procedure(UPDATE)
        if self.unverified:
            self.point.component = min(self.unverified)
            raise SuitError(Reason.IMAGE_DIGEST, "a component whose image was not checked")

    def boot(self) -> None:
        """Validate, load, invoke. Raises `SuitError`."""
        self._procedure(BOOT)

    def _procedure(self, sections: tuple[Section, ...]) -> None:
        self.point = Point()
        self.parameters = [{} for _ in self.program.places]
        self.unverified.clear()
        self.contents.clear()
        for section in sections:
            sequence = self.program.sections.get(section)
            if sequence is None:
                continue
            if self.program.shared is not None:
                self._outermost(Section.COMMON, self.program.shared)
            self._outermost(section, sequence)

    def _outermost(self, section: Section, sequence: bytes) -> None:
        self.point.section = section
        self.selected = (0,)
        self._sequence(sequence, _Frame())

    def _sequence(self, sequence: bytes, frame: _Frame) -> None:
        reader = Reader(sequence)
        for _ in range(reader.array() // 2):
            self.point.offset = (frame.base + reader.at) & 0xFFFF
            command = Command(reader.int32())
            start = reader.at
            argument = reader.skip()
            base = frame.base + start
            if command is Command.SET_COMPONENT_INDEX:
                self.selected = read_index(Reader(argument), len(self.parameters))
            elif command is Command.OVERRIDE_PARAMETERS:
                self._override(argument, frame)
            elif command is Command.TRY_EACH:
                self._try_each(argument, base)
            elif command is Command.RUN_SEQUENCE:
                self._run_sequence(argument, base)
            else:
                for component in self.selected:
                    self._one(command, component)

    def _override(self, argument: bytes, frame: _Frame) -> None:
        for component in self.selected:
            read = read_parameters(Reader(argument), component, len(self.parameters))
            self.parameters[component].update(read.values)
            if read.soft is not None:
                frame.soft = read.soft

    def _try_each(self, argument: bytes, base: int) -> None:
        outer = self.selected
        for component in outer:
            reader = Reader(argument)
            failure = None
            for _ in range(reader.array()):
                self.selected = (component,)
                failure = None if reader.null() else self._branch(reader, base)
                if failure is None:
                    break
            if failure is not None:
                self.selected = outer
                raise failure
        self.selected = outer

    def _branch(self, reader: Reader, base: int) -> ConditionFailed | None:
        """Runs one alternative; the soft failure of it, if it ends so."""
        sequence = reader.byte_string()
        frame = _Frame(soft=True, base=base + reader.at - len(sequence))
        try:
            self._sequence(sequence, frame)
        except ConditionFailed as failed:
            if not frame.soft:
                raise
            return failed
        return None

    def _run_sequence(self, argument: bytes, base: int) -> None:
        outer = self.selected
        reader = Reader(argument)
        sequence = reader.byte_string()
        for component in outer:
            self.selected = (component,)
            frame = _Frame(base=base + reader.at - len(sequence))
            try:
                self._sequence(sequence, frame)
            except ConditionFailed:
                if not frame.soft:
                    raise
        self.selected = outer

    def _one(self, command: Command, component: int) -> None:
        self.point.component = component
        needs = NEEDS[command]
        if needs is not None and needs not in self.parameters[component]:
            raise SuitError(Reason.PARAMETER_MISSING, f"{needs.name.lower()} of {command.name.lower()}")
        if command in CONDITIONS:
            reason = self._condition(command, component)
            if reason is not Reason.OK:
                raise ConditionFailed(reason, f"component {component}")
        else:
            self._directive(command, component)

    # ---- conditions ----

    def _place(self, component: int) -> Place:
        return self.device.places[self.program.places[component]]

    def _condition(self, command: Command, component: int) -> Reason:
        values, place, device = self.parameters[component], self._place(component), self.device
        if command is Command.VENDOR_IDENTIFIER:
            return _same(values[Parameter.VENDOR_IDENTIFIER], place.vendor, Reason.VENDOR_MISMATCH)
        if command is Command.CLASS_IDENTIFIER:
            return _same(values[Parameter.CLASS_IDENTIFIER], place.class_id, Reason.CLASS_MISMATCH)
        if command is Command.DEVICE_IDENTIFIER:
            return _same(values[Parameter.DEVICE_IDENTIFIER], device.device_id, Reason.DEVICE_MISMATCH)
        if command is Command.IMAGE_MATCH:
            reason = self._match(component)
            if reason is Reason.OK:
                self.unverified.discard(component)
            return reason
        if command is Command.IMAGE_NOT_MATCH:
            return Reason.IMAGE_PRESENT if self._match(component) is Reason.OK else Reason.OK
        if command is Command.CHECK_CONTENT:
            image = self._image(component)
            same = image is not None and compare_digest(image, values[Parameter.CONTENT])
            return Reason.OK if same else Reason.IMAGE_DIGEST
        if command is Command.ABORT:
            return Reason.ABORTED
        if command is Command.USE_BEFORE:
            if device.now is None:
                return Reason.NO_CLOCK
            return Reason.OK if device.now < values[Parameter.USE_BEFORE] else Reason.EXPIRED
        return self._asked(command, values, place)

    def _asked(self, command: Command, values: dict[Parameter, Any], place: Place) -> Reason:
        """Conditions that the device itself decides; what it cannot tell is unsupported."""
        device = self.device
        if command is Command.COMPONENT_SLOT:
            slot = values[Parameter.COMPONENT_SLOT]
            return _decided(None if place.slot is None else place.slot == slot, Reason.SLOT_MISMATCH)
        if command is Command.MINIMUM_BATTERY:
            least = values[Parameter.MINIMUM_BATTERY]
            return _decided(None if device.battery is None else device.battery >= least, Reason.BATTERY)
        if command is Command.UPDATE_AUTHORIZED:
            highest = device.authorized
            allowed = None if highest is None else values[Parameter.UPDATE_PRIORITY] <= highest
            return _decided(allowed, Reason.UNAUTHORIZED)
        fits = None if place.version is None else _version_fits(place.version, *values[Parameter.VERSION])
        return _decided(fits, Reason.VERSION_MISMATCH)

    def _image(self, component: int) -> bytes | None:
        """What was stored, or else is installed; None when there is nothing."""
        return self._content(self.program.places[component])

    def _sized_image(self, component: int) -> bytes | Reason:
        """The content, or why it is not as the manifest tells."""
        size = self.parameters[component].get(Parameter.IMAGE_SIZE)
        image = self._image(component)
        if image is None:
            return Reason.IMAGE_DIGEST
        return image if size is None or len(image) == size else Reason.IMAGE_SIZE

    def _match(self, component: int) -> Reason:
        image = self._sized_image(component)
        if isinstance(image, Reason):
            return image
        same = sha256(image).digest() == self.parameters[component][Parameter.IMAGE_DIGEST]
        return Reason.OK if same else Reason.IMAGE_DIGEST

    # ---- directives ----

    def _directive(self, command: Command, component: int) -> None:
        values, index = self.parameters[component], self.program.places[component]
        if command is Command.FETCH:
            self._fetch(component)
        elif command is Command.WRITE:
            content = values[Parameter.CONTENT]
            self._store(component, content, 0 if Parameter.ENCRYPTION_INFO in values else len(content))
        elif command is Command.COPY:
            source = self._sized_image(values[Parameter.SOURCE_COMPONENT])
            if isinstance(source, Reason):
                raise SuitError(source, "the source of copy")
            self.unverified.add(component)
            self._store(component, source, values.get(Parameter.IMAGE_SIZE, 0))
        elif command is Command.SWAP:
            source = values[Parameter.SOURCE_COMPONENT]
            self.unverified |= {component, source}
            other = self.program.places[source]
            self.trace.append(f"swap:{index}:{other}")
            self.stored[index], self.stored[other] = self._content(other), self._content(index)
        else:
            self.trace.append(f"invoke:{index}:{values.get(Parameter.INVOKE_ARGUMENTS, b'').hex()}")

    def _content(self, index: int) -> bytes | None:
        return self.stored.get(index, self.device.places[index].content)

    def _fetch(self, component: int) -> None:
        values, index = self.parameters[component], self.program.places[component]
        uri, size = values[Parameter.URI], values.get(Parameter.IMAGE_SIZE, 0)
        self.unverified.add(component)
        if uri.startswith("#"):
            payload = self.authentic.payloads.get(uri)
            if payload is None:
                raise SuitError(Reason.PAYLOAD_MISSING, uri)
            self._store(component, payload, size)
            return
        opened = self._begin(component, size)
        self.trace.append(f"fetch:{index}:{uri.encode().hex()}")
        fetched = self.device.fetch(uri)
        if fetched is None:
            raise SuitError(Reason.PAYLOAD_MISSING, uri)
        limit = (size or self._place(component).capacity) + (TAG_BYTES if opened else 0)
        if len(fetched) > limit:
            raise SuitError(Reason.IMAGE_SIZE, f"{len(fetched)} bytes at {uri}")
        self._end(component, fetched, opened)

    def _store(self, component: int, content: bytes, size: int) -> None:
        self._end(component, content, self._begin(component, size))

    def _begin(self, component: int, size: int) -> encryption.ContentKey | None:
        """A new image begins; what decrypts it, where it is encrypted."""
        if size > self._place(component).capacity:
            raise SuitError(Reason.SLOT_TOO_SMALL, f"{size} bytes")
        info = self.parameters[component].get(Parameter.ENCRYPTION_INFO)
        opened = None if info is None else self._open(info)
        self.trace.append(f"begin:{self.program.places[component]}:{size}")
        return opened

    def _open(self, info: bytes) -> encryption.ContentKey:
        keys = [key for key in self.device.keys if key.roles & Role.DECRYPT]
        try:
            opened = encryption.content_key(info, keys)
        except SuitError as error:
            unsupported = error.reason is Reason.UNSUPPORTED
            raise SuitError(Reason.UNSUPPORTED if unsupported else Reason.DECRYPT, str(error)) from error
        if (opened.key, opened.iv) in self.contents:
            raise SuitError(Reason.DECRYPT, "a key and IV twice")
        if len(self.contents) == MAX_CONTENTS:
            raise SuitError(Reason.TOO_LARGE, "encrypted contents")
        self.contents.add((opened.key, opened.iv))
        return opened

    def _end(self, component: int, content: bytes, opened: encryption.ContentKey | None) -> None:
        index = self.program.places[component]
        plain: bytes | None = content
        if opened is not None:
            written = len(content) - (TAG_BYTES if opened.algorithm is Algorithm.A128GCM else 0)
            plain = opened.decrypt(content)
        else:
            written = len(content)
        if written > self._place(component).capacity:
            raise SuitError(Reason.SLOT_TOO_SMALL, f"{written} bytes")
        if plain is None:
            raise SuitError(Reason.DECRYPT, "the authentication tag differs")
        self.trace.append(f"end:{index}:{len(plain)}:{sha256(plain).hexdigest()[:16]}")
        self.stored[index] = plain


def _same(wanted: bytes, own: bytes | None, different: Reason) -> Reason:
    return Reason.OK if own == wanted else different


def _decided(holds: bool | None, otherwise: Reason) -> Reason:
    if holds is None:
        return Reason.UNSUPPORTED
    return Reason.OK if holds else otherwise


def _version_fits(own: tuple[int, ...], comparison: VersionComparison, wanted: tuple[int, ...]) -> bool:
    """Number by number, as far as `wanted` goes; numbers that are missing are 0."""
    padded = (own + (0,) * len(wanted))[: len(wanted)]
    return {
        VersionComparison.GREATER: padded > wanted,
        VersionComparison.GREATER_EQUAL: padded >= wanted,
        VersionComparison.EQUAL: padded == wanted,
        VersionComparison.LESSER_EQUAL: padded <= wanted,
        VersionComparison.LESSER: padded < wanted,
    }[comparison]
