"""Operators that give or only pass on values."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.limits import MAX_TENSOR_BYTES
from tinyops.load.onnx.movement import broadcast
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.tensors import dtype_of
from tinyops.load.onnx.value import HELD_AS, Array, Value


@importer("Constant")
def constant(g: Builder, node: Node) -> Value:
    """Tensors, numbers and lists of numbers."""
    for name, dtype in (("value", None), ("value_float", np.float32), ("value_floats", np.float32)):
        if name in node.attributes:
            return g.constant(np.asarray(node.attributes[name], dtype=dtype))
    for name in ("value_int", "value_ints"):
        if name in node.attributes:
            return g.constant(np.asarray(node.attributes[name], dtype=np.int64))
    return node.refuse(
        "its value is of a kind that is not supported", "value, value_float, value_floats, value_int, value_ints"
    )


@importer("ConstantOfShape")
def constant_of_shape(g: Builder, node: Node) -> Value:
    """The shape is constant."""
    fill = node.attributes.get("value", np.zeros(1, np.float32))
    if not isinstance(fill, np.ndarray) or fill.size != 1:
        node.refuse("attribute value is no tensor of one element")
    shape = node.ints(0)
    g.bound(shape, 8)
    return g.constant(np.full(shape, fill.reshape(-1)[0], dtype=fill.dtype))


@importer("Range")
def range_(g: Builder, node: Node) -> Value:
    """Constant inputs."""
    start, limit, delta = (node.constant(i).reshape(-1) for i in range(3))
    if start.size != 1 or limit.size != 1 or delta.size != 1 or not np.isfinite([start[0], limit[0], delta[0]]).all():
        node.refuse("start, limit or delta is no number")
    if delta[0] == 0:
        node.refuse("delta is 0")
    count = max(0, int(np.ceil((float(limit[0]) - float(start[0])) / float(delta[0]))))
    g.bound([count], 8)
    return g.constant((start[0] + np.arange(count) * delta[0]).astype(start.dtype))


@importer("Shape")
def shape(g: Builder, node: Node) -> Value:
    """Known while importing: shapes are static."""
    whole = node.input().shape
    start, end = node.attr_int("start", 0), node.attr_int("end", len(whole))
    return g.constant(np.array(whole[start:end], dtype=np.int64))


@importer("Size")
def size(g: Builder, node: Node) -> Value:
    """Known while importing."""
    return g.constant(np.array(int(np.prod(node.input().shape, dtype=np.int64)), dtype=np.int64))


@importer("Identity")
def identity(_: Builder, node: Node) -> Value:
    """Passes its input on."""
    return node.input()


@importer("Dropout")
def dropout(_: Builder, node: Node) -> Value:
    """Passes its input on; not in training mode, and without the mask."""
    mode = node.optional(2)
    if mode is not None and np.any(node.constant(2)):
        node.refuse("training_mode is set", "inference", "export the model in evaluation mode")
    return node.input()


@importer("Cast", "CastLike")
def cast(g: Builder, node: Node) -> Value:
    """Constants to any dtype; at run time between float dtypes (held as float32) and between integers and bool."""
    x = node.input()
    if node.kind == "CastLike":
        target = node.input(1)
        if target.data is None or x.data is None:
            return x if target.dtype is x.dtype else _converted(g, x, target.dtype)
        return g.constant(x.data.astype(target.data.dtype), x.name)
    dtype = dtype_of(node.attr_int("to"), node.where)
    if x.data is not None:
        with np.errstate(all="ignore"):
            return g.constant(x.data.astype(dtype), x.name)
    held = HELD_AS.get(dtype.name)
    if held is None:
        node.refuse(f"to {dtype}", ", ".join(HELD_AS))
    return x if held is x.dtype else _converted(g, x, held)


def _converted(g: Builder, x: Value, dtype: DType) -> Value:
    return g.op("CAST", [x], x.shape, dtype=dtype)


@importer("Expand")
def expand(g: Builder, node: Node) -> Value:
    """To a constant shape."""
    x = node.input()
    try:
        target = np.broadcast_shapes(x.shape, tuple(node.ints(1)))
    except ValueError:
        node.refuse(f"shape {list(x.shape)} to {node.ints(1)}", "shapes that broadcast")
    return broadcast(g, x, target)


@importer("Trilu")
def triangle(g: Builder, node: Node) -> Value:
    """Of a constant (a mask)."""
    data = node.constant(0)
    k = int(node.constant(1).reshape(-1)[0]) if node.optional(1) is not None else 0
    if data.ndim < 2 or abs(k) > MAX_TENSOR_BYTES:
        node.refuse(f"input of shape {list(data.shape)}, k {k}", "two dimensions or more")
    return g.constant(np.triu(data, k) if node.attr_int("upper", 1) else np.tril(data, k))


@importer("ScatterND")
def scatter(g: Builder, node: Node) -> Value:
    """Of constants, without a reduction."""
    node.only("reduction", node.attr_text("reduction", "none"), "none")
    data, indices, updates = node.constant(0).copy(), node.constant(1), node.constant(2)
    if indices.dtype.kind not in "iu" or not indices.ndim or not 1 <= indices.shape[-1] <= data.ndim:
        node.refuse(f"indices of shape {list(indices.shape)} for data of {list(data.shape)}")
    sizes = data.shape[: indices.shape[-1]]
    if indices.size and ((indices < -np.array(sizes)) | (indices >= np.array(sizes))).any():
        node.refuse("an index is out of range", f"within {list(sizes)}")
    if updates.shape != (*indices.shape[:-1], *data.shape[indices.shape[-1] :]):
        node.refuse(f"updates of shape {list(updates.shape)}")
    data[tuple(np.moveaxis(indices, -1, 0))] = updates
    return g.constant(data)


@importer("NonZero")
def non_zero(g: Builder, node: Node) -> Value:
    """Of a constant."""
    found: Array = np.array(np.nonzero(node.constant(0)), dtype=np.int64)
    return g.constant(found)
