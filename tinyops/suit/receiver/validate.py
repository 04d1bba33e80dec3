"""The whole manifest, checked before anything is done: members, components, and every command of every sequence.

The order of the checks is that of the device (firmware/common, to_suit_open.c and to_suit_check.c), so that both give
the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyops.suit import cbor
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.errors import SuitError
from tinyops.suit.manifest import VERSION, digest_of
from tinyops.suit.reasons import Reason
from tinyops.suit.receiver.authenticate import SEVERABLE, Authentic, read_digest
from tinyops.suit.receiver.device import Device
from tinyops.suit.receiver.parameters import MAX_U32, read_index, read_parameters, read_version
from tinyops.suit.registry import CONDITIONS, Command, Common, Parameter, Section

MAX_COMPONENTS = 4
MAX_DEPTH = 4
MAX_TRIES = 8
MAX_POLICY = 15

# Commands of this receiver and the parameter that each needs.
NEEDS: dict[Command, Parameter | None] = {
    Command.VENDOR_IDENTIFIER: Parameter.VENDOR_IDENTIFIER,
    Command.CLASS_IDENTIFIER: Parameter.CLASS_IDENTIFIER,
    Command.IMAGE_MATCH: Parameter.IMAGE_DIGEST,
    Command.USE_BEFORE: Parameter.USE_BEFORE,
    Command.COMPONENT_SLOT: Parameter.COMPONENT_SLOT,
    Command.CHECK_CONTENT: Parameter.CONTENT,
    Command.SET_COMPONENT_INDEX: None,
    Command.ABORT: None,
    Command.TRY_EACH: None,
    Command.WRITE: Parameter.CONTENT,
    Command.OVERRIDE_PARAMETERS: None,
    Command.FETCH: Parameter.URI,
    Command.COPY: Parameter.SOURCE_COMPONENT,
    Command.INVOKE: None,
    Command.DEVICE_IDENTIFIER: Parameter.DEVICE_IDENTIFIER,
    Command.IMAGE_NOT_MATCH: Parameter.IMAGE_DIGEST,
    Command.MINIMUM_BATTERY: Parameter.MINIMUM_BATTERY,
    Command.UPDATE_AUTHORIZED: Parameter.UPDATE_PRIORITY,
    Command.VERSION: Parameter.VERSION,
    Command.SWAP: Parameter.SOURCE_COMPONENT,
    Command.RUN_SEQUENCE: None,
}
CONTROL = frozenset({Command.SET_COMPONENT_INDEX, Command.TRY_EACH, Command.OVERRIDE_PARAMETERS, Command.RUN_SEQUENCE})
ACTIONS = frozenset(NEEDS) - CONDITIONS - CONTROL
IDENTITY = frozenset({Command.VENDOR_IDENTIFIER, Command.CLASS_IDENTIFIER})
UPDATE = (Section.PAYLOAD_FETCH, Section.INSTALL, Section.VALIDATE)
BOOT = (Section.VALIDATE, Section.LOAD, Section.INVOKE)


@dataclass(slots=True)
class Program:
    """A valid manifest: what the executor runs. `places` are the device's places of its components."""

    sequence: int = 0
    places: list[int] = field(default_factory=list)
    counters: set[int] = field(default_factory=set)
    shared: bytes | None = None
    sections: dict[Section, bytes] = field(default_factory=dict)
    reference_uri: str = ""


def validate(authentic: Authentic, device: Device) -> Program:
    """The program of an authentic manifest. Raises `SuitError`."""
    try:
        program = _Members(authentic, device).read()
        for procedure in (UPDATE, BOOT):
            _check_procedure(program, procedure)
    except CborError as error:
        raise SuitError.of(error, "manifest") from error
    _check_rights(program, authentic, device)
    return program


