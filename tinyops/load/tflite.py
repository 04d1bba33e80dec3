"""TensorFlow Lite flatbuffers to Graph (schema version 3).

The flatbuffers runtime does not verify a buffer, so every count is bounded before it is used and every
exception it can raise on a malformed offset becomes a ModelError.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import math
import re
import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import tflite

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Op, Quantization, Tensor, verify
from tinyops.load.float_weights import float_weights
from tinyops.ops import check
from tinyops.ops.base import Operator, operator, supported
from tinyops.ops.packed import unpack_int4
from tinyops.ops.schema import IDENTIFIER, TENSOR_TYPES, VERSION, Field, option_fields

MAX_FILE_BYTES = 64 * 2**20
MAX_TENSOR_BYTES = 64 * 2**20
_MAX_TENSORS = 20_000
_MAX_OPS = 4_000
_MAX_SUBGRAPHS = 64
_MAX_RANK = 8
_MAX_NAME = 256
_MAX_OPERANDS = 256
#: Scales and zero points of all tensors together; tables of a flatbuffer may be shared, so that a file can hold more.
_MAX_SCALES = 2**20

_DTYPES = {value: dtype for dtype, value in TENSOR_TYPES.items()}
_MALFORMED = (
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    UnicodeDecodeError,
    AttributeError,
    MemoryError,
)


def _enum_names(values: Any) -> dict[int, str]:
    return {v: k for k, v in vars(values).items() if isinstance(v, int)}


_OPERATOR_NAMES = _enum_names(tflite.BuiltinOperator)
_OPTIONS_NAMES = _enum_names(tflite.BuiltinOptions)
_TYPE_NAMES = _enum_names(tflite.TensorType)


def load_tflite(data: bytes, *, name: str = "model") -> Model:
    """Parse and check a .tflite file.

    Raises ModelError naming the tensor or operator, the rule and what is supported.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"model of {len(data):,} bytes", allowed=f"up to {MAX_FILE_BYTES:,} bytes")
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ModelError("not a TensorFlow Lite model: the file identifier TFL3 is missing")
    try:
        model = _Reader(data).model(name)
    except _MALFORMED as error:
        raise ModelError(
            "the file is damaged: a flatbuffer offset or length is out of range",
            hint="export the model again, or compare the file's size with the original's",
        ) from error
    verify(model)
    model = float_weights(model, len(data))
    check(model)
    return model


def _fail(what: str, where: str, allowed: str | None = None) -> NoReturn:
    raise ModelError(what, where=where, allowed=allowed)


def _bounded(count: int, limit: int, what: str, where: str = "model") -> range:
    if not 0 <= count <= limit:
        _fail(f"{count:,} {what}", where, f"up to {limit:,}")
    return range(count)


