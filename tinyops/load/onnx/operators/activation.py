"""Activations."""

from __future__ import annotations

import math

import numpy as np

from tinyops.load.onnx.arithmetic import binary, number, scaled, shifted, unary
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import reshape, transpose
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value
from tinyops.ops.gelu import GeluAttrs
from tinyops.ops.leaky_relu import LeakyReluAttrs
from tinyops.ops.softmax import SoftmaxAttrs

_DIRECT = {"Relu": "RELU", "Sigmoid": "LOGISTIC", "Tanh": "TANH"}


@importer(*_DIRECT)
def direct(g: Builder, node: Node) -> Value:
    """Any shape."""
    return unary(g, _DIRECT[node.kind], node.input())


@importer("Clip")
def clip(g: Builder, node: Node) -> Value:
    """Constant bounds; 0 to 6 is RELU6, 0 RELU, -1 to 1 RELU_N1_TO_1, others MAXIMUM and MINIMUM."""
    x = node.input()
    low, high = (_bound(node, i, default) for i, default in ((1, -math.inf), (2, math.inf)))
    if x.data is not None:
        return g.constant(np.clip(x.data, low, high).astype(x.data.dtype))
    named = {(0.0, 6.0): "RELU6", (0.0, math.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}.get((low, high))
    if named is not None and x.dtype.value == "float32":
        return g.op(named, [x], x.shape)
    for kind, bound in (("MAXIMUM", low), ("MINIMUM", high)):
        if math.isfinite(bound):
            x = binary(g, kind, x, g.constant(np.array([bound], dtype=x.dtype.numpy)))
    return x


def _bound(node: Node, i: int, default: float) -> float:
    if node.optional(i) is None:
        return default
    data = node.constant(i)
    if data.size != 1 or np.isnan(data).any():
        node.refuse(f"input {i} has shape {list(data.shape)}", "one number")
    value = float(data.reshape(-1)[0])
    return value if abs(value) < np.finfo(np.float32).max else math.copysign(math.inf, value)


@importer("LeakyRelu")
def leaky_relu(g: Builder, node: Node) -> Value:
    """Any slope."""
    x = node.input()
    return g.op("LEAKY_RELU", [x], x.shape, LeakyReluAttrs(float(np.float32(node.attr_float("alpha", 0.01)))))


@importer("PRelu")
def prelu(g: Builder, node: Node) -> Value:
    """A constant slope that broadcasts to the input."""
    x, slope = node.input(0), node.constant(1).astype(np.float32)
    fits = slope.ndim <= x.rank and all(n in (1, m) for n, m in zip(slope.shape[::-1], x.shape[::-1], strict=False))
    if not fits:
        node.refuse(f"a slope of shape {list(slope.shape)}", f"one that broadcasts to {list(x.shape)}")
    if slope.size == 1:
        return g.op("LEAKY_RELU", [x], x.shape, LeakyReluAttrs(float(slope.reshape(-1)[0])))
    return g.op("PRELU", [x, g.constant(slope.reshape((1,) * (x.rank - slope.ndim) + slope.shape))], x.shape)


@importer("HardSigmoid")
def hard_sigmoid(g: Builder, node: Node) -> Value:
    """Any alpha and beta, as RELU6 of 6 * (alpha * x + beta), divided by 6."""
    return hard_sigmoid_of(g, node.input(), node.attr_float("alpha", 0.2), node.attr_float("beta", 0.5))


def hard_sigmoid_of(g: Builder, x: Value, alpha: float, beta: float) -> Value:
    factor = 6 * alpha
    inner = x if math.isclose(factor, 1, rel_tol=1e-6) else scaled(g, x, factor)
    return scaled(g, unary(g, "RELU6", shifted(g, inner, 6 * beta)), 1 / 6)


@importer("HardSwish")
def hard_swish(g: Builder, node: Node) -> Value:
    """Any shape."""
    return unary(g, "HARD_SWISH", node.input())


@importer("Gelu")
def gelu(g: Builder, node: Node) -> Value:
    """Exact, or approximated by tanh."""
    mode = node.attr_text("approximate", "none")
    node.only("approximate", mode, "none", "tanh")
    return g.op("GELU", [node.input()], node.input().shape, GeluAttrs(approximate=mode == "tanh"))


@importer("Elu", "Selu")
def elu(g: Builder, node: Node) -> Value:
    """Any alpha and gamma; other than 1 they become MUL and ADD."""
    x = node.input()
    selu = node.kind == "Selu"
    alpha = node.attr_float("alpha", 1.67326319217681884765625 if selu else 1.0)
    gamma = node.attr_float("gamma", 1.05070102214813232421875) if selu else 1.0
    if alpha == gamma == 1:
        return g.op("ELU", [x], x.shape)
    below = scaled(g, g.op("ELU", [binary(g, "MINIMUM", x, number(g, 0))], x.shape), alpha * gamma)
    return binary(g, "ADD", scaled(g, unary(g, "RELU", x), gamma), below)


@importer("Softplus")
def softplus(g: Builder, node: Node) -> Value:
    """As relu(x) + log(1 + exp(-abs(x)))."""
    return _softplus(g, node.input())


def _softplus(g: Builder, x: Value) -> Value:
    inner = shifted(g, unary(g, "EXP", unary(g, "NEG", unary(g, "ABS", x))), 1)
    return binary(g, "ADD", unary(g, "RELU", x), unary(g, "LOG", inner))


@importer("Mish")
def mish(g: Builder, node: Node) -> Value:
    """As x * tanh(softplus(x))."""
    return binary(g, "MUL", node.input(), unary(g, "TANH", _softplus(g, node.input())))


@importer("Softsign")
def softsign(g: Builder, node: Node) -> Value:
    """As x / (1 + abs(x))."""
    x = node.input()
    return binary(g, "DIV", x, shifted(g, unary(g, "ABS", x), 1))


@importer("Softmax", "LogSoftmax")
def softmax(g: Builder, node: Node) -> Value:
    """Over any axis; before opset 13 over all axes from there on."""
    x = node.input()
    kind, attrs = ("SOFTMAX", SoftmaxAttrs(1.0)) if node.kind == "Softmax" else ("LOG_SOFTMAX", None)
    if not x.rank:
        node.refuse("input without dimensions", "one or more")
    if node.opset < 13:
        axis = node.axis(node.attr_int("axis", 1), x.rank)
        rows = math.prod(x.shape[:axis])
        if axis == x.rank - 1:
            return g.op(kind, [x], x.shape, attrs)
        flat = reshape(g, x, (rows, math.prod(x.shape[axis:])))
        return reshape(g, g.op(kind, [flat], flat.shape, attrs), x.shape)
    axis = node.axis(node.attr_int("axis", -1), x.rank)
    order = [k for k in range(x.rank) if k != axis] + [axis]
    last = transpose(g, x, order)
    result = g.op(kind, [last], last.shape, attrs)
    return transpose(g, result, [order.index(k) for k in range(x.rank)])
