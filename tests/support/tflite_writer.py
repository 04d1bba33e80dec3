"""Small models from one description: as a tinyops Model and as the bytes of a .tflite file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyops.graph import DType, Graph, Model, Op, Quantization, Tensor
from tinyops.ops.base import NoAttrs, operator

Array = np.ndarray[Any, Any]

_TYPES = {
    DType.INT8: schema.TensorType.INT8,
    DType.UINT8: schema.TensorType.UINT8,
    DType.INT16: schema.TensorType.INT16,
    DType.INT32: schema.TensorType.INT32,
    DType.INT64: schema.TensorType.INT64,
    DType.FLOAT32: schema.TensorType.FLOAT32,
    DType.BOOL: schema.TensorType.BOOL,
    DType.RESOURCE: schema.TensorType.RESOURCE,
}


class GraphBuilder:
    """One subgraph: add tensors and operators, then name inputs and outputs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs: tuple[int, ...] = ()
        self.outputs: tuple[int, ...] = ()

    def tensor(
        self,
        shape: Sequence[int],
        dtype: DType = DType.INT8,
        *,
        scale: float | Sequence[float] | Array | None = None,
        zero_point: int = 0,
        axis: int = 0,
        data: Any = None,
        variable: bool = False,
    ) -> int:
        """Index of a new tensor; scales are rounded to float32, several mean per channel on `axis`."""
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, dtype=np.float32))
            quantization = Quantization(
                tuple(float(s) for s in scales), (zero_point,) * len(scales), axis if len(scales) > 1 else 0
            )
        value = None if data is None else np.ascontiguousarray(data, dtype=dtype.numpy).reshape(shape)
        self.tensors.append(
            Tensor(f"{self.name}_t{len(self.tensors)}", dtype, tuple(shape), quantization, value, variable)
        )
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: DType = DType.INT32) -> int:
        """Index of a new constant without quantization."""
        data = np.asarray(values, dtype=dtype.numpy)
        return self.tensor(data.shape, dtype, data=data)

    def op(
        self,
        kind: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        attrs: Any = None,
        version: int | None = None,
    ) -> None:
        rules = operator(kind)
        assert rules is not None, kind
        self.ops.append(
            Op(
                kind,
                f"{kind.lower()}_{len(self.ops)}",
                tuple(inputs),
                tuple(outputs),
                attrs or NoAttrs(),
                rules.versions[-1] if version is None else version,
            )
        )

    def graph(self) -> Graph:
        return Graph(self.name, tuple(self.tensors), tuple(self.ops), self.inputs, self.outputs)


class ModelBuilder:
    """A model of one or more subgraphs."""

    def __init__(self) -> None:
        self.graphs: list[GraphBuilder] = []

    def graph(self, name: str = "main") -> GraphBuilder:
        self.graphs.append(GraphBuilder(name))
        return self.graphs[-1]

    def build(self) -> tuple[Model, bytes]:
        model = Model("test", tuple(graph.graph() for graph in self.graphs))
        return model, write_tflite(model)


def write_tflite(model: Model) -> bytes:
    """The .tflite of a model without READ_STATE and WRITE_STATE."""
    out = schema.ModelT()
    out.version, out.description = 3, "test"
    out.buffers = [schema.BufferT()]
    out.operatorCodes = []
    codes: dict[tuple[str, int], int] = {}
    out.subgraphs = [_subgraph(graph, out, codes) for graph in model.graphs]
    builder = flatbuffers.Builder(1024)
    builder.Finish(out.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _subgraph(graph: Graph, out: Any, codes: dict[tuple[str, int], int]) -> Any:
    result = schema.SubGraphT()
    result.name = graph.name
    result.tensors = [_tensor(tensor, out) for tensor in graph.tensors]
    result.inputs = np.array(graph.inputs, dtype=np.int32)
    result.outputs = np.array(graph.outputs, dtype=np.int32)
    result.operators = [_operator(op, out, codes) for op in graph.ops]
    return result


def _tensor(tensor: Tensor, out: Any) -> Any:
    result = schema.TensorT()
    result.name, result.type = tensor.name, _TYPES[tensor.dtype]
    result.shape = np.array(tensor.shape, dtype=np.int32)
    result.isVariable = tensor.variable
    result.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.data.tobytes(), dtype=np.uint8)
        out.buffers.append(buffer)
        result.buffer = len(out.buffers) - 1
    if tensor.quantization is not None:
        q = schema.QuantizationParametersT()
        q.scale = np.array(tensor.quantization.scales, dtype=np.float32)
        q.zeroPoint = np.array(tensor.quantization.zero_points, dtype=np.int64)
        q.quantizedDimension = tensor.quantization.axis
        result.quantization = q
    return result


def _operator(op: Op, out: Any, codes: dict[tuple[str, int], int]) -> Any:
    key = (op.kind, op.version)
    if key not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op.kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = op.version
        out.operatorCodes.append(code)
        codes[key] = len(out.operatorCodes) - 1
    result = schema.OperatorT()
    result.opcodeIndex = codes[key]
    result.inputs = np.array([-1 if t is None else t for t in op.inputs], dtype=np.int32)
    rules = operator(op.kind)
    assert rules is not None
    result.outputs = np.array(op.outputs[: len(op.outputs) - len(rules.variables)], dtype=np.int32)
    if rules.options is not None:
        result.builtinOptionsType = getattr(schema.BuiltinOptions, rules.options)
        result.builtinOptions = getattr(schema, f"{rules.options}T")()
        for field in dataclasses.fields(op.attrs):
            words = field.name.split("_")
            name = words[0] + "".join(word.capitalize() for word in words[1:])
            assert hasattr(result.builtinOptions, name), name
            setattr(result.builtinOptions, name, getattr(op.attrs, field.name))
    return result