def _text(raw: bytes | None) -> str:
    """A name for people: printable ASCII, bounded."""
    text = (raw or b"")[:_MAX_NAME].decode("utf-8", "replace")
    return re.sub(r"[^\x20-\x7e]", "?", text)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.file_bytes = len(data)
        self.root = tflite.Model.GetRootAsModel(data, 0)
        self.tensors = self.ops = self.scales = 0
        self.unpacked: dict[tuple[int, int], np.ndarray[Any, Any]] = {}

    def model(self, name: str) -> Model:
        version = self.root.Version()
        if version != VERSION:
            _fail(f"schema version {version}", "model", f"version {VERSION}")
        _bounded(self.root.BuffersLength(), _MAX_TENSORS * 2, "buffers")
        codes = [self._operator_code(i) for i in _bounded(self.root.OperatorCodesLength(), _MAX_OPS, "operator codes")]
        graphs = tuple(
            self._graph(self.root.Subgraphs(i), i, codes)
            for i in _bounded(self.root.SubgraphsLength(), _MAX_SUBGRAPHS, "subgraphs")
        )
        if not graphs:
            _fail("no subgraphs", "model", "at least one")
        return Model(name, graphs)

    def _operator_code(self, i: int) -> tuple[str, int]:
        code = self.root.OperatorCodes(i)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATOR_NAMES.get(builtin, f"builtin operator {builtin}")
        if name == "CUSTOM":
            name = f"custom operator {_text(code.CustomCode())!r}"
        return name, code.Version()

    def _graph(self, raw: Any, index: int, codes: list[tuple[str, int]]) -> Graph:
        name = _text(raw.Name()) or f"graph{index}"
        self.tensors += raw.TensorsLength()
        self.ops += raw.OperatorsLength()
        _bounded(self.tensors, _MAX_TENSORS, "tensors")
        _bounded(self.ops, _MAX_OPS, "operators")
        tensors = tuple(self._tensor(raw.Tensors(i), i, name) for i in range(raw.TensorsLength()))
        ops = tuple(self._op(raw.Operators(i), i, name, codes, len(tensors)) for i in range(raw.OperatorsLength()))
        inputs = [raw.Inputs(i) for i in _bounded(raw.InputsLength(), _MAX_OPERANDS, "inputs", name)]
        outputs = [raw.Outputs(i) for i in _bounded(raw.OutputsLength(), _MAX_OPERANDS, "outputs", name)]
        for t in (*inputs, *outputs, *(t for op in ops for t in op.outputs)):
            if 0 <= t < len(tensors) and tensors[t].variable:
                _fail("a variable tensor is an input or an output", f"graph {name}, tensor {t} ({tensors[t].name})")
        tensors, ops = _add_updates(tensors, ops, name)
        return Graph(name, tensors, ops, tuple(inputs), tuple(outputs))

    def _tensor(self, raw: Any, index: int, graph: str) -> Tensor:
        name = _text(raw.Name()) or f"t{index}"
        where = f"graph {graph}, tensor {index} ({name})"
        dtype = _DTYPES.get(raw.Type())
        if dtype is None:
            _fail(
                f"dtype {_TYPE_NAMES.get(raw.Type(), raw.Type())} is not supported",
                where,
                ", ".join(d.value for d in _DTYPES.values()),
            )
        shape = tuple(raw.Shape(i) for i in _bounded(raw.ShapeLength(), _MAX_RANK, "dimensions", where))
        if any(d < 0 for d in shape):
            _fail(f"shape {list(shape)} has a negative dimension", where, "fixed, positive dimensions")
        if not raw.ShapeSignatureIsNone() and any(
            raw.ShapeSignature(i) < 0 and i > 0
            for i in _bounded(raw.ShapeSignatureLength(), _MAX_RANK, "dimensions", where)
        ):
            _fail("a dimension other than the batch is dynamic", where, "fixed dimensions; export with a fixed shape")
        if math.prod(shape) * dtype.itemsize > MAX_TENSOR_BYTES:
            _fail(
                f"shape {list(shape)} takes {math.prod(shape) * dtype.itemsize:,} bytes",
                where,
                f"up to {MAX_TENSOR_BYTES:,} bytes",
            )
        if raw.Sparsity() is not None:
            _fail("sparse tensors are not supported", where, "dense tensors")
        data = self._constant(raw.Buffer(), dtype, shape, where)
        if raw.IsVariable() and (data is not None or dtype is DType.RESOURCE):
            _fail("a variable tensor holds constant data or a handle", where, "variables that start empty")
        return Tensor(
            name, dtype, shape, self._quantization(raw, dtype, len(shape), where), data, bool(raw.IsVariable())
        )

    def _constant(self, buffer: int, dtype: DType, shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any] | None:
        if not 0 <= buffer < max(self.root.BuffersLength(), 1):
            _fail(f"buffer {buffer} does not exist", where, f"0 to {self.root.BuffersLength() - 1}")
        if buffer == 0:
            return None
        raw = self.root.Buffers(buffer)
        if raw.Offset() > 1 or raw.Size() > 1:
            _fail("data outside of the flatbuffer is not supported", where, "a model under 2 GB in one flatbuffer")
        length = raw.DataLength()
        if length == 0:
            return None
        if length > self.file_bytes:
            _fail(f"buffer of {length:,} bytes in a file of {self.file_bytes:,}", where)
        expected = dtype.stored_bytes(math.prod(shape))
        if length != expected:
            _fail(f"{length:,} bytes of data", where, f"{expected:,} bytes, by shape {list(shape)} and {dtype}")
        # One copy or none: tensors may share one buffer.
        if dtype is DType.INT4:
            key = buffer, math.prod(shape)
            if key not in self.unpacked:
                self.unpacked[key] = unpack_int4(raw.DataAsNumpy(), math.prod(shape))
            return self.unpacked[key].reshape(shape)
        view: np.ndarray[Any, Any] = raw.DataAsNumpy().view(dtype.numpy.newbyteorder("<")).reshape(shape)
        return view

    def _quantization(self, raw: Any, dtype: DType, rank: int, where: str) -> Quantization | None:
        q = raw.Quantization()
        if q is None or dtype in (DType.FLOAT32, DType.FLOAT16, DType.BOOL, DType.RESOURCE):
            return None
        if q.DetailsType() != 0:
            _fail("custom quantization is not supported", where, "affine quantization (scale, zero point)")
        self.scales += q.ScaleLength() + q.ZeroPointLength()
        _bounded(self.scales, _MAX_SCALES, "scales and zero points in all")
        scales = tuple(float(q.Scale(i)) for i in _bounded(q.ScaleLength(), 65536, "scales", where))
        zeros = tuple(int(q.ZeroPoint(i)) for i in _bounded(q.ZeroPointLength(), 65536, "zero points", where))
        if not scales:
            return None
        if not zeros:
            zeros = (0,) * len(scales)
        # The biases of some converters name an axis of the weights; they have one alone.
        axis = q.QuantizedDimension() if len(scales) > 1 and rank > 1 else 0
        return Quantization(scales, zeros, axis)

    def _op(self, raw: Any, index: int, graph: str, codes: list[tuple[str, int]], tensors: int) -> Op:
        opcode = raw.OpcodeIndex()
        if not 0 <= opcode < len(codes):
            _fail(
                f"operator code {opcode} does not exist", f"graph {graph}, operator {index}", f"0 to {len(codes) - 1}"
            )
        kind, version = codes[opcode]
        name = f"{kind.lower()}_{index}"
        where = f"graph {graph}, operator {index} ({kind})"
        definition = operator(kind)
        if definition is None or not definition.importable:
            known = ", ".join(k for k, d in supported().items() if d.importable)
            _fail(f"{kind} is not supported", where, known)
        if version not in definition.versions:
            _fail(
                f"version {version} of {kind} is not supported",
                where,
                f"versions {definition.versions[0]} to {definition.versions[-1]}",
            )
        operands: list[tuple[int | None, ...]] = []
        for length, item in ((raw.InputsLength(), raw.Inputs), (raw.OutputsLength(), raw.Outputs)):
            operands.append(
                tuple(_operand(item(i), tensors, where) for i in _bounded(length, _MAX_OPERANDS, "operands", where))
            )
        outputs = tuple(t for t in operands[1] if t is not None)
        if len(outputs) != len(operands[1]):
            _fail("an output is absent", where)
        found = _bounded(raw.IntermediatesLength(), _MAX_OPERANDS, "intermediate tensors", where)
        intermediates = tuple(raw.Intermediates(i) for i in found)
        if intermediates and not definition.intermediates:
            _fail("intermediate tensors are not supported", where)
        if not all(0 <= t < tensors for t in intermediates):
            _fail("an intermediate tensor does not exist", where, f"0 to {tensors - 1}")
        return Op(kind, name, operands[0], outputs, _attributes(raw, definition, where), version, intermediates)


