"""Command sequences as typed objects, and their coding in either dialect.

A sequence is a tuple of commands. Decoding is strict (deterministic CBOR, known numbers, right types) and keeps
everything, so that encoding gives the same bytes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tinyops.suit import cbor
from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import (
    CONDITIONS,
    DIGEST_SIZES,
    FINAL,
    Algorithm,
    Command,
    Dialect,
    Parameter,
    VersionComparison,
)

REPORT_ALL = 15
MAX_NESTING = 4
MAX_BYTES = 1 << 20
ComponentId: TypeAlias = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """SUIT_Digest: a hash algorithm and the hash."""

    value: bytes
    algorithm: Algorithm = Algorithm.SHA_256

    def plain(self, dialect: Dialect = FINAL) -> list[Any]:
        return [int(dialect.digests[self.algorithm]), self.value]

    def encode(self, dialect: Dialect = FINAL) -> bytes:
        return cbor.encode(self.plain(dialect))

    @classmethod
    def from_plain(cls, value: Any, dialect: Dialect = FINAL, where: str = "digest") -> Digest:
        if not (isinstance(value, list) and len(value) == 2 and type(value[0]) is int and type(value[1]) is bytes):
            raise SuitError(Reason.MALFORMED_CBOR, "not [algorithm, bytes]", where=where)
        algorithm = dialect.digest_of.get(value[0])
        if algorithm is None:
            raise SuitError(Reason.UNSUPPORTED, f"digest algorithm {value[0]}", where=where)
        if len(value[1]) != DIGEST_SIZES[algorithm]:
            raise SuitError(Reason.PARAMETER_MALFORMED, f"a digest of {len(value[1])} bytes", where=where)
        return cls(value[1], algorithm)

    @classmethod
    def decode(cls, data: bytes, dialect: Dialect = FINAL, where: str = "digest") -> Digest:
        return cls.from_plain(decode(data, where), dialect, where)


@dataclass(frozen=True, slots=True)
class VersionMatch:
    """What the installed version has to be; versions are compared number by number, negative numbers are
    prereleases (-1 release candidate, -2 beta, -3 alpha)."""

    comparison: VersionComparison
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A test; the sequence ends when it fails."""

    command: Command
    policy: int = REPORT_ALL


@dataclass(frozen=True, slots=True)
class Directive:
    """An action without an argument: fetch, write, copy, swap, invoke, wait, ..."""

    command: Command
    policy: int = REPORT_ALL


@dataclass(frozen=True, slots=True)
class SetComponentIndex:
    """What the following commands act on: one component, all (True) or several (a tuple)."""

    index: int | bool | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetParameters:
    """Parameters of the current component. `override=False` (trust domains, riot-legacy) sets only unset ones."""

    values: Mapping[int, Any]
    override: bool = True


@dataclass(frozen=True, slots=True)
class TryEach:
    """The first branch that succeeds counts; None, at the end only, does nothing and succeeds."""

    branches: tuple[Sequence | None, ...]


@dataclass(frozen=True, slots=True)
class RunSequence:
    sequence: Sequence


@dataclass(frozen=True, slots=True)
class Custom:
    """A proprietary command (negative number), or one whose argument is kept as it is."""

    number: int
    argument: Any


AnyCommand: TypeAlias = "Condition | Directive | SetComponentIndex | SetParameters | TryEach | RunSequence | Custom"
Sequence: TypeAlias = "tuple[AnyCommand, ...]"


def decode(data: bytes, where: str, *, ordered: bool = True) -> Any:
    """`cbor.decode` of at most `MAX_BYTES`, with the error that people see."""
    try:
        return cbor.decode(data, ordered=ordered, max_bytes=MAX_BYTES)
    except cbor.CborError as error:
        raise SuitError.of(error, where) from error


def encode_sequence(sequence: Sequence, dialect: Dialect = FINAL) -> bytes:
    """The content of the byte string that holds the sequence."""
    items: list[Any] = []
    for command in sequence:
        items += _plain_command(command, dialect)
    return cbor.encode(items)


def _number(command: Command, dialect: Dialect) -> int:
    if command not in dialect.commands:
        raise SuitError(Reason.COMMAND_UNKNOWN, f"{dialect.name} has no {command.name.lower()}")
    return int(dialect.commands[command])


