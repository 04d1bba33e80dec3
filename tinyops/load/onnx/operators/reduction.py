"""Reductions."""

from __future__ import annotations

from tinyops.load.onnx.arithmetic import binary, reduce, unary
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.operators.shapes import axes_of
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value

_KINDS = {
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
    "ReduceL2": "SUM",
    "ReduceSumSquare": "SUM",
}


@importer(*_KINDS)
def reduction(g: Builder, node: Node) -> Value:
    """Constant axes."""
    x = node.input()
    axes = axes_of(node, x.rank, since=13 if node.kind == "ReduceSum" else 18)
    if not axes:
        if node.attr_int("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.rank))
    if node.kind in ("ReduceL2", "ReduceSumSquare"):
        x = binary(g, "MUL", x, x)
    result = reduce(g, _KINDS[node.kind], x, axes, keep=bool(node.attr_int("keepdims", 1)))
    return unary(g, "SQRT", result) if node.kind == "ReduceL2" else result


@importer("ReduceProd")
def product(g: Builder, node: Node) -> Value:
    """Of a constant."""
    data = node.constant(0)
    axes = axes_of(node, data.ndim, since=18) or list(range(data.ndim))
    return g.constant(data.prod(axis=tuple(axes), keepdims=bool(node.attr_int("keepdims", 1)), dtype=data.dtype))
