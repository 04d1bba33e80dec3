"""Operators that are a function of one byte, by a table of 256; QUANTIZE and CAST of wider elements."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.rules.movement import contiguous
from tinyops.ops import quantize as quantize_op
from tinyops.ops.base import Activation, Array, operator
from tinyops.ops.fixed_point import Requantization, activation_range
from tinyops.ops.logistic import Sigmoid
from tinyops.ops.relu import Relu
from tinyops.ops.sigmoid_int16 import TANH_TABLE
from tinyops.ops.unary import Unary


def table(op: Lowering, ascending: Array, i: int = 0) -> list[Call]:
    """By a 256-entry table of input `i`; `ascending` starts at its lowest value, the kernel's table at byte 0."""
    signed = op.view.input(i).dtype is DType.INT8
    by_byte = np.roll(ascending, -128) if signed else ascending
    constant = op.constant("table", Role.TABLE, np.ascontiguousarray(by_byte).view(np.uint8))
    params: dict[str, Value] = {"n": op.view.output().elements}
    return [Call("to_lut_any_8_c", params, (op.input(i), constant, op.output()))]


def function_table(op: Lowering) -> list[Call]:
    """By the table of an int8 function."""
    rules = operator(op.view.kind)
    assert isinstance(rules, Unary)
    return table(op, rules.table(op.view))


for _kind in ("ELU", "EXP", "GELU", "HARD_SWISH", "LOG", "RSQRT", "SQRT"):
    rule(_kind)(function_table)


@rule("LOGISTIC")
@rule("TANH")
def sigmoid(op: Lowering) -> list[Call]:
    if op.view.input(0).dtype is DType.INT8:
        return function_table(op)
    rules = operator(op.view.kind)
    assert isinstance(rules, Sigmoid)
    scaling = rules.scaling(op.view)
    params: dict[str, Value] = {
        "n": op.view.output().elements,
        "multiplier": scaling.multiplier,
        "shift": scaling.shift,
        "tanh": int(op.view.kind == "TANH"),
    }
    constant = op.constant("tanh", Role.TABLE, TANH_TABLE)
    return [Call("to_sigmoid_any_s16_c", params, (op.input(), constant, op.output()))]


@rule("RELU")
@rule("RELU_N1_TO_1")
def relu(op: Lowering) -> list[Call]:
    if op.view.input(0).dtype is DType.INT8:
        return function_table(op)
    rules = operator(op.view.kind)
    assert isinstance(rules, Relu)
    return _requantize(op, rules.requantization(op.view))


@rule("RELU6")
def relu6(op: Lowering) -> list[Call]:
    if op.view.input(0).dtype is DType.INT8:
        return function_table(op)
    low, high = activation_range(Activation.RELU6, op.view.input(0))
    identity = Requantization(np.array([2**30]), np.array([1]), 0, low, high)
    return _requantize(op, identity)


@rule("LOGICAL_NOT")
def logical_not(op: Lowering) -> list[Call]:
    return table(op, np.arange(256) == 0)


@rule("QUANTIZE")
def quantize(op: Lowering) -> list[Call]:
    given, result = op.view.input(0).dtype, op.view.output().dtype
    if given.itemsize == result.itemsize == 1:
        return table(op, quantize_op.table(op.view))
    return _requantize(op, quantize_op.requantization(op.view))


def _requantize(op: Lowering, requantization: Requantization) -> list[Call]:
    """From input - input zero point to the output."""
    return _convert(
        op,
        {
            "input_zero_point": op.view.input(0).zero_point,
            "multiplier": int(requantization.multiplier[0]),
            "output_zero_point": requantization.zero_point,
            "low": requantization.low,
            "high": requantization.high,
            "shift": int(requantization.shift[0]),
            "scaled": 1,
        },
    )


@rule("CAST")
def cast(op: Lowering) -> list[Call]:
    given, result = op.view.input(0), op.view.output()
    if result.dtype is DType.FLOAT32:
        return to_float(op)
    if given.dtype.itemsize == result.dtype.itemsize:
        return contiguous(op.input(), op.output(), result.nbytes)
    unused = ("input_zero_point", "multiplier", "output_zero_point", "low", "high", "shift", "scaled")
    return _convert(op, dict.fromkeys(unused, 0))


def to_float(op: Lowering, scale: float = 1.0, zero_point: int = 0) -> list[Call]:
    """scale * (input 0 - zero point), of integers."""
    tensor = op.view.input(0)
    params: dict[str, Value] = {
        "n": tensor.elements,
        "scale": scale,
        "zero_point": zero_point,
        "mask": 255 if tensor.dtype is DType.UINT8 else -1,
        "input_size": tensor.dtype.itemsize,
    }
    return [Call("to_dequantize_any_f32_c", params, (op.input(), op.output()))]


def _convert(op: Lowering, rescaling: dict[str, Value]) -> list[Call]:
    given, result = op.view.input(0), op.view.output()
    params: dict[str, Value] = {
        "n": result.elements,
        **rescaling,
        "input_size": given.dtype.itemsize,
        "output_size": result.dtype.itemsize,
    }
    return [Call("to_convert_any_b_c", params, (op.input(), op.output()))]