def _plain_command(command: AnyCommand, dialect: Dialect) -> list[Any]:
    if isinstance(command, (Condition, Directive)):
        return [_number(command.command, dialect), command.policy]
    if isinstance(command, SetComponentIndex):
        index = list(command.index) if isinstance(command.index, tuple) else command.index
        return [_number(Command.SET_COMPONENT_INDEX, dialect), index]
    if isinstance(command, SetParameters):
        name = Command.OVERRIDE_PARAMETERS if command.override else Command.SET_PARAMETERS
        return [_number(name, dialect), encode_parameters(command.values, dialect)]
    if isinstance(command, TryEach):
        branches = [None if branch is None else encode_sequence(branch, dialect) for branch in command.branches]
        return [_number(Command.TRY_EACH, dialect), branches]
    if isinstance(command, RunSequence):
        return [_number(Command.RUN_SEQUENCE, dialect), encode_sequence(command.sequence, dialect)]
    return [command.number, command.argument]


def encode_parameters(values: Mapping[int, Any], dialect: Dialect = FINAL) -> dict[int, Any]:
    """The parameter map with the numbers and shapes on the wire."""
    result: dict[int, Any] = {}
    for key, value in values.items():
        if key < 0:
            result[int(key)] = value
            continue
        parameter = Parameter(key)
        if parameter not in dialect.parameters:
            raise SuitError(Reason.COMMAND_UNKNOWN, f"{dialect.name} has no parameter {parameter.name.lower()}")
        if isinstance(value, Digest):
            value = value.encode(dialect)
        elif isinstance(value, VersionMatch):
            value = cbor.encode([int(value.comparison), list(value.version)])
        result[int(dialect.parameters[parameter])] = value
    return result


def decode_sequence(data: bytes, dialect: Dialect = FINAL, where: str = "sequence", level: int = 1) -> Sequence:
    """The commands of a sequence (the content of its byte string). Raises `SuitError`."""
    if level > MAX_NESTING:
        raise SuitError(Reason.NESTING, f"more than {MAX_NESTING} levels", where=where)
    items = decode(data, where)
    if not isinstance(items, list):
        raise SuitError(Reason.MALFORMED_CBOR, "not an array", where=where)
    if len(items) % 2 or not items:
        raise SuitError(Reason.MALFORMED_CBOR, f"{len(items)} items", where=where, allowed="pairs, at least one")
    return tuple(
        _typed_command(items[at], items[at + 1], dialect, f"{where}[{at // 2}]", level)
        for at in range(0, len(items), 2)
    )


def _typed_command(number: Any, argument: Any, dialect: Dialect, where: str, level: int) -> AnyCommand:
    if type(number) is not int:
        raise SuitError(Reason.MALFORMED_CBOR, "a command that is no number", where=where)
    if number < 0:
        return Custom(number, argument)
    command = dialect.command_of.get(number)
    if command is None:
        raise SuitError(Reason.COMMAND_UNKNOWN, f"command {number}", where=where)
    where = f"{where} {command.name.lower()}"
    if command is Command.SET_COMPONENT_INDEX:
        return SetComponentIndex(_index(argument, where))
    if command in {Command.OVERRIDE_PARAMETERS, Command.SET_PARAMETERS}:
        values = decode_parameters(argument, dialect, where)
        return SetParameters(values, override=command is Command.OVERRIDE_PARAMETERS)
    if command is Command.TRY_EACH:
        return TryEach(_branches(argument, dialect, where, level))
    if command is Command.RUN_SEQUENCE:
        return RunSequence(decode_sequence(_bytes(argument, where), dialect, where, level + 1))
    if command in {Command.OVERRIDE_MULTIPLE, Command.COPY_PARAMETERS}:
        return Custom(number, argument)
    if not (type(argument) is int and 0 <= argument <= REPORT_ALL):
        raise SuitError(Reason.PARAMETER_MALFORMED, "the reporting policy", where=where, allowed="0 to 15")
    return Condition(command, argument) if command in CONDITIONS else Directive(command, argument)


def _bytes(value: Any, where: str) -> bytes:
    if type(value) is not bytes:
        raise SuitError(Reason.PARAMETER_MALFORMED, "not a byte string", where=where)
    return value