class _Members:
    """Reads the manifest's members in the order of their keys."""

    def __init__(self, authentic: Authentic, device: Device) -> None:
        self.authentic = authentic
        self.device = device
        self.places = [place.encoded for place in device.places]
        self.left = dict(authentic.severed)
        self.program = Program()

    def read(self) -> Program:
        reader = Reader(self.authentic.manifest)
        seen: set[int] = set()
        previous = b""
        for _ in range(reader.map()):
            previous = reader.key(previous)
            key = reader.int32()
            self.member(key, reader)
            seen.add(key)
        reader.done()
        if not {Section.VERSION, Section.SEQUENCE_NUMBER, Section.COMMON} <= seen:
            raise SuitError(Reason.PARAMETER_MISSING, "a member of the manifest")
        if self.left:
            raise SuitError(Reason.MANIFEST_DIGEST, "a severed member that the manifest does not name")
        return self.program

    def member(self, key: int, reader: Reader) -> None:
        program = self.program
        if key in SEVERABLE:
            self.severable(Section(key), reader)
        elif key == Section.VERSION:
            if reader.uint() != VERSION:
                raise SuitError(Reason.MANIFEST_VERSION)
        elif key == Section.SEQUENCE_NUMBER:
            program.sequence = reader.uint()
            if program.sequence > MAX_U32:
                raise SuitError(Reason.PARAMETER_MALFORMED, "sequence number")
        elif key == Section.COMMON:
            self.common(reader.byte_string())
        elif key == Section.REFERENCE_URI:
            program.reference_uri = reader.text_string()
        elif key == Section.COMPONENT_ID:
            place = self.device.places[self.place(reader)]
            if not place.roles & self.device.keys[self.authentic.signer].roles:
                raise SuitError(Reason.UNAUTHORIZED, "the key's role")
            program.counters.add(place.counter)
        elif key == Section.SET_VERSION:
            if not read_version(reader.byte_string()):
                raise SuitError(Reason.PARAMETER_MALFORMED, "set-version")
        elif key in {Section.VALIDATE, Section.LOAD, Section.INVOKE}:
            program.sections[Section(key)] = reader.byte_string()
        else:
            raise SuitError(Reason.COMMAND_UNKNOWN, f"member {key}")

    def severable(self, section: Section, reader: Reader) -> None:
        """In the manifest, or in the envelope with its digest in the manifest."""
        if reader.next_major() == cbor.BYTES:
            content: bytes | None = reader.byte_string()
        else:
            digest = read_digest(reader.skip())
            content = self.left.pop(section, None)
            if content is None and section in UPDATE:
                raise SuitError(Reason.PARAMETER_MISSING, f"{section.name.lower()} was cut away")
            if content is not None and digest_of(content).value != digest:
                raise SuitError(Reason.MANIFEST_DIGEST, section.name.lower())
        if section in UPDATE and content is not None:
            self.program.sections[section] = content

    def common(self, data: bytes) -> None:
        reader = Reader(data)
        previous = b""
        for _ in range(reader.map()):
            previous = reader.key(previous)
            key = reader.int32()
            if key == Common.COMPONENTS:
                self.components(reader)
            elif key == Common.SHARED_SEQUENCE:
                self.program.shared = reader.byte_string()
            else:
                raise SuitError(Reason.COMMAND_UNKNOWN, f"member {key} of common")
        reader.done()
        if not self.program.places:
            raise SuitError(Reason.PARAMETER_MISSING, "components")

    def components(self, reader: Reader) -> None:
        count = reader.array()
        if count == 0:
            raise SuitError(Reason.PARAMETER_MISSING, "components")
        if count > MAX_COMPONENTS:
            raise SuitError(Reason.TOO_LARGE, f"{count} components")
        for _ in range(count):
            place = self.place(reader)
            if place in self.program.places:
                raise SuitError(Reason.PARAMETER_MALFORMED, "a component twice")
            self.program.places.append(place)
            self.program.counters.add(self.device.places[place].counter)

    def place(self, reader: Reader) -> int:
        encoded = reader.skip()
        if encoded not in self.places:
            raise SuitError(Reason.COMPONENT_UNKNOWN)
        return self.places.index(encoded)


@dataclass(slots=True)
class _State:
    """What may hold when a command is reached."""

    components: int
    shared: bool = False
    selected: tuple[int, ...] = (0,)
    may_be_set: set[tuple[int, Parameter]] = field(default_factory=set)
    checked: set[tuple[int, Command]] = field(default_factory=set)


