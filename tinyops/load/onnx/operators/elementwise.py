"""Elementwise arithmetic, comparisons and functions."""

from __future__ import annotations

from functools import reduce

import numpy as np

from tinyops.load.onnx import arithmetic as a
from tinyops.load.onnx import patterns
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Array, Value

_BINARY = {
    "Equal": "EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "And": "LOGICAL_AND",
    "Or": "LOGICAL_OR",
}
_UNARY = {
    "Abs": "ABS",
    "Neg": "NEG",
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Floor": "FLOOR",
    "Ceil": "CEIL",
    "Round": "ROUND",
    "Sin": "SIN",
    "Cos": "COS",
    "Not": "LOGICAL_NOT",
}
_VARIADIC = {"Min": "MINIMUM", "Max": "MAXIMUM", "Sum": "ADD"}
#: Powers that become products.
_MAX_POWER = 8


@importer("Add")
def add(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast."""
    x, y = node.input(0), node.input(1)
    return patterns.add(g, x, y) or a.binary(g, "ADD", x, y)


@importer("Sub")
def sub(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast; of a float constant it is an ADD."""
    x, y = node.input(0), node.input(1)
    if x.data is None and y.data is not None and y.data.dtype.kind == "f":
        return a.binary(g, "ADD", x, g.constant(-y.data))
    return a.binary(g, "SUB", x, y)


@importer("Mul")
def mul(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast; GELU and hard swish that are written out are recognized."""
    return product(g, node.input(0), node.input(1))


def product(g: Builder, x: Value, y: Value) -> Value:
    found = patterns.mul(g, x, y)
    return patterns.tanh_gelu(g, a.binary(g, "MUL", x, y)) if found is None else found


@importer("Div")
def div(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast; by a float constant it is a MUL, by a square root a MUL with RSQRT."""
    x, y = node.input(0), node.input(1)
    if y.data is not None and y.data.dtype.kind == "f" and x.data is None:
        if not y.data.all():
            node.refuse("division by 0", "a divisor other than 0")
        return product(g, x, g.constant((1 / y.data.astype(np.float64)).astype(np.float32)))
    if y.data is not None and y.data.dtype.kind in "iu" and not y.data.all():
        node.refuse("division by 0", "a divisor other than 0")
    root = g.source(y)
    if root is not None and root.kind == "SQRT" and root.inputs[0] is not None:
        inverse = g.op("RSQRT", [root.inputs[0]], y.shape)
        return inverse if _is_one(x.data) and x.rank <= y.rank else a.binary(g, "MUL", x, inverse)
    return a.binary(g, "DIV", x, y)


def _is_one(data: Array | None) -> bool:
    return data is not None and data.size == 1 and bool(np.all(data == 1))


@importer("Reciprocal")
def reciprocal(g: Builder, node: Node) -> Value:
    """1 / x; of a square root RSQRT."""
    x = node.input()
    root = g.source(x)
    if root is not None and root.kind == "SQRT" and root.inputs[0] is not None:
        return g.op("RSQRT", [root.inputs[0]], x.shape)
    one = g.constant(np.ones(1 if x.rank else (), dtype=np.float32))
    return a.binary(g, "DIV", one, x)


@importer(*_BINARY)
def comparison(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast."""
    return a.binary(g, _BINARY[node.kind], node.input(0), node.input(1))


@importer(*_VARIADIC)
def variadic(g: Builder, node: Node) -> Value:
    """Any number of inputs that broadcast."""
    values = [node.input(i) for i in range(max(1, len(node.inputs)))]
    return reduce(lambda x, y: a.binary(g, _VARIADIC[node.kind], x, y), values)


@importer("Mean")
def mean(g: Builder, node: Node) -> Value:
    """Any number of inputs that broadcast."""
    values = [node.input(i) for i in range(max(1, len(node.inputs)))]
    return a.scaled(g, reduce(lambda x, y: a.binary(g, "ADD", x, y), values), 1 / len(values))


@importer(*_UNARY)
def unary(g: Builder, node: Node) -> Value:
    """Any shape."""
    return a.unary(g, _UNARY[node.kind], node.input())


@importer("Erf")
def erf(g: Builder, node: Node) -> Value:
    """As part of a GELU, x / 2 * (1 + erf(x / sqrt(2))), in any order of its factors."""
    return patterns.erf(g, node.input())


@importer("Mod")
def mod(g: Builder, node: Node) -> Value:
    """Of constant integers."""
    x, y = node.constant(0), node.constant(1)
    if node.attr_int("fmod", 0) or x.dtype.kind not in "iu" or not y.all():
        node.refuse("fmod is set, an input is no integer or a divisor is 0", "integers and fmod 0")
    np.broadcast_shapes(x.shape, y.shape)
    return g.constant(np.mod(x, y))


@importer("Pow")
def pow_(g: Builder, node: Node) -> Value:
    """A constant exponent; 0.5, -0.5, 1 to 8 become roots and products, others POW."""
    x, exponents = node.input(), node.constant(1)
    if x.data is not None:
        with np.errstate(all="ignore"):
            g.bound(np.broadcast_shapes(x.shape, exponents.shape), 8)
            return g.constant(np.power(x.data, exponents).astype(x.data.dtype))
    if exponents.size == 1:
        exponent = float(exponents.reshape(-1)[0])
        if exponent in (0.5, -0.5):
            return a.unary(g, "SQRT" if exponent > 0 else "RSQRT", x)
        if exponent in range(1, _MAX_POWER + 1):
            return _power(g, x, int(exponent))
    shape = np.broadcast_shapes(x.shape, exponents.shape)
    return g.op("POW", [x, g.constant(exponents.astype(np.float32))], shape)


def _power(g: Builder, x: Value, n: int) -> Value:
    if n == 1:
        return x
    half = _power(g, x, n // 2)
    square = a.binary(g, "MUL", half, half)
    return a.binary(g, "MUL", square, x) if n % 2 else square


@importer("IsNaN", "IsInf")
def never(g: Builder, node: Node) -> Value:
    """False of computed values; none is meant to be NaN or infinite."""
    x = node.input()
    if x.data is not None:
        return g.constant(np.isnan(x.data) if node.kind == "IsNaN" else np.isinf(x.data))
    return g.constant(np.zeros(x.shape, dtype=np.bool_))
