"""Model to a TensorFlow Lite flatbuffer (schema version 3) that TFLite Micro and LiteRT load."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import flatbuffers
import numpy as np
import tflite

from tinyops.errors import ModelError
from tinyops.graph import Graph, Model, OpView, Quantization, Tensor
from tinyops.ops.base import Operator, operator
from tinyops.ops.packed import pack
from tinyops.ops.schema import IDENTIFIER, TENSOR_TYPES, VERSION, Field, option_fields
from tinyops.save.complete import complete
from tinyops.save.state import restore_state
from tinyops.save.versions import minimum_runtime, required_version

_ALIGNMENT = 16
#: Of the metadata entry min_runtime_version, which is padded with zeros.
_RUNTIME_BYTES = 16
#: Operator codes up to here also stand in the field that readers before schema version 3a know.
_LAST_DEPRECATED_CODE = 127


def write_tflite(model: Model, *, for_litert: bool = True) -> bytes:
    """The .tflite file of a model as it was imported, quantized or left by the passes.

    Equal constants are stored once, each aligned to 16 bytes. An operator gets its own version, or the lowest one
    that its types and attributes require where that is higher. With `for_litert` it also gets what LiteRT alone
    requires (tinyops.save.complete). Raises ModelError for an operator or a state that no file can hold.
    """
    model = restore_state(model)
    return _Writer().model(complete(model) if for_litert else model)


class _Writer:
    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 16)
        self.buffers: list[bytes] = [b""]
        self.buffer_index: dict[bytes, int] = {}
        self.codes: dict[tuple[str, int], int] = {}

    def model(self, model: Model) -> bytes:
        graphs = self._tables([self._graph(graph) for graph in model.graphs])
        runtime = minimum_runtime(self.codes).encode().ljust(_RUNTIME_BYTES, b"\0")
        metadata = self._tables(
            [self._table("Metadata", Name=self._string("min_runtime_version"), Buffer=self._buffer(runtime))]
        )
        codes = self._tables([self._operator_code(kind, version) for kind, version in self.codes])
        buffers = self._tables([self._table("Buffer", Data=self._bytes(data)) for data in self.buffers])
        root = self._table(
            "Model",
            Version=VERSION,
            OperatorCodes=codes,
            Subgraphs=graphs,
            Description=self._string("tinyops"),
            Buffers=buffers,
            Metadata=metadata,
        )
        self.builder.Finish(root, IDENTIFIER)
        return bytes(self.builder.Output())

    def _operator_code(self, kind: str, version: int) -> int:
        code = getattr(tflite.BuiltinOperator, kind)
        return self._table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(code, _LAST_DEPRECATED_CODE),
            Version=version,
            BuiltinCode=code,
        )

    def _graph(self, graph: Graph) -> int:
        """Without the tensors that stand for new values of variables."""
        updates = {t for op in graph.ops for t in op.outputs[len(op.outputs) - len(_definition(op.kind).variables) :]}
        kept = [t for t in range(len(graph.tensors)) if t not in updates]
        index = dict(zip(kept, range(len(kept)), strict=True))
        return self._table(
            "SubGraph",
            Tensors=self._tables([self._tensor(graph.tensors[t]) for t in kept]),
            Inputs=self._integers([index[t] for t in graph.inputs]),
            Outputs=self._integers([index[t] for t in graph.outputs]),
            Operators=self._tables([self._operator(view, index) for view in graph.views()]),
            Name=self._string(graph.name),
        )

    def _tensor(self, tensor: Tensor) -> int:
        buffer = 0 if tensor.data is None else self._buffer(pack(tensor.dtype, tensor.data))
        return self._table(
            "Tensor",
            Shape=self._integers(tensor.shape),
            Type=TENSOR_TYPES[tensor.dtype],
            Buffer=buffer,
            Name=self._string(tensor.name),
            Quantization=None if tensor.quantization is None else self._quantization(tensor.quantization),
            IsVariable=tensor.variable,
            HasRank=True,
        )

    def _quantization(self, q: Quantization) -> int:
        return self._table(
            "QuantizationParameters",
            Scale=self._vector(np.array(q.scales, dtype="<f4")),
            ZeroPoint=self._vector(np.array(q.zero_points, dtype="<i8")),
            QuantizedDimension=q.axis,
        )

    def _operator(self, view: OpView, index: Mapping[int, int]) -> int:
        """`index` leads from the graph's tensors to the file's."""
        definition = _definition(view.kind)
        version = max(view.op.version, required_version(view))
        code = self.codes.setdefault((view.kind, version), len(self.codes))
        written = len(view.op.outputs) - len(definition.variables)
        fields: dict[str, Any] = {}
        options, values = self._options(definition, view)
        if options is not None:
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options)
            fields["BuiltinOptions"] = self._table(options, **values)
        if view.op.intermediates:
            fields["Intermediates"] = self._integers([index[t] for t in view.op.intermediates])
        return self._table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self._integers([-1 if t is None else index[t] for t in view.op.inputs]),
            Outputs=self._integers([index[t] for t in view.op.outputs[:written]]),
            **fields,
        )

    def _options(self, definition: Operator, view: OpView) -> tuple[str | None, dict[str, Any]]:
        """Name and fields of the options table: from the attributes, or from the tensors where LiteRT wants that."""
        if view.kind in ("ARG_MAX", "ARG_MIN"):
            return f"Arg{view.kind[4:].capitalize()}Options", {"OutputType": TENSOR_TYPES[view.output().dtype]}
        if view.kind == "SHAPE":
            return "ShapeOptions", {"OutType": TENSOR_TYPES[view.output().dtype]}
        if view.kind == "RESHAPE" and view.optional(1) is None:
            return "ReshapeOptions", {"NewShape": self._integers(view.output().shape)}
        fields = option_fields(definition) if definition.options else ()
        return definition.options, {f.accessor: self._value(f, getattr(view.attrs, f.name)) for f in fields}

    def _value(self, field: Field, value: Any) -> Any:
        if field.is_vector:
            return self._integers(value)
        return self._string(value) if field.type is str else value

    def _buffer(self, data: bytes) -> int:
        """Index of the buffer with these bytes."""
        key = hashlib.sha256(data).digest()
        if key not in self.buffer_index:
            self.buffer_index[key] = len(self.buffers)
            self.buffers.append(data)
        return self.buffer_index[key]

    def _table(self, name: str, **fields: Any) -> int:
        """A table; strings, vectors and tables in `fields` are offsets, None leaves a field out."""
        self._call(f"{name}Start")()
        for accessor, value in fields.items():
            if value is not None:
                self._call(f"{name}Add{accessor}")(value)
        return int(self._call(f"{name}End")())

    def _call(self, function: str) -> Callable[..., Any]:
        return partial(getattr(tflite, function), self.builder)

    def _string(self, text: str) -> int:
        return int(self.builder.CreateSharedString(text))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _integers(self, values: Sequence[int]) -> int:
        return self._vector(np.array(values, dtype="<i4"))

    def _vector(self, values: np.ndarray[Any, Any]) -> int:
        return int(self.builder.CreateNumpyVector(values))

    def _bytes(self, data: bytes) -> int | None:
        """An aligned vector, or None for no data."""
        if not data:
            return None
        self.builder.StartVector(1, len(data), _ALIGNMENT)
        start = self.builder.head = self.builder.Head() - len(data)
        self.builder.Bytes[start : start + len(data)] = data
        return int(self.builder.EndVector())


def _definition(kind: str) -> Operator:
    definition = operator(kind)
    if definition is None or not definition.importable:
        _fail(f"{kind} cannot stand in a .tflite file", "the model to write")
    return definition


def _fail(what: str, where: str) -> NoReturn:
    raise ModelError(what, where=where, allowed="a model as it was imported or quantized")
