"""Matrix products."""

from __future__ import annotations

import math

import numpy as np

from tinyops.load.onnx.arithmetic import binary, operand, scaled
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import reshape, transpose
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value
from tinyops.load.onnx.weights import weights_operand
from tinyops.ops.batch_matmul import BatchMatmulAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs


def dense(g: Builder, x: Value, weights: Value, bias: Value | None = None) -> Value:
    """FULLY_CONNECTED over the last axis of `x`, with constant weights [units, depth]."""
    shape = (*x.shape[:-1], weights.shape[0])
    attrs = FullyConnectedAttrs(keep_num_dims=x.rank != 2)
    return g.op("FULLY_CONNECTED", [x, weights_operand(g, weights), bias], shape, attrs)


@importer("Gemm")
def gemm(g: Builder, node: Node) -> Value:
    """alpha * A * B + beta * C; A or B may be constant, C broadcasts."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    if a.rank != 2 or b.rank != 2:
        node.refuse(f"inputs of shapes {list(a.shape)} and {list(b.shape)}", "two dimensions each")
    alpha, beta = node.attr_float("alpha", 1.0), node.attr_float("beta", 1.0)
    a = transpose(g, a, (1, 0)) if node.attr_int("transA", 0) else a
    b = transpose(g, b, (1, 0)) if node.attr_int("transB", 0) else b
    if a.shape[1] != b.shape[0]:
        node.refuse(f"{a.shape[1]} columns times {b.shape[0]} rows")
    if c is not None:
        c = scaled(g, c, beta)
    units = b.shape[1]
    if b.data is None:
        result = scaled(g, product(g, node, a, b), alpha)
        return result if c is None else binary(g, "ADD", result, c)
    if a.data is not None:
        g.work(a.shape[0] * b.shape[0] * units)
        whole = g.constant((alpha * (a.data.astype(np.float64) @ b.data)).astype(np.float32))
        return whole if c is None else binary(g, "ADD", whole, c)
    weights = transpose(g, b, (1, 0))
    if alpha != 1:
        assert weights.data is not None
        weights = g.constant((weights.data * np.float32(alpha)).astype(np.float32), b.name)
    bias = None
    if c is not None and c.data is not None and (c.data.size == 1 or c.data.size == units == c.shape[-1]):
        bias = g.constant(np.broadcast_to(c.data.reshape(-1), (units,)).astype(np.float32), c.name)
        c = None
    result = dense(g, a, weights, bias)
    return result if c is None else binary(g, "ADD", result, c)


@importer("MatMul")
def matmul(g: Builder, node: Node) -> Value:
    """Any two tensors; with constant weights of two dimensions FULLY_CONNECTED, else BATCH_MATMUL."""
    a, b = node.input(0), node.input(1)
    if not a.rank or not b.rank:
        node.refuse("an input has no dimensions", "one or more")
    x = reshape(g, a, (1, *a.shape)) if a.rank == 1 else a
    y = reshape(g, b, (*b.shape, 1)) if b.rank == 1 else b
    if x.shape[-1] != y.shape[-2]:
        node.refuse(f"shapes {list(a.shape)} and {list(b.shape)}", "as many columns as rows")
    result = product(g, node, x, y)
    shape = list(result.shape)
    if b.rank == 1:
        del shape[-1]
    if a.rank == 1:
        del shape[-2 if b.rank > 1 else -1]
    return reshape(g, result, shape)


def product(g: Builder, node: Node, x: Value, y: Value) -> Value:
    """[..., rows, depth] times [..., depth, columns]."""
    try:
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        node.refuse(f"shapes {list(x.shape)} and {list(y.shape)}", "shapes that broadcast")
    shape = (*batch, x.shape[-2], y.shape[-1])
    g.bound(shape, 8)
    if x.data is not None and y.data is not None:
        g.work(math.prod(shape) * x.shape[-1])
        return g.constant((x.data @ y.data).astype(x.data.dtype))
    if y.data is not None and math.prod(y.shape[:-2]) == 1 and y.rank <= x.rank:
        weights = transpose(g, reshape_matrix(g, y), (1, 0))
        return dense(g, x, weights)
    return g.op("BATCH_MATMUL", [_operand(g, x), _operand(g, y)], shape, BatchMatmulAttrs())


def _operand(g: Builder, x: Value) -> Value:
    return operand(g, x, x.shape)


def reshape_matrix(g: Builder, y: Value) -> Value:
    return y if y.rank == 2 else reshape(g, y, y.shape[-2:])
