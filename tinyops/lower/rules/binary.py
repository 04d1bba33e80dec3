"""Elementwise operators of two tensors: with one constant value a table, otherwise one kernel for all."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.rules.unary import function_table, table
from tinyops.lower.strides import lead, merge
from tinyops.ops import abs as abs_op
from tinyops.ops import add as add_op
from tinyops.ops import div as div_op
from tinyops.ops import leaky_relu as leaky_relu_op
from tinyops.ops import mul as mul_op
from tinyops.ops import prelu as prelu_op
from tinyops.ops import squared_difference as squared_difference_op
from tinyops.ops.base import Activation, operator
from tinyops.ops.broadcast import Binary, broadcast_strides, integer_bounds
from tinyops.ops.fixed_point import activation_range, dtype_range, quantize_multiplier
from tinyops.ops.unary import all_values

_DIMS = 4


class Mode(enum.IntEnum):
    """Modes of to_binary_any_b_c."""

    ADD = 0
    SUB = 1
    SQUARED_DIFFERENCE = 2
    MUL = 3
    PRELU = 4
    MINIMUM = 5
    MAXIMUM = 6
    EQUAL = 7
    NOT_EQUAL = 8
    LESS = 9
    LESS_EQUAL = 10
    DIV = 11
    FLOOR_DIV = 12
    FLOOR_MOD = 13


#: The parameters of a function of the elements as they are.
_UNSCALED: Mapping[str, Value] = {
    "a_multiplier": 0,
    "b_multiplier": 0,
    "output_multiplier": 0,
    "output_offset": 0,
    "a_offset": 0,
    "b_offset": 0,
    "activation_min": 0,
    "activation_max": 0,
    "scaled": 0,
    "left_shift": 0,
    "a_shift": 0,
    "b_shift": 0,
    "output_shift": 0,
}


def geometry(op: Lowering, **inputs: int) -> dict[str, Value]:
    """Extents, and `<name>_stride` of each named input, over the fewest dimensions."""
    shape = op.view.output().shape
    extents, strides = merge(shape, *(broadcast_strides(op.view.input(i), shape) for i in inputs.values()))
    if len(extents) > _DIMS:
        raise ModelError(
            f"broadcasting over {len(extents)} dimensions",
            where=f"operator {op.view.name} ({op.view.kind})",
            allowed=f"{_DIMS}, after neighbours that are broadcast alike count as one",
        )
    named = {f"{name}_stride": lead(s, _DIMS, 0) for name, s in zip(inputs, strides, strict=True)}
    return {"extents": lead(extents, _DIMS, 1), **named}


def _as_table(op: Lowering) -> list[Call] | None:
    """A table of the other input where one is a constant of 8 bits with equal elements that do not enlarge it."""
    view, rules = op.view, operator(op.view.kind)
    assert isinstance(rules, Binary)
    for i in range(2):
        constant, varying = view.input(i), view.input(1 - i)
        data = constant.data
        if data is None or varying.dtype not in (DType.INT8, DType.BOOL):
            continue
        if view.output().dtype.itemsize == 1 and varying.elements == view.output().elements:
            if data.size > 1 and (op.by_structure or (data != data.reshape(-1)[0]).any()):
                continue
            values = all_values(DType.INT8) if varying.dtype is DType.INT8 else np.arange(256, dtype=np.int64) & 1
            other = data.reshape(-1)[:1].astype(np.int64)
            result = rules.compute(view, *((other, values) if i == 0 else (values, other)))
            return table(op, result.astype(view.output().dtype.numpy), 1 - i)
    return None


def binary(op: Lowering, mode: Mode, params: Mapping[str, Value], a: int = 0) -> list[Call]:
    """Input `a` is the kernel's first operand; `params` are those that differ from an unscaled function's."""
    call = _as_table(op)
    if call is not None:
        return call
    b = 1 - a
    fields: dict[str, Value] = {
        **geometry(op, a=a, b=b),
        **_UNSCALED,
        **params,
        "mode": int(mode),
        "a_size": op.view.input(a).dtype.itemsize,
        "b_size": op.view.input(b).dtype.itemsize,
        "output_size": op.view.output().dtype.itemsize,
    }
    return [Call("to_binary_any_b_c", fields, (op.input(a), op.input(b), op.output()))]


def offsets(op: Lowering, a: int = 0) -> dict[str, Value]:
    return {"a_offset": -op.view.input(a).zero_point, "b_offset": -op.view.input(1 - a).zero_point}


def scaled(left_shift: int, a: tuple[int, int], b: tuple[int, int]) -> dict[str, Value]:
    return {
        "scaled": 1,
        "left_shift": left_shift,
        "a_multiplier": a[0],
        "a_shift": a[1],
        "b_multiplier": b[0],
        "b_shift": b[1],
    }


def _output(op: Lowering, scale: tuple[int, int], low: int, high: int) -> dict[str, Value]:
    return {
        "output_multiplier": scale[0],
        "output_shift": scale[1],
        "output_offset": op.view.output().zero_point,
        "activation_min": low,
        "activation_max": high,
        **offsets(op),
    }


@rule("FLOOR_DIV")
@rule("FLOOR_MOD")
def integer_division(op: Lowering) -> list[Call]:
    return binary(op, Mode[op.view.kind], {})


@rule("ADD", DType.INT32)
@rule("DIV", DType.INT32)
@rule("MUL", DType.INT32)
@rule("SQUARED_DIFFERENCE", DType.INT32)
@rule("SUB", DType.INT32)
def unscaled(op: Lowering) -> list[Call]:
    low, high = integer_bounds(getattr(op.view.attrs, "fused_activation_function", Activation.NONE))
    return binary(op, Mode[op.view.kind], {"activation_min": low, "activation_max": high})


@rule("ADD")
@rule("SUB")
def add(op: Lowering) -> list[Call]:
    p = add_op.parameters(op.view)
    params = scaled(p.left_shift, *p.inputs) | _output(op, p.output, p.low, p.high)
    if op.view.kind == "SUB" or op.view.output().dtype is not DType.INT8:
        return binary(op, Mode[op.view.kind], params)
    fixed = {k: v for k, v in params.items() if k not in ("scaled", "left_shift")}
    call = Call("to_add_any_s8_c", geometry(op, a=0, b=1) | fixed, (op.input(0), op.input(1), op.output()))
    return _as_table(op) or [call]


@rule("SQUARED_DIFFERENCE")
def squared_difference(op: Lowering) -> list[Call]:
    p = squared_difference_op.parameters(op.view)
    rescaling = scaled(p.left_shift, *p.inputs) | _output(op, p.output, p.low, p.high)
    return binary(op, Mode.SQUARED_DIFFERENCE, rescaling)


@rule("MUL")
def mul(op: Lowering) -> list[Call]:
    low, high = activation_range(op.view.attrs.fused_activation_function, op.view.output())
    return binary(op, Mode.MUL, _output(op, mul_op.output_scale(op.view), low, high))


@rule("PRELU")
def prelu(op: Lowering) -> list[Call]:
    p = prelu_op.parameters(op.view)
    multiplier, shift = p.positive
    slope = _output(op, p.negative, *dtype_range(op.view.output().dtype))
    return binary(op, Mode.PRELU, {"a_multiplier": multiplier, "a_shift": shift} | slope)


@rule("ABS")
@rule("LEAKY_RELU")
@rule("NEG")
def signed(op: Lowering) -> list[Call]:
    """int16: a PRELU whose slope is -1, or 1 with the slope's scale; NEG is a product with -1."""
    if op.view.input(0).dtype is DType.INT8:
        return function_table(op)
    mode, slope = Mode.PRELU, -1
    if op.view.kind == "NEG":
        mode, positive, negative = Mode.MUL, (0, 0), quantize_multiplier(1.0)
    elif op.view.kind == "ABS":
        requantization = abs_op.requantization(op.view)
        positive = negative = (int(requantization.multiplier[0]), int(requantization.shift[0]))
    else:
        positive, negative = leaky_relu_op.scales(op.view)
        slope = 1
    low, high = dtype_range(op.view.output().dtype)
    n = op.view.output().elements
    params: dict[str, Value] = {
        **_UNSCALED,
        "extents": lead((n,), _DIMS, 1),
        "a_stride": lead((1,), _DIMS, 0),
        "b_stride": (0,) * _DIMS,
        "a_multiplier": positive[0],
        "a_shift": positive[1],
        "output_multiplier": negative[0],
        "output_shift": negative[1],
        "activation_min": low,
        "activation_max": high,
        "mode": int(mode),
        "a_size": 2,
        "b_size": 1,
        "output_size": 2,
    }
    constant = op.constant("slope", Role.DATA, np.array([slope], np.int8))
    return [Call("to_binary_any_b_c", params, (op.input(), constant, op.output()))]


@rule("DIV")
def div(op: Lowering) -> list[Call]:
    low, high = activation_range(op.view.attrs.fused_activation_function, op.view.output())
    params = geometry(op, a=0, b=1) | _output(op, div_op.output_scale(op.view), low, high)
    return _as_table(op) or [Call("to_div_any_s8_c", params, (op.input(0), op.input(1), op.output()))]


@rule("MINIMUM")
@rule("LOGICAL_AND")
def minimum(op: Lowering) -> list[Call]:
    return binary(op, Mode.MINIMUM, {})


@rule("MAXIMUM")
@rule("LOGICAL_OR")
def maximum(op: Lowering) -> list[Call]:
    return binary(op, Mode.MAXIMUM, {})
