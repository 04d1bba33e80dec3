"""The structural verifier: rules that hold for every graph, whatever its operators mean."""

from __future__ import annotations

import math

import numpy as np

from tinyops.errors import VerifyError
from tinyops.graph.types import DType, Graph, Model, Quantization, Tensor

_INT_RANGE = {
    DType.INT4: (-8, 7),
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.INT32: (-(2**31), 2**31 - 1),
}
_FLOATS = (DType.FLOAT32, DType.FLOAT16)
_CONSTANTS_ONLY = (DType.INT4, DType.FLOAT16)


def verify(model: Model, after: str = "load") -> None:
    """Raise VerifyError, naming the op or tensor and the broken rule; `after` names the pass that ran."""
    if not model.graphs:
        raise VerifyError("a model has at least one graph", where=f"after {after}")
    for state in model.states:
        if tuple(state.initial.shape) != state.shape or state.initial.dtype != state.dtype.numpy:
            raise VerifyError(
                "initial value has another shape or dtype than the state",
                where=f"after {after}, state {state.name}",
            )
    for graph in model.graphs:
        _verify_graph(graph, after)


def _verify_graph(graph: Graph, after: str) -> None:
    count = len(graph.tensors)

    def fail(rule: str, where: str) -> None:
        raise VerifyError(rule, where=f"after {after}, graph {graph.name}, {where}")

    for i, tensor in enumerate(graph.tensors):
        rule = _tensor_rule(tensor)
        if rule:
            fail(rule, f"tensor {i} ({tensor.name})")
    for what, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for t in indices:
            if not 0 <= t < count:
                fail(f"index {t} out of range: the graph has {count} tensors", what)
    if len(set(graph.inputs)) != len(graph.inputs):
        fail("a tensor is listed twice", "inputs")
    for t in graph.inputs:
        if graph.tensors[t].is_constant:
            fail("a graph input is not a constant", f"tensor {t} ({graph.tensors[t].name})")

    written = set(graph.inputs)
    names: set[str] = set()
    for op in graph.ops:
        where = f"op {op.name} ({op.kind})"
        if op.name in names:
            fail("operator names are unique", where)
        names.add(op.name)
        for index in (*op.inputs, *op.outputs, *op.intermediates):
            if index is not None and not 0 <= index < count:
                fail(f"tensor index {index} out of range: the graph has {count} tensors", where)
        for index in op.inputs:
            if index is not None and index not in written and not _has_value(graph.tensors[index]):
                fail(
                    f"reads tensor {index} ({graph.tensors[index].name}) before an operator has written it",
                    where,
                )
        for index in op.outputs:
            tensor = graph.tensors[index]
            if tensor.is_constant:
                fail(f"writes the constant {index} ({tensor.name})", where)
            if index in written:
                fail(
                    f"writes tensor {index} ({tensor.name}), which is written already: one producer each",
                    where,
                )
            written.add(index)
    for t in graph.outputs:
        if t not in written and not graph.tensors[t].is_constant:
            fail("no operator writes this output", f"tensor {t} ({graph.tensors[t].name})")


def _has_value(tensor: Tensor) -> bool:
    """Without an operator that writes it."""
    return tensor.is_constant or tensor.variable


def _tensor_rule(tensor: Tensor) -> str | None:
    if any(d < 0 for d in tensor.shape):
        return f"shape {list(tensor.shape)} has a negative dimension"
    if tensor.data is not None and (
        tuple(tensor.data.shape) != tensor.shape or tensor.data.dtype != tensor.dtype.numpy
    ):
        return "constant data has another shape or dtype than the tensor"
    if tensor.data is None and tensor.dtype in _CONSTANTS_ONLY:
        return f"dtype {tensor.dtype} is for constants only"
    if tensor.data is not None and tensor.dtype in _FLOATS and np.isnan(tensor.data).any():
        return "constant data holds NaN"
    if tensor.quantization is not None:
        return _quantization_rule(tensor, tensor.quantization)
    return None


def _quantization_rule(tensor: Tensor, q: Quantization) -> str | None:
    if not q.scales or len(q.scales) != len(q.zero_points):
        return f"{len(q.scales)} scales and {len(q.zero_points)} zero points: one of each per channel"
    for scale in q.scales:
        if not math.isfinite(scale) or scale <= 0:
            return f"scale {scale} is not a positive finite number"
    bounds = _INT_RANGE.get(tensor.dtype)
    if bounds:
        for zero_point in q.zero_points:
            if not bounds[0] <= zero_point <= bounds[1]:
                return f"zero point {zero_point} is outside {tensor.dtype}"
    if q.per_channel:
        if not 0 <= q.axis < len(tensor.shape):
            return f"quantized axis {q.axis} of a tensor with {len(tensor.shape)} dimensions"
        if len(q.scales) != tensor.shape[q.axis]:
            return f"{len(q.scales)} scales for {tensor.shape[q.axis]} channels on axis {q.axis}"
    return None