def _add_updates(
    tensors: tuple[Tensor, ...], ops: tuple[Op, ...], graph: str
) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """A tensor for the new value of each variable that an operator updates in place: its last outputs."""
    found, added = [], list(tensors)
    for op in ops:
        definition = operator(op.kind)
        updates = () if definition is None else definition.variables
        for i, t in enumerate(op.inputs):
            if t is not None and tensors[t].variable and i not in updates:
                _fail(
                    f"input {i} is the variable tensor {tensors[t].name}",
                    f"graph {graph}, operator {op.name} ({op.kind})",
                    "variables as state of SVDF or UNIDIRECTIONAL_SEQUENCE_LSTM",
                )
        outputs = list(op.outputs)
        for i in updates:
            state = op.inputs[i] if i < len(op.inputs) else None
            if state is None or not tensors[state].variable:
                _fail(f"input {i} is not a variable tensor", f"graph {graph}, operator {op.name} ({op.kind})")
            outputs.append(len(added))
            value = tensors[state]
            added.append(dataclasses.replace(value, name=f"{value.name[: _MAX_NAME - 5]}_next", variable=False))
        found.append(dataclasses.replace(op, outputs=tuple(outputs)))
    return tuple(added), tuple(found)


def _operand(index: int, tensors: int, where: str) -> int | None:
    if index == -1:
        return None
    if not 0 <= index < tensors:
        _fail(f"tensor {index} does not exist", where, f"0 to {tensors - 1}, or -1 for an absent input")
    return index


def _attributes(raw: Any, definition: Operator, where: str) -> Any:
    """Fill `definition.attrs` from the operator's options table, field by field."""
    fields = option_fields(definition)
    if not fields:
        return definition.attrs()
    expected = definition.options
    given = _OPTIONS_NAMES.get(raw.BuiltinOptionsType(), str(raw.BuiltinOptionsType()))
    table = raw.BuiltinOptions()
    if table is None or given != expected:
        defaults = [f.default for f in dataclasses.fields(definition.attrs)]
        if given == "NONE" and dataclasses.MISSING not in defaults:
            return definition.attrs()
        _fail(f"options table is {given}", where, str(expected))
    options = getattr(importlib.import_module(f"tflite.{expected}"), str(expected))()
    options.Init(table.Bytes, table.Pos)
    return definition.attrs(**{field.name: _attribute(options, field, where) for field in fields})


def _attribute(options: Any, field: Field, where: str) -> Any:
    kind, accessor = field.type, field.accessor
    if field.is_vector:
        length = getattr(options, f"{accessor}Length")()
        return tuple(int(getattr(options, accessor)(i)) for i in _bounded(length, _MAX_OPERANDS, field.name, where))
    value = getattr(options, accessor)()
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        if value not in {int(member) for member in kind}:
            _fail(f"{field.name} {value} is not supported", where, ", ".join(m.name for m in kind))
        return kind(value)
    if kind is str:
        return _text(value)
    convert: Callable[[Any], Any] = kind
    return convert(value)
