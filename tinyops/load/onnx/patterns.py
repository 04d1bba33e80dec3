"""Functions that exporters write out in elementary operators, recognized while they are imported."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from tinyops.graph import Op
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.value import Array, GeluPart, Value
from tinyops.ops.gelu import GeluAttrs

_TOLERANCE = 1e-5
#: Operators of the GELU that is approximated by tanh, and how many of them there may be.
_TANH_PARTS = {"ADD": np.add, "MUL": np.multiply, "SUB": np.subtract, "TANH": np.tanh}
_MAX_PARTS = 14
_POINTS = np.linspace(-4, 4, 33)


def single(g: Builder, index: int | None) -> float | None:
    """The number that a constant tensor of one element holds."""
    data = None if index is None else g.tensors[index].data
    return float(data.reshape(-1)[0]) if data is not None and data.size == 1 and data.dtype == np.float32 else None


def number(x: Value) -> float | None:
    """The number that a constant of one element holds."""
    return (
        float(x.data.reshape(-1)[0]) if x.data is not None and x.data.size == 1 and x.data.dtype.kind == "f" else None
    )


def factor_of(g: Builder, op: Op | None) -> tuple[int, float] | None:
    """(tensor, factor) of a MUL by a constant number."""
    return _by_constant(g, op, "MUL")


def _by_constant(g: Builder, op: Op | None, kind: str) -> tuple[int, float] | None:
    if op is None or op.kind != kind:
        return None
    for x, c in (op.inputs[:2], op.inputs[1::-1]):
        value = single(g, c)
        if value is not None and x is not None:
            return x, value
    return None


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= _TOLERANCE * abs(b)


def erf(g: Builder, u: Value) -> Value:
    """The part of a GELU that erf(u) is, where u = x / sqrt(2)."""
    if u.data is not None:
        return g.constant(np.vectorize(math.erf, otypes=[np.float64])(u.data).astype(u.data.dtype))
    found = factor_of(g, g.source(u))
    if found is None or not _near(found[1], math.sqrt(0.5)):
        g.refuse("the erf is no part of a GELU", "x / 2 * (1 + erf(x / sqrt(2))), in any order of its factors")
    return Value(g.name, u.shape, u.dtype, part=GeluPart(found[0]))


def add(g: Builder, a: Value, b: Value) -> Value | None:
    """erf + 1."""
    for x, y in ((a, b), (b, a)):
        if x.part is not None and x.part.offset == 0 and not x.part.times_x and number(y) == x.part.factor:
            return dataclasses.replace(x, name=g.name, part=dataclasses.replace(x.part, offset=1.0))
    return None


def mul(g: Builder, a: Value, b: Value) -> Value | None:
    """GELU and hard swish, once their last factor comes."""
    for x, y in ((a, b), (b, a)):
        if x.part is not None:
            return _gelu(g, x, x.part, y)
        found = _hard_swish(g, x, y)
        if found is not None:
            return found
    return None


def _gelu(g: Builder, value: Value, part: GeluPart, y: Value) -> Value | None:
    factor = number(y)
    if factor is None:
        if part.times_x or y.index is None or y.shape != value.shape:
            return None
        found = factor_of(g, g.source(y))
        if y.index == part.x:
            factor = 1.0
        elif found is not None and found[0] == part.x:
            factor = found[1]
        else:
            return None
        part = dataclasses.replace(part, times_x=True)
    part = dataclasses.replace(part, factor=part.factor * factor)
    if part.times_x and part.offset == 1 and _near(part.factor, 0.5):
        return g.op("GELU", [part.x], value.shape, GeluAttrs(approximate=False))
    return dataclasses.replace(value, name=g.name, part=part)


def _hard_swish(g: Builder, x: Value, y: Value) -> Value | None:
    """x * relu6(x + 3) / 6, with the division after the product or before it."""
    factor, source = number(y), g.source(x)
    if factor is not None:
        if source is None or source.kind != "MUL" or not _near(factor, 1 / 6):
            return None
        for i, j in (source.inputs[:2], source.inputs[1::-1]):
            if i is not None and j is not None and _shifted_relu6(g, g.producer.get(j)) == i:
                return g.op("HARD_SWISH", [i], x.shape)
        return None
    sigmoid = factor_of(g, source)
    if sigmoid is None or y.index is None or not _near(sigmoid[1], 1 / 6):
        return None
    if _shifted_relu6(g, g.producer.get(sigmoid[0])) != y.index:
        return None
    return g.op("HARD_SWISH", [y.index], y.shape)


def tanh_gelu(g: Builder, result: Value) -> Value:
    """GELU in place of its approximation by tanh, whatever the order of the terms: told by its values."""
    cone = _cone(g, result.index)
    if not any(op.kind == "TANH" for op in cone.values()):
        return result
    expected = 0.5 * _POINTS * (1 + np.tanh(math.sqrt(2 / math.pi) * (_POINTS + 0.044715 * _POINTS**3)))
    for op in cone.values():
        for x in op.inputs:
            if x is None or g.tensors[x].shape != result.shape or g.tensors[x].is_constant:
                continue
            found = _evaluated(g, cone, result.index, {x: _POINTS})
            if found is not None and np.allclose(found, expected, rtol=1e-4, atol=1e-5):
                return g.op("GELU", [x], result.shape, GeluAttrs(approximate=True))
    return result


def _cone(g: Builder, index: int | None) -> dict[int, Op]:
    """The operators that may be part of the function that ends in tensor `index`, by what they compute."""
    found: dict[int, Op] = {}
    left = [index]
    while left and len(found) < _MAX_PARTS:
        t = left.pop(0)
        op = None if t is None else g.producer.get(t)
        if op is not None and t is not None and t not in found and op.kind in _TANH_PARTS:
            found[t] = op
            left += op.inputs
    return found


def _evaluated(g: Builder, cone: Mapping[int, Op], t: int | None, known: dict[int, Array | None]) -> Array | None:
    """Tensor `t` as a function of what is `known`, at _POINTS; None where something else comes in."""
    if t is None or t in known:
        return None if t is None else known[t]
    known[t] = None
    value, op = single(g, t), cone.get(t)
    if value is not None:
        known[t] = np.full(_POINTS.shape, value)
    elif op is not None:
        operands = [_evaluated(g, cone, i, known) for i in op.inputs]
        if all(operand is not None for operand in operands):
            known[t] = _TANH_PARTS[op.kind](*operands)
    return known[t]


def _shifted_relu6(g: Builder, op: Op | None) -> int | None:
    """x of relu6(x + 3)."""
    if op is None or op.kind != "RELU6" or op.inputs[0] is None:
        return None
    found = _by_constant(g, g.producer.get(op.inputs[0]), "ADD")
    return found[0] if found is not None and _near(found[1], 3) else None
