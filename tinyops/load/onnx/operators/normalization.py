"""Normalization with learned or computed statistics."""

from __future__ import annotations

import numpy as np

from tinyops.load.onnx.arithmetic import binary, reduce, shifted
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import reshape
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Array, Value


@importer("BatchNormalization")
def batch_normalization(g: Builder, node: Node) -> Value:
    """Inference with constant statistics: MUL and ADD, which the pass fold_batch_norm takes into a convolution."""
    x = node.input()
    if node.attr_int("training_mode", 0):
        node.refuse("training_mode is set", "inference", "export the model in evaluation mode")
    scale, shift, mean, variance = (_channels(node, i, x) for i in range(1, 5))
    if (variance + node.attr_float("epsilon", 1e-5) <= 0).any():
        node.refuse("a variance is negative", "0 or more")
    factor = scale / np.sqrt(variance + node.attr_float("epsilon", 1e-5))
    shape = (1, -1) + (1,) * (x.rank - 2)
    product = binary(g, "MUL", x, g.constant(factor.reshape(shape).astype(np.float32)))
    return binary(g, "ADD", product, g.constant((shift - mean * factor).reshape(shape).astype(np.float32)))


def _channels(node: Node, i: int, x: Value) -> Array:
    """The constant float64[channels] of input `i`."""
    data = node.constant(i)
    if x.rank < 2 or data.shape != (x.shape[1],):
        node.refuse(f"input {i} has shape {list(data.shape)} for data of {list(x.shape)}", "one value per channel")
    return data.astype(np.float64)


def normalized(g: Builder, x: Value, axes: list[int], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon) over `axes`."""
    centred = binary(g, "SUB", x, reduce(g, "MEAN", x, axes, keep=True))
    variance = reduce(g, "MEAN", binary(g, "MUL", centred, centred), axes, keep=True)
    shifted_variance = shifted(g, variance, epsilon)
    return binary(g, "MUL", centred, g.op("RSQRT", [shifted_variance], shifted_variance.shape))


def _affine(g: Builder, x: Value, scale: Value | None, shift: Value | None) -> Value:
    if scale is not None and not (scale.data is not None and np.all(scale.data == 1)):
        x = binary(g, "MUL", x, scale)
    if shift is not None and not (shift.data is not None and not np.any(shift.data)):
        x = binary(g, "ADD", x, shift)
    return x


@importer("LayerNormalization")
def layer_normalization(g: Builder, node: Node) -> Value:
    """Over the last axes: MEAN, SUB, MUL, RSQRT, ADD; the first output alone."""
    x = node.input()
    axes = list(range(node.axis(node.attr_int("axis", -1), x.rank), x.rank))
    whole = normalized(g, x, axes, node.attr_float("epsilon", 1e-5))
    return _affine(g, whole, node.input(1), node.optional(2))


@importer("InstanceNormalization")
def instance_normalization(g: Builder, node: Node) -> Value:
    """Over the spatial dimensions; constant scale and bias."""
    x = node.input()
    if x.rank < 3:
        node.refuse(f"input of shape {list(x.shape)}", "[n, channels, ...]")
    scale, shift = (_channels(node, i, x).astype(np.float32).reshape(1, -1, *[1] * (x.rank - 2)) for i in (1, 2))
    whole = normalized(g, x, list(range(2, x.rank)), node.attr_float("epsilon", 1e-5))
    return _affine(g, whole, g.constant(scale), g.constant(shift))


@importer("GroupNormalization")
def group_normalization(g: Builder, node: Node) -> Value:
    """Any number of groups; scale and bias constant, one per channel (opset 21) or per group."""
    x, groups = node.input(), node.attr_int("num_groups")
    if x.rank < 3 or groups < 1 or x.shape[1] % groups:
        node.refuse(f"input of shape {list(x.shape)} in {groups} groups", "[n, channels, ...], whole groups")
    apart = reshape(g, x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    whole = normalized(g, apart, list(range(2, apart.rank)), node.attr_float("epsilon", 1e-5))
    together = reshape(g, whole, x.shape)
    operands = []
    for i in (1, 2):
        data = node.constant(i).astype(np.float32).reshape(-1)
        if data.size not in (groups, x.shape[1]):
            node.refuse(f"input {i} has {data.size} values", f"{groups} or {x.shape[1]}")
        full = np.repeat(data, x.shape[1] // data.size)
        operands.append(g.constant(full.reshape(1, -1, *[1] * (x.rank - 2))))
    return _affine(g, together, *operands)


@importer("LpNormalization")
def lp_normalization(g: Builder, node: Node) -> Value:
    """p = 2, over any axis."""
    x = node.input()
    node.only("p", node.attr_int("p", 2), 2)
    total = reduce(g, "SUM", binary(g, "MUL", x, x), [node.axis(node.attr_int("axis", -1), x.rank)], keep=True)
    return binary(g, "MUL", x, g.op("RSQRT", [total], total.shape))
