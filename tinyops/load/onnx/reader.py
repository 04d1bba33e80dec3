"""From the bytes of an ONNX file to a Model: decoding, graph inputs, constants, then one node after the other."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tinyops.errors import MissingToolError, ModelError, UsageError
from tinyops.graph import Model, verify
from tinyops.load.onnx import limits
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import Importer, importers
from tinyops.load.onnx.tensors import decode, dtype_of
from tinyops.load.onnx.value import HELD_AS, Value
from tinyops.ops import check

Shapes = Mapping[str, Sequence[int]]

_DEFAULT_DOMAINS = ("", "ai.onnx")
_HINT = "--shape NAME=1,3,224,224 fixes the shape of an input"
#: AttributeProto.AttributeType.
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = range(1, 9)
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    RecursionError,
    TypeError,
    UnicodeError,
    ValueError,
)


def load_onnx(data: bytes, *, name: str = "model", folder: Path | None = None, shapes: Shapes | None = None) -> Model:
    """Parse and check an ONNX file.

    `folder` is where external data may lie. `shapes` fixes the shapes of inputs by name; a symbolic batch (the first
    dimension) is 1 otherwise. Raises ModelError naming the node, the rule and what is supported, UsageError for
    `shapes` that do not fit the inputs, and MissingToolError where the package `onnx` is not installed.
    """
    if len(data) > limits.MAX_FILE_BYTES:
        raise ModelError(f"model of {len(data):,} bytes", allowed=f"up to {limits.MAX_FILE_BYTES:,} bytes")
    proto = _decoded(data)
    builder = Builder()
    try:
        model = _Reader(proto, builder, folder, shapes or {}).model(name)
    except _MALFORMED as error:
        raise ModelError("the file is damaged or its values do not fit together", where=builder.where) from error
    verify(model)
    check(model)
    return model


def _decoded(data: bytes) -> Any:
    try:
        onnx = importlib.import_module("onnx")
        errors = importlib.import_module("google.protobuf.message")
    except ImportError:
        raise MissingToolError("the Python package onnx is not installed", hint='pip install "tinyops[onnx]"') from None
    try:
        return onnx.ModelProto.FromString(data)
    except (errors.DecodeError, *_MALFORMED) as error:
        raise ModelError(
            "not an ONNX model, or a damaged one: its protobuf message cannot be decoded",
            hint="export the model again, or compare the file's size with the original's",
        ) from error


def text(raw: str | bytes) -> str:
    """A name for people: printable ASCII, bounded. Protobuf gives bytes where a name is not UTF-8."""
    short = raw[: limits.MAX_NAME]
    return re.sub(r"[^\x20-\x7e]", "?", short if isinstance(short, str) else short.decode("utf-8", "replace"))


def _fail(what: str, where: str, allowed: str | None = None, hint: str | None = None) -> NoReturn:
    raise ModelError(what, where=where, allowed=allowed, hint=hint)


def _bounded(items: Any, limit: int, what: str, where: str = "model") -> Any:
    if len(items) > limit:
        _fail(f"{len(items):,} {what}", where, f"up to {limit:,}")
    return items


class _Reader:
    """`values` are what names stand for at this point of the graph."""

    def __init__(self, proto: Any, builder: Builder, folder: Path | None, shapes: Shapes) -> None:
        self.proto = proto
        self.builder = builder
        self.folder = folder
        self.shapes = shapes
        self.opset = 0
        self.values: dict[str, Value] = {}
        self.importers: Mapping[str, Importer] = importers()

    def model(self, name: str) -> Model:
        self.opset = self._opset()
        graph = self.proto.graph
        _bounded(graph.node, limits.MAX_NODES, "nodes")
        if len(graph.sparse_initializer):
            _fail("sparse initializers are not supported", "model", "dense ones")
        for tensor in _bounded(graph.initializer, limits.MAX_INITIALIZERS, "initializers"):
            self._constant(tensor)
        given = [i for i in _bounded(graph.input, limits.MAX_OPERANDS, "inputs") if i.name not in self.values]
        if unknown := set(self.shapes) - {i.name for i in given}:
            raise UsageError(
                f"no input is named {', '.join(sorted(unknown))}",
                where="shapes",
                allowed=", ".join(text(i.name) for i in given) or "none: the model has no inputs",
            )
        inputs = [self._input(i) for i in given]
        for k, node in enumerate(graph.node):
            self._node(node, k)
        self.builder.where = "model"
        if not len(graph.output):
            _fail("no outputs", "model", "at least one")
        outputs = [self._output(o.name) for o in _bounded(graph.output, limits.MAX_OPERANDS, "outputs")]
        main = self.builder.graph([v.index for v in inputs if v.index is not None], outputs)
        metadata = {"format": "onnx", "opset": str(self.opset), "producer": text(self.proto.producer_name)}
        return Model(name, (main,), metadata=metadata)

    def _opset(self) -> int:
        if not self.proto.HasField("graph"):
            _fail("not an ONNX model: it has no graph", "model")
        found = [o.version for o in self.proto.opset_import if o.domain in _DEFAULT_DOMAINS]
        if not found or found[0] not in limits.OPSETS:
            _fail(
                f"opset {found[0]}" if found else "the model names no opset",
                "model",
                f"opset {limits.OPSETS[0]} to {limits.OPSETS[-1]}",
                "export with opset_version=17",
            )
        return int(found[0])

    def _constant(self, tensor: Any) -> None:
        where = f"initializer {text(tensor.name)}"
        self.builder.where = where
        self.values[tensor.name] = self.builder.constant(decode(tensor, where, self.folder), text(tensor.name))

    def _input(self, info: Any) -> Value:
        where = f"input {text(info.name)}"
        self.builder.where = where
        if not info.type.HasField("tensor_type"):
            _fail("is no tensor", where, "tensors")
        kind = info.type.tensor_type
        dtype = HELD_AS.get(dtype_of(kind.elem_type, where).name)
        if dtype is None:
            _fail(f"dtype {dtype_of(kind.elem_type, where)}", where, ", ".join(HELD_AS))
        value = self.builder.add_input(text(info.name), dtype, self._shape(info.name, kind, where))
        self.values[info.name] = value
        return value

    def _shape(self, name: str, kind: Any, where: str) -> tuple[int, ...]:
        if not kind.HasField("shape") and name not in self.shapes:
            _fail("has no shape", where, "a fixed shape", _HINT)
        known = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        _bounded(known, limits.MAX_RANK, "dimensions", where)
        if name in self.shapes:
            chosen = tuple(int(d) for d in self.shapes[name])
            fits = not kind.HasField("shape") or (
                len(chosen) == len(known) and all(k in (None, c) or k <= 0 for k, c in zip(known, chosen, strict=True))
            )
            if not fits or any(d < 1 for d in chosen):
                symbols = ", ".join(text(d.dim_param) or str(d.dim_value) for d in kind.shape.dim)
                raise UsageError(f"shape {list(chosen)} does not fit", where=where, allowed=f"[{symbols}]")
            return chosen
        shape = []
        for k, (size, dim) in enumerate(zip(known, kind.shape.dim, strict=True)):
            if size is None or size <= 0:
                if k > 0:
                    symbol = text(dim.dim_param) or "unknown"
                    _fail(
                        f"dimension {k} is dynamic ({symbol})", where, "a fixed size; the batch alone may vary", _HINT
                    )
                size = 1
            shape.append(int(size))
        return tuple(shape)

    def _output(self, name: str) -> Value:
        if name not in self.values:
            _fail("no node computes this output", f"output {text(name)}")
        return self.values[name]

    def _node(self, proto: Any, k: int) -> None:
        standard = proto.domain in _DEFAULT_DOMAINS
        kind = proto.op_type if standard else f"{proto.domain}::{proto.op_type}"
        label = text(proto.name or (proto.output[0] if len(proto.output) else "") or str(k))
        where = f"node {label} ({text(kind)})"
        self.builder.where = where
        function = self.importers.get(kind)
        if function is None:
            self._unknown(proto, text(kind), where)
        names = _bounded(proto.input, limits.MAX_OPERANDS, "inputs", where)
        missing = [n for n in names if n and n not in self.values]
        if missing:
            _fail(f"reads {text(missing[0])}, which nothing before it computes", where)
        outputs = tuple(_bounded(proto.output, limits.MAX_OPERANDS, "outputs", where))
        self.builder.name = text(outputs[0] if outputs else label)
        inputs = tuple(self.values[n] if n else None for n in names)
        node = Node(text(kind), label, inputs, outputs, self._attributes(proto, where), self.opset)
        results = function(self.builder, node)
        found = [results] if isinstance(results, Value) else list(results)
        for position, name in enumerate(outputs):
            if not name:
                continue
            if position >= len(found):
                _fail(f"output {position} ({text(name)}) is not supported", where, f"{len(found)} outputs")
            if name in self.values:
                _fail(f"computes {text(name)}, which has a value already", where)
            self.values[name] = self.builder.named(found[position], text(name))

    def _unknown(self, proto: Any, kind: str, where: str) -> NoReturn:
        if any(f.name == proto.op_type and f.domain == proto.domain for f in self.proto.functions):
            _fail(
                "is a function of the model",
                where,
                "operators",
                "python -m onnx.inliner or onnx.inliner.inline_local_functions",
            )
        _fail(f"{kind} is not supported", where, ", ".join(self.importers))

    def _attributes(self, proto: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for a in _bounded(proto.attribute, limits.MAX_ATTRIBUTES, "attributes", where):
            place = f"{where}, attribute {text(a.name)}"
            if a.type == _FLOAT:
                found[a.name] = float(a.f)
            elif a.type == _INT:
                found[a.name] = int(a.i)
            elif a.type == _STRING:
                found[a.name] = a.s[: limits.MAX_NAME].decode("utf-8", "replace")
            elif a.type == _TENSOR:
                found[a.name] = decode(a.t, place, self.folder)
            elif a.type == _FLOATS:
                found[a.name] = [float(v) for v in _bounded(a.floats, limits.MAX_ATTRIBUTE_VALUES, "values", place)]
            elif a.type == _INTS:
                found[a.name] = [int(v) for v in _bounded(a.ints, limits.MAX_ATTRIBUTE_VALUES, "values", place)]
            elif a.type == _STRINGS:
                strings = _bounded(a.strings, limits.MAX_OPERANDS, "values", place)
                found[a.name] = [s[: limits.MAX_NAME].decode("utf-8", "replace") for s in strings]
            else:
                _fail("holds a graph or a type that is not supported", place, "numbers, texts and tensors")
        return found
