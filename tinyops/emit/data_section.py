"""The data section of a capsule: parameter structs and constants of a program, and which of its bytes are structure.

Generated code of updatable firmware reads all of it in place, at offsets that are compiled in. Structure has to be
byte for byte what the firmware was built with; numbers vary from capsule to capsule, some within ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.features import ModelFeatures
from tinyops.graph import DType, State
from tinyops.kernels import kernel
from tinyops.kernels.structs import (
    Field,
    Range,
    accumulator,
    arguments,
    constant_numbers,
    field_numbers,
    is_exact,
    params_struct,
)
from tinyops.lower.program import ArenaRef, Call, Constant, ConstantRef, Program, Ref, Role, StateRef, Value

_TYPES = {"int8_t": "<i1", "uint8_t": "<u1", "int16_t": "<i2", "uint16_t": "<u2", "int32_t": "<i4", "float": "<f4"}
_ABI = "tinyops kernel abi 1"
_PLAN = "tinyops plan 1"
_INT32_MAX = 2**31 - 1
#: Modes of to_binary_any_b_c that divide by their second operand.
_DIVISIONS = (11, 12, 13)
#: What may be added to operands of so many bytes.
_OFFSETS: Mapping[int, Range] = {1: (-255, 255), 2: None, 4: (0, 0)}


@dataclass(frozen=True, slots=True)
class NumberRange:
    """`count` signed integers of `size` bytes at `offset` that have to be in low..high; of 8 bytes the upper 4."""

    offset: int
    count: int
    low: int
    high: int
    size: int


@dataclass(frozen=True, slots=True)
class _Number:
    """Bytes of the section that hold numbers: `count` elements of `size` bytes."""

    offset: int
    count: int
    size: int
    ranges: tuple[NumberRange, ...] = ()

    @property
    def end(self) -> int:
        return self.offset + self.count * self.size


@dataclass(frozen=True, eq=False)
class DataSection:
    """Offsets are in bytes from the section's start, which is a multiple of 16.

    `params`: (layer, call) -> parameter struct. `constants`: name -> array. `states`: per state the byte that fills
    its initial value, or the initial value's bytes where `uniform[state]` is false. `features`: what a front end
    needs of scale and zero point of the input, by name: `quantization` (int32: numerator, denominator, zero point),
    and arrays of its configuration. `spans`: (offset, bytes) of structure, ascending, apart from each other;
    `ranges`: what numbers must be. `abi` is the hash of the kernels' interfaces, `plan` that of the whole structure,
    `structure` that of the bytes in `spans`. `wrapping`: kernels that numbers can make overflow, to be compiled with
    -fwrapv.
    """

    content: bytes
    params: Mapping[tuple[int, int], int]
    constants: Mapping[str, int]
    states: tuple[int, ...]
    uniform: tuple[bool, ...]
    features: Mapping[str, int]
    spans: tuple[tuple[int, int], ...]
    ranges: tuple[NumberRange, ...]
    abi: bytes
    plan: bytes
    structure: bytes
    wrapping: frozenset[str]


def lay_out(program: Program, features: ModelFeatures | None = None) -> DataSection:
    """Lay out the data section of a program that was lowered by structure, for firmware with the front end `features`.

    Raises ModelError for a number out of its range.
    """
    builder = _Builder(program, features)
    content = bytes(builder.content)
    for number in builder.ranges:
        _check(program, content, number)
    spans = tuple(_complement(builder.numbers, len(content)))
    structure = hashlib.sha256(b"".join(content[at : at + size] for at, size in spans)).digest()
    abi = kernel_abi(program)
    plan = hashlib.sha256("\n".join(_plan_text(program, builder, spans, features)).encode())
    plan.update(abi + structure)
    return DataSection(
        content=content,
        params=builder.params,
        constants=builder.constants,
        states=tuple(builder.states),
        uniform=tuple(uniform_byte(state) is not None for state in program.states),
        features=builder.features,
        spans=spans,
        ranges=builder.ranges,
        abi=abi,
        plan=plan.digest(),
        structure=structure,
        wrapping=frozenset(builder.wrapping),
    )


def kernel_abi(program: Program) -> bytes:
    """SHA-256 of the interfaces of the kernels that a program calls: names, arguments, layouts of parameters."""
    lines = [_ABI]
    for name in program.kernels:
        struct = params_struct(kernel(name).params_type)
        fields = ",".join(f"{f.ctype} {f.name}[{f.count}]@{f.offset}" for f in struct.fields)
        lines.append(f"{name}({','.join(arguments(name))}) {struct.name} {struct.nbytes} {fields}")
    return hashlib.sha256("\n".join(lines).encode()).digest()


def uniform_byte(state: State) -> int | None:
    """The byte that fills the whole initial value, or None."""
    raw = np.frombuffer(state.initial.tobytes(), np.uint8)
    return int(raw[0]) if raw.size and bool((raw == raw[0]).all()) else None


class _Builder:
    def __init__(self, program: Program, features: ModelFeatures | None) -> None:
        self.content = bytearray()
        self.params: dict[tuple[int, int], int] = {}
        self.constants: dict[str, int] = {}
        self.states: list[int] = []
        self.numbers: list[_Number] = []
        self.wrapping = {name for name in program.kernels if not is_exact(name)}
        self._shared: dict[tuple[int, bytes], int] = {}
        uses = _uses(program)
        by_name = {c.name: c for c in program.constants}
        self._by_name = by_name
        for i, layer in enumerate(program.layers):
            for j, call in enumerate(layer.calls):
                self.params[i, j] = self._add_params(call)
                for ref in call.arguments:
                    if isinstance(ref, ConstantRef) and ref.name not in self.constants:
                        self.constants[ref.name] = self._add_constant(by_name[ref.name], uses[ref.name])
        for state in program.states:
            byte = uniform_byte(state)
            raw = state.initial.tobytes() if byte is None else bytes([byte])
            self.states.append(self._put(raw, 1))
            self.numbers.append(_Number(self.states[-1], len(raw), 1))
        self.features = self._add_features(features) if features else {}

    @property
    def ranges(self) -> tuple[NumberRange, ...]:
        return tuple(found for number in self.numbers for found in number.ranges)

    def _add_features(self, features: ModelFeatures) -> dict[str, int]:
        """What depends on the scale of a quantized input."""
        places: dict[str, int] = {}
        if features.tensor.quantization is None:
            return places
        found = features.quantization
        if found is not None:
            values = np.array([found.numerator, found.denominator, found.zero_point], "<i4")
            places["quantization"] = self._put(values.tobytes(), 4)
            for k, allowed in enumerate(((1, _INT32_MAX), (1, _INT32_MAX), None)):
                self._add_number(places["quantization"] + 4 * k, 1, 4, [(0, allowed)])
        fields = features.front_end.c_config().fields
        for name in features.front_end.scaled_fields:
            table = fields[name]
            assert isinstance(table, np.ndarray)
            little = np.ascontiguousarray(table).astype(table.dtype.newbyteorder("<"), copy=False)
            places[name] = self._put(little.tobytes(), 4)
            self._add_number(places[name], table.size, table.dtype.itemsize, [])
        return places

    def _put(self, raw: bytes, alignment: int) -> int:
        self.content += bytes(-len(self.content) % alignment)
        offset = len(self.content)
        self.content += raw
        return offset

    def _add_params(self, call: Call) -> int:
        struct = params_struct(kernel(call.kernel).params_type)
        if call.params.keys() != {field.name for field in struct.fields}:
            raise ValueError(f"{call.kernel}: {sorted(call.params)} are not the fields of {struct.name}")
        raw = bytearray(struct.nbytes)
        for field in struct.fields:
            packed = _packed(field, call.params[field.name])
            raw[field.offset : field.offset + len(packed)] = packed
        offset = self._put(bytes(raw), max(4, struct.alignment))
        for name, allowed in _fields(call, field_numbers(struct.name)).items():
            field = next(field for field in struct.fields if field.name == name)
            self._add_number(offset + field.offset, field.count, field.itemsize, [(0, allowed)])
        return offset

    def _add_constant(self, constant: Constant, uses: list[tuple[Call, str]]) -> int:
        raw = np.ascontiguousarray(constant.data).astype(constant.data.dtype.newbyteorder("<"), copy=False).tobytes()
        size = constant.data.dtype.itemsize
        if any(_is_structure(constant, call, argument) for call, argument in uses):
            key = (constant.alignment, raw)
            if key not in self._shared:
                self._shared[key] = self._put(raw, constant.alignment)
            return self._shared[key]
        offset = self._put(raw, constant.alignment)
        allowed: dict[tuple[int, Range], None] = {}
        for call, argument in uses:
            ranges = constant_numbers(call.kernel)
            allowed[0, ranges[argument]] = None
            allowed |= {(1, ranges[first]): None for first in (f"{argument}[0]",) if first in ranges}
            if argument == "bias":
                allowed[0, self._bias_range(call, constant)] = None
        self._add_number(offset, constant.data.size, size, list(allowed))
        return offset

    def _bias_range(self, call: Call, bias: Constant) -> Range:
        """What keeps the kernel's sums in their bits; None where it wraps around, or where no bias would."""
        sums = accumulator(call.kernel)
        if sums is None:
            return None
        weights = call.arguments[arguments(call.kernel).index("weights")]
        if not isinstance(weights, ConstantRef):
            self.wrapping.add(call.kernel)
            return None
        most = sums.largest_bias(-(-_elements(call, self._by_name[weights.name]) // bias.data.size))
        if most < 0:
            self.wrapping.add(call.kernel)
            return None
        upper = most >> 32 if bias.data.dtype.itemsize == 8 else most
        return (-upper, upper - 1) if bias.data.dtype.itemsize == 8 else (-upper, upper)

    def _add_number(self, offset: int, count: int, size: int, allowed: list[tuple[int, Range]]) -> None:
        """`allowed`: ranges of all elements, or (1, range) of the first one alone."""
        ranges = tuple(
            NumberRange(offset, 1 if first else count, found[0], found[1], size) for first, found in allowed if found
        )
        self.numbers.append(_Number(offset, count, size, ranges))


def _fields(call: Call, numbers: Mapping[str, Range]) -> Mapping[str, Range]:
    """Numbers of a call's parameters: what is added to operands of to_binary_any_b_c must not make them overflow."""
    if call.kernel != "to_binary_any_b_c":
        return numbers
    divides = call.params["mode"] in _DIVISIONS
    offsets = {f"{operand}_offset": _OFFSETS[_integer(call.params[f"{operand}_size"])] for operand in "ab"}
    return {**numbers, **offsets, **({"b_offset": (0, 0)} if divides else {})}


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _elements(call: Call, weights: Constant) -> int:
    return weights.data.size * (2 if call.kernel.endswith("_s4_c") else 1)


def _packed(field: Field, value: Any) -> bytes:
    elements = value if isinstance(value, tuple) else (value,)
    if len(elements) != field.count:
        raise ValueError(f"{field.name} has {len(elements)} elements instead of {field.count}")
    return np.array(elements, dtype=_TYPES[field.ctype]).tobytes()


def _uses(program: Program) -> dict[str, list[tuple[Call, str]]]:
    """Constant -> (call, argument) that read it."""
    found: dict[str, list[tuple[Call, str]]] = {c.name: [] for c in program.constants}
    for layer in program.layers:
        for call in layer.calls:
            for argument, ref in zip(arguments(call.kernel), call.arguments, strict=True):
                if isinstance(ref, ConstantRef):
                    found[ref.name].append((call, argument))
    return found


def _is_structure(constant: Constant, call: Call, argument: str) -> bool:
    """Indices, shapes and divisors are: a model is not trained to have others."""
    if constant.role is Role.DATA and constant.data.dtype.kind in "iu" and constant.data.dtype.itemsize >= 4:
        return True
    if call.kernel == "to_binary_any_b_c" and argument == "b" and call.params["mode"] in _DIVISIONS:
        return True
    return argument not in constant_numbers(call.kernel)


def _complement(numbers: list[_Number], size: int) -> Iterator[tuple[int, int]]:
    at = 0
    for number in sorted(numbers, key=lambda n: n.offset):
        if number.offset > at:
            yield at, number.offset - at
        at = max(at, number.end)
    if at < size:
        yield at, size - at


def _check(program: Program, content: bytes, number: NumberRange) -> None:
    values = np.frombuffer(content, f"<i{number.size}", number.count, number.offset)
    values = values >> 32 if number.size == 8 else values
    if values.size and not (number.low <= values.min() and values.max() <= number.high):
        raise ModelError(
            f"numbers of {int(values.min())}..{int(values.max())} cannot be in a capsule",
            where=f"model {program.name}",
            allowed=f"{number.low}..{number.high}",
        )


def _plan_text(
    program: Program, builder: _Builder, spans: tuple[tuple[int, int], ...], features: ModelFeatures | None
) -> Iterator[str]:
    """All that generated code has compiled in, but for the content of the structure's bytes."""
    yield _PLAN
    yield f"arena {program.arena_bytes} state {program.state_bytes} data {len(builder.content)}"
    for kind, ports in (("input", program.inputs), ("output", program.outputs)):
        for port in ports:
            t = port.tensor
            yield f"{kind} {t.dtype} {list(t.shape)} at {port.offset} quantized {int(t.quantization is not None)}"
    if features is not None:
        settings = features.settings.model_dump_json(exclude_none=True)
        yield f"features {settings} {sorted(builder.features.items())}"
    for state, offset, data in zip(program.states, program.state_offsets, builder.states, strict=True):
        yield f"state {state.nbytes} at {offset} from {data} uniform {int(uniform_byte(state) is not None)}"
    for i, layer in enumerate(program.layers):
        for j, call in enumerate(layer.calls):
            places = ", ".join(_place(ref, builder) for ref in call.arguments)
            yield f"{call.kernel} {builder.params[i, j]}: {places}"
    for at, size in spans:
        yield f"structure {at} {size}"
    for r in builder.ranges:
        yield f"range {r.offset} {r.count} {r.size} {r.low} {r.high}"


def _place(ref: Ref, builder: _Builder) -> str:
    if isinstance(ref, ConstantRef):
        return f"data {constant_offset(ref, builder.constants)} {ref.dtype}"
    space = {ArenaRef: "arena", StateRef: "state"}[type(ref)]
    return f"{space} {ref.offset} {ref.dtype}"


def constant_offset(ref: ConstantRef, constants: Mapping[str, int]) -> int:
    """Byte offset in the data section."""
    return constants[ref.name] + ref.offset * DType(ref.dtype).itemsize
