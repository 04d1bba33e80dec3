"""Arithmetic on values: at once where they are constant, else by operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyops.graph import DType
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import ints, reshape
from tinyops.load.onnx.value import Array, Value
from tinyops.ops.add import AddAttrs
from tinyops.ops.div import DivAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.reduction import ReducerAttrs
from tinyops.ops.sub import SubAttrs

Function = Callable[..., Any]


def _divide(a: Array, b: Array) -> Array:
    """ONNX's Div: integers are divided towards zero."""
    if a.dtype.kind == "f":
        result: Array = np.divide(a, b)
        return result
    quotient = np.abs(a) // np.maximum(np.abs(b), 1)
    return (quotient * np.sign(a) * np.sign(b)).astype(a.dtype)


_BINARY: dict[str, tuple[Function, Any]] = {
    "ADD": (np.add, AddAttrs()),
    "SUB": (np.subtract, SubAttrs()),
    "MUL": (np.multiply, MulAttrs()),
    "DIV": (_divide, DivAttrs()),
    "MAXIMUM": (np.maximum, None),
    "MINIMUM": (np.minimum, None),
    "EQUAL": (np.equal, None),
    "NOT_EQUAL": (np.not_equal, None),
    "LESS": (np.less, None),
    "LESS_EQUAL": (np.less_equal, None),
    "GREATER": (np.greater, None),
    "GREATER_EQUAL": (np.greater_equal, None),
    "LOGICAL_AND": (np.logical_and, None),
    "LOGICAL_OR": (np.logical_or, None),
}
COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "LOGICAL_AND", "LOGICAL_OR")

UNARY: dict[str, Function] = {
    "ABS": np.abs,
    "NEG": np.negative,
    "EXP": np.exp,
    "LOG": np.log,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "ROUND": np.round,
    "SIN": np.sin,
    "COS": np.cos,
    "TANH": np.tanh,
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "RELU": lambda x: np.maximum(x, 0),
    "LOGICAL_NOT": np.logical_not,
}


def binary(g: Builder, kind: str, a: Value, b: Value) -> Value:
    """Both inputs broadcast; the attributes are the operator's own default ones."""
    function, attrs = _BINARY[kind]
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        g.refuse(f"shapes {list(a.shape)} and {list(b.shape)}", "shapes that broadcast")
    g.bound(shape, 8)
    if a.data is not None and b.data is not None:
        with np.errstate(all="ignore"):
            return g.constant(np.asarray(function(a.data, b.data)))
    dtype = DType.BOOL if kind in COMPARISONS else None
    return g.op(kind, [operand(g, a, shape), operand(g, b, shape)], shape, attrs, dtype=dtype)


def operand(g: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    """A constant of no dimensions gets one where the result has some; one of a QDQ file stays the integers it is."""
    if x.data is not None and x.rank == 0 and shape:
        x = reshape(g, x, (1,))
    stored = x.stored
    if stored is None or stored.quantization.per_channel or stored.data.dtype not in (np.int8, np.int16):
        return x
    return g.op("DEQUANTIZE", [g.quantized_constant(stored, x.name)], x.shape, dtype=DType.FLOAT32)


def unary(g: Builder, kind: str, x: Value, attrs: Any = None) -> Value:
    if x.data is not None and kind in UNARY:
        with np.errstate(all="ignore"):
            return g.constant(np.asarray(UNARY[kind](x.data)).astype(x.data.dtype))
    return g.op(kind, [x], x.shape, attrs)


def number(g: Builder, value: float) -> Value:
    """A constant float32 operand."""
    return g.constant(np.array([value], dtype=np.float32))


def scaled(g: Builder, x: Value, factor: float) -> Value:
    return x if factor == 1 else binary(g, "MUL", x, number(g, factor))


def shifted(g: Builder, x: Value, addend: float) -> Value:
    return x if addend == 0 else binary(g, "ADD", x, number(g, addend))


def reduce(g: Builder, kind: str, x: Value, axes: list[int], keep: bool) -> Value:
    """MEAN, SUM, REDUCE_MAX or REDUCE_MIN over `axes`, which are counted from the front."""
    kept = [1 if k in axes else n for k, n in enumerate(x.shape)]
    shape = kept if keep else [n for k, n in enumerate(x.shape) if k not in axes]
    if not axes:
        return x
    if x.data is not None:
        functions: dict[str, Function] = {"MEAN": np.mean, "SUM": np.sum, "REDUCE_MAX": np.max, "REDUCE_MIN": np.min}
        if 0 in x.shape:
            g.refuse("reduces a constant without elements")
        g.work(x.data.size)
        with np.errstate(all="ignore"):
            reduced = np.asarray(functions[kind](x.data, axis=tuple(axes), keepdims=keep)).astype(x.data.dtype)
        return g.constant(reduced)
    return g.op(kind, [x, ints(g, axes)], shape, ReducerAttrs(keep))