def _index(argument: Any, where: str) -> int | bool | tuple[int, ...]:
    if argument is True or (type(argument) is int and argument >= 0):
        return argument
    if isinstance(argument, list) and argument and all(type(item) is int and item >= 0 for item in argument):
        return tuple(argument)
    raise SuitError(Reason.PARAMETER_MALFORMED, "the component index", where=where, allowed="a number, numbers, true")


def _branches(argument: Any, dialect: Dialect, where: str, level: int) -> tuple[Sequence | None, ...]:
    if not isinstance(argument, list) or len(argument) < 2:
        raise SuitError(Reason.PARAMETER_MALFORMED, "branches", where=where, allowed="at least two")
    branches: list[Sequence | None] = []
    for number, branch in enumerate(argument):
        if branch is None and number == len(argument) - 1:
            branches.append(None)
        else:
            here = f"{where} branch {number}"
            branches.append(decode_sequence(_bytes(branch, here), dialect, here, level + 1))
    return tuple(branches)


_NUMBERS = {
    Parameter.COMPONENT_SLOT,
    Parameter.IMAGE_SIZE,
    Parameter.SOURCE_COMPONENT,
    Parameter.USE_BEFORE,
    Parameter.MINIMUM_BATTERY,
}
_BYTES = {
    Parameter.CONTENT,
    Parameter.ENCRYPTION_INFO,
    Parameter.INVOKE_ARGUMENTS,
    Parameter.FETCH_ARGUMENTS,
    Parameter.WAIT_INFO,
    Parameter.COMPONENT_METADATA,
}
_UUIDS = {Parameter.VENDOR_IDENTIFIER, Parameter.CLASS_IDENTIFIER, Parameter.DEVICE_IDENTIFIER}
_FLAGS = {Parameter.STRICT_ORDER, Parameter.SOFT_FAILURE}


def decode_parameters(argument: Any, dialect: Dialect, where: str) -> dict[int, Any]:
    """The typed values of a parameter map: numbers, bytes, text, `Digest`, `VersionMatch`."""
    if not isinstance(argument, dict):
        raise SuitError(Reason.PARAMETER_MALFORMED, "not a map", where=where)
    if not argument:
        raise SuitError(Reason.PARAMETER_MISSING, "an empty map", where=where)
    result: dict[int, Any] = {}
    for number, value in argument.items():
        if type(number) is not int:
            raise SuitError(Reason.MALFORMED_CBOR, "a parameter that is no number", where=where)
        if number < 0:
            result[number] = value
            continue
        parameter = dialect.parameter_of.get(number)
        if parameter is None:
            raise SuitError(Reason.COMMAND_UNKNOWN, f"parameter {number}", where=where)
        result[parameter] = _parameter(parameter, value, dialect, f"{where} {parameter.name.lower()}")
    return result


def _parameter(parameter: Parameter, value: Any, dialect: Dialect, where: str) -> Any:
    if parameter is Parameter.IMAGE_DIGEST:
        return Digest.decode(_bytes(value, where), dialect, where)
    if parameter is Parameter.VERSION:
        return decode_version_match(_bytes(value, where), where)
    if parameter is Parameter.VENDOR_IDENTIFIER and isinstance(value, cbor.Tag):
        fits = value.number == 112 and type(value.value) is bytes  # a private enterprise number, RFC 9090
    elif parameter in _UUIDS:
        fits = type(value) is bytes and len(value) == 16
    elif parameter in _NUMBERS:
        fits = type(value) is int and value >= 0
    elif parameter in _FLAGS:
        fits = type(value) is bool
    elif parameter is Parameter.URI:
        fits = type(value) is str
    elif parameter is Parameter.UPDATE_PRIORITY:
        fits = type(value) is int
    else:
        fits = parameter in _BYTES and type(value) is bytes
    if not fits:
        raise SuitError(Reason.PARAMETER_MALFORMED, "type, length or range", where=where)
    return value


def decode_version_match(data: bytes, where: str) -> VersionMatch:
    """SUIT_Parameter_Version_Match."""
    plain = decode(data, where)
    if (
        isinstance(plain, list)
        and len(plain) == 2
        and type(plain[0]) is int
        and plain[0] in set(VersionComparison)
        and isinstance(plain[1], list)
        and plain[1]
        and all(type(part) is int for part in plain[1])
    ):
        return VersionMatch(VersionComparison(plain[0]), tuple(plain[1]))
    raise SuitError(Reason.PARAMETER_MALFORMED, "not [comparison, [numbers]]", where=where)