def _check_procedure(program: Program, members: tuple[Section, ...]) -> None:
    state = _State(len(program.places), shared=True)
    if program.shared is not None:
        _check_sequence(state, program.shared, 1)
    checked = frozenset(state.checked)
    state.shared = False
    for section in members:
        if section in program.sections:
            state.checked = set(checked)
            state.selected = (0,)
            _check_sequence(state, program.sections[section], 1)


def _check_sequence(state: _State, sequence: bytes, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise SuitError(Reason.NESTING, f"sequences nested deeper than {MAX_DEPTH}")
    reader = Reader(sequence)
    items = reader.array()
    if items == 0 or items % 2:
        raise SuitError(Reason.MALFORMED_CBOR, f"a sequence of {items} items")
    if depth == 1 and state.components > 1 and reader.data[reader.at] != Command.SET_COMPONENT_INDEX:
        raise SuitError(Reason.PARAMETER_MISSING, "the component index at the beginning of a sequence")
    for _ in range(items // 2):
        _check_command(state, reader, depth)
    reader.done()


def _check_command(state: _State, reader: Reader, depth: int) -> None:
    number = reader.int32()
    if number not in NEEDS or (state.shared and number in ACTIONS):
        raise SuitError(Reason.COMMAND_UNKNOWN, f"command {number}")
    command = Command(number)
    if command in CONTROL:
        _check_control(state, command, reader, depth)
        return
    if reader.uint() > MAX_POLICY:
        raise SuitError(Reason.PARAMETER_MALFORMED, "reporting policy")
    selected = state.selected
    if command in ACTIONS and any((i, check) not in state.checked for i in selected for check in IDENTITY):
        raise SuitError(Reason.IDENTITY_UNCHECKED, f"{command.name.lower()} before the checks of vendor and class")
    if depth == 1 and command in IDENTITY:
        state.checked.update((i, command) for i in selected)
    needs = NEEDS[command]
    if needs is not None and any((i, needs) not in state.may_be_set for i in selected):
        raise SuitError(Reason.PARAMETER_MISSING, f"{needs.name.lower()} of {command.name.lower()}")


def _check_control(state: _State, command: Command, reader: Reader, depth: int) -> None:
    if command is Command.SET_COMPONENT_INDEX:
        state.selected = read_index(reader, state.components)
    elif command is Command.OVERRIDE_PARAMETERS:
        start = reader.at
        for component in state.selected:
            reader.at = start
            read = read_parameters(reader, component, state.components)
            state.may_be_set.update((component, parameter) for parameter in read.values)
            if read.soft is not None and depth == 1:
                raise SuitError(Reason.PARAMETER_MALFORMED, "soft-failure outside of try-each and run-sequence")
    elif command is Command.TRY_EACH:
        _check_try_each(state, reader, depth)
    else:
        _check_nested(state, reader.byte_string(), depth)


def _check_nested(state: _State, sequence: bytes, depth: int) -> None:
    selected = state.selected
    _check_sequence(state, sequence, depth + 1)
    state.selected = selected


def _check_try_each(state: _State, reader: Reader, depth: int) -> None:
    count = reader.array()
    if count > MAX_TRIES + 1:
        raise SuitError(Reason.NESTING, f"{count} alternatives")
    for number in range(count):
        if 0 < number == count - 1 and reader.null():
            break
        _check_nested(state, reader.byte_string(), depth)
    if count < 2:
        raise SuitError(Reason.MALFORMED_CBOR, f"{count} alternatives")


def _check_rights(program: Program, authentic: Authentic, device: Device) -> None:
    """The signer may change every component named, and the manifest is newer than all of them."""
    roles = device.keys[authentic.signer].roles
    for place in program.places:
        if not device.places[place].roles & roles:
            raise SuitError(Reason.UNAUTHORIZED, "the key's role")
    for counter in program.counters:
        last = device.sequences.get(counter)
        if last is not None and program.sequence <= last:
            raise SuitError(Reason.SEQUENCE_REPLAYED, f"{program.sequence}, after {last}")
