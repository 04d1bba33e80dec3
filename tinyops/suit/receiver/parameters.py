"""Values that commands take: parameters, component indexes, versions; read as the device reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinyops.suit import cbor, encryption
from tinyops.suit.cbor import CborError, Reader
from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason
from tinyops.suit.receiver.authenticate import read_digest
from tinyops.suit.registry import Parameter, VersionComparison

MAX_URI = 128
MAX_VERSION = 8
MAX_U32 = (1 << 32) - 1
UUID_BYTES = 16


@dataclass(slots=True)
class Read:
    """A parameter map: the parameters of the component, and soft-failure, which is of the sequence."""

    values: dict[Parameter, Any] = field(default_factory=dict)
    soft: bool | None = None


def read_parameters(reader: Reader, component: int, components: int) -> Read:
    """The argument of override-parameters for one component. Raises `SuitError` and `CborError`."""
    result = Read()
    count = reader.map()
    if count == 0:
        raise SuitError(Reason.PARAMETER_MALFORMED, "no parameters")
    previous = b""
    for _ in range(count):
        previous = reader.key(previous)
        if reader.next_major() not in {cbor.UINT, cbor.NINT}:
            raise SuitError(Reason.MALFORMED_CBOR, "a parameter that is no number")
        number = reader.int32()
        value = Reader(reader.skip())
        try:
            _read(result, number, value, component, components)
        except CborError as error:
            malformed = error.reason is Reason.MALFORMED_CBOR
            reason = Reason.PARAMETER_MALFORMED if malformed else error.reason
            raise SuitError(reason, f"parameter {number}: {error}") from error
    return result


def _read(result: Read, number: int, reader: Reader, component: int, components: int) -> None:
    if number == Parameter.SOFT_FAILURE:
        result.soft = reader.boolean()
    elif number == Parameter.SOURCE_COMPONENT:
        source = reader.uint()
        _demand(source < components and source != component, "source component")
        result.values[Parameter.SOURCE_COMPONENT] = source
    else:
        read = _READERS.get(number)
        if read is None:
            raise SuitError(Reason.COMMAND_UNKNOWN, f"parameter {number}")
        result.values[Parameter(number)] = read(reader)


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise SuitError(Reason.PARAMETER_MALFORMED, what)


def _uuid(reader: Reader) -> bytes:
    value = reader.byte_string()
    _demand(len(value) == UUID_BYTES, f"a UUID of {len(value)} bytes")
    return value


def _uint32(reader: Reader) -> int:
    value = reader.uint()
    _demand(value <= MAX_U32, str(value))
    return value


def _digest(reader: Reader) -> bytes:
    try:
        return read_digest(reader.byte_string())
    except SuitError as error:
        unsupported = error.reason is Reason.UNSUPPORTED
        raise SuitError(Reason.UNSUPPORTED if unsupported else Reason.PARAMETER_MALFORMED, error.detail) from error


def _uri(reader: Reader) -> str:
    value = reader.text_string()
    _demand(1 <= len(value.encode()) <= MAX_URI, "URI")
    return value


def _encryption_info(reader: Reader) -> bytes:
    info = reader.byte_string()
    try:
        encryption.check(info)
    except SuitError as error:
        raise SuitError(Reason.PARAMETER_MALFORMED, str(error)) from error
    return info


def _version(reader: Reader) -> tuple[VersionComparison, tuple[int, ...]]:
    match = read_version_match(reader.byte_string())
    if match is None:
        raise SuitError(Reason.PARAMETER_MALFORMED, "version")
    return match


_READERS: dict[int, Callable[[Reader], Any]] = {
    Parameter.VENDOR_IDENTIFIER: _uuid,
    Parameter.CLASS_IDENTIFIER: _uuid,
    Parameter.DEVICE_IDENTIFIER: _uuid,
    Parameter.IMAGE_DIGEST: _digest,
    Parameter.USE_BEFORE: Reader.uint,
    Parameter.COMPONENT_SLOT: _uint32,
    Parameter.STRICT_ORDER: Reader.boolean,
    Parameter.IMAGE_SIZE: _uint32,
    Parameter.CONTENT: Reader.byte_string,
    Parameter.ENCRYPTION_INFO: _encryption_info,
    Parameter.URI: _uri,
    Parameter.INVOKE_ARGUMENTS: Reader.byte_string,
    Parameter.MINIMUM_BATTERY: Reader.uint,
    Parameter.UPDATE_PRIORITY: Reader.int32,
    Parameter.VERSION: _version,
}


def read_version_match(data: bytes) -> tuple[VersionComparison, tuple[int, ...]] | None:
    """SUIT_Parameter_Version_Match; None when it is malformed."""
    reader = Reader(data)
    try:
        items = reader.array()
        comparison = reader.int32()
        count = reader.array()
        if items != 2 or comparison not in set(VersionComparison) or not 1 <= count <= MAX_VERSION:
            return None
        numbers = tuple(reader.int32() for _ in range(count))
        reader.done()
    except CborError:
        return None
    return VersionComparison(comparison), numbers


def read_version(data: bytes) -> bool:
    """Whether `data` is the content of set-version."""
    reader = Reader(data)
    try:
        count = reader.array()
        if not 1 <= count <= MAX_VERSION:
            return False
        for _ in range(count):
            reader.int32()
        reader.done()
    except CborError:
        return False
    return True


def read_index(reader: Reader, components: int) -> tuple[int, ...]:
    """The argument of set-component-index: one component, all (true), or some in ascending order."""
    major = reader.next_major()
    selected: tuple[int, ...] = ()
    if major == cbor.SIMPLE and reader.boolean():
        return tuple(range(components))
    if major == cbor.UINT:
        selected = (reader.uint(),)
    elif major == cbor.ARRAY:
        for _ in range(reader.array()):
            index = reader.uint()
            _demand(index < components and (not selected or selected[-1] < index), "component index")
            selected += (index,)
    _demand(bool(selected) and selected[-1] < components, "component index")
    return selected
