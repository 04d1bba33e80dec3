"""Parameter structs and arguments of kernels, read from their headers, and which of them hold numbers.

The layout is that of natural alignment, which is the same on Cortex-M, RV32 and x86-64; generated code checks it
when it is compiled. Numbers are what a retrained model of the same structure changes; all else (shapes, strides,
counts, modes, places) is structure. numbers.toml lists the numbers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tinyops.errors import TinyopsError
from tinyops.kernels import kernel, kernels

__all__ = [
    "Accumulator",
    "Field",
    "Range",
    "Struct",
    "accumulator",
    "arguments",
    "constant_numbers",
    "field_numbers",
    "is_exact",
    "params_struct",
]

_SIZES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "float": 4}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRUCT = re.compile(r"typedef struct \{([^}]*)\} (to_[a-z0-9_]+_params);")
_FIELD = re.compile(r"(\w+) (\w+)(?:\[(\d+)\])?")
_NUMBERS = Path(__file__).resolve().parent / "numbers.toml"

#: Lowest and highest allowed value; None where all are.
Range = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a parameter struct: `count` elements of `ctype` from byte `offset` on (1 where it is no array)."""

    name: str
    ctype: str
    count: int
    offset: int

    @property
    def itemsize(self) -> int:
        return _SIZES[self.ctype]

    @property
    def nbytes(self) -> int:
        return self.count * self.itemsize


@dataclass(frozen=True, slots=True)
class Struct:
    """A parameter struct; its size is a multiple of its alignment."""

    name: str
    fields: tuple[Field, ...]
    nbytes: int
    alignment: int


def _parse(name: str, body: str) -> Struct:
    fields: list[Field] = []
    end, alignment = 0, 1
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        match = _FIELD.fullmatch(declaration)
        if match is None or match[1] not in _SIZES:
            raise TinyopsError(f"{declaration!r} cannot be laid out", where=f"struct {name}", allowed=", ".join(_SIZES))
        size = _SIZES[match[1]]
        field = Field(match[2], match[1], int(match[3] or 1), -(-end // size) * size)
        fields.append(field)
        end, alignment = field.offset + field.nbytes, max(alignment, size)
    return Struct(name, tuple(fields), -(-end // alignment) * alignment, alignment)


@cache
def _header(path: Path) -> str:
    return _COMMENT.sub(" ", path.read_text(encoding="utf-8"))


@cache
def _structs() -> Mapping[str, Struct]:
    headers = {path for entry in kernels().values() for path in entry.files if path.suffix == ".h"}
    found = (match for path in sorted(headers) for match in _STRUCT.finditer(_header(path)))
    return {match[2]: _parse(match[2], match[1]) for match in found}


def params_struct(name: str) -> Struct:
    """The parameter struct `name`, as its header declares it."""
    return _structs()[name]


@cache
def arguments(name: str) -> tuple[str, ...]:
    """Names of the arguments of the kernel `name`, without the parameter struct."""
    entry = kernel(name)
    header = next(path for path in entry.files if path.name == f"{name}.h")
    match = re.search(rf"void {name}\(const {entry.params_type} \*p,([^)]*)\);", _header(header))
    if match is None:
        raise TinyopsError("the kernel has no prototype of the usual form", where=str(header))
    return tuple(argument.split()[-1].lstrip("*") for argument in match[1].split(","))


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Sums that start at a bias: the largest magnitude of a product, and the bits that a sum's magnitude has."""

    product: int
    bits: int

    def largest_bias(self, products: int) -> int:
        """The largest magnitude of a bias to which so many products are added; below 0 when these fit in no sum."""
        return (1 << self.bits) - 1 - self.product * products


class _Numbers(BaseModel):
    """numbers.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    exact: list[str]
    accumulators: dict[str, list[int]]
    params: dict[str, dict[str, list[int]]]
    constants: dict[str, dict[str, list[int]]]


@cache
def _numbers() -> _Numbers:
    try:
        return _Numbers.model_validate(tomllib.loads(_NUMBERS.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise TinyopsError(f"the list of numbers cannot be read: {error}", where=str(_NUMBERS)) from None


def _ranges(entries: Mapping[str, list[int]]) -> Mapping[str, Range]:
    return {key: (value[0], value[1]) if value else None for key, value in entries.items()}


@cache
def field_numbers(params_type: str) -> Mapping[str, Range]:
    """Fields of a parameter struct that hold numbers, with their allowed ranges."""
    return _ranges(_numbers().params.get(params_type, {}))


@cache
def constant_numbers(name: str) -> Mapping[str, Range]:
    """Arguments of the kernel `name` that may be constants of numbers, with the range of their elements."""
    return _ranges(_numbers().constants.get(name, {}))


def is_exact(name: str) -> bool:
    """Whether no signed integer overflows in the kernel `name`, whatever the numbers in their ranges."""
    return name in _numbers().exact


def accumulator(name: str) -> Accumulator | None:
    """The sums of the kernel `name` that bound its bias, if there are."""
    found = _numbers().accumulators.get(name)
    return Accumulator(*found) if found else None
