"""ADD, and operators that are a function of one byte: LOGISTIC, QUANTIZE; SOFTMAX."""

from __future__ import annotations

import math

import numpy as np

from tinyops.graph import DType, Tensor
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.strides import contiguous_strides, lead
from tinyops.ops import add as add_op
from tinyops.ops import logistic as logistic_op
from tinyops.ops import quantize as quantize_op
from tinyops.ops.base import Array
from tinyops.ops.softmax import exp_table

_ADD_DIMS = 4


@rule("ADD")
def add(op: Lowering) -> list[Call]:
    p = add_op.parameters(op.view)
    (a_multiplier, a_shift), (b_multiplier, b_shift) = p.inputs
    params: dict[str, Value] = {
        "extents": lead(op.view.output().shape, _ADD_DIMS, 1),
        "a_stride": _broadcast_strides(op.view.input(0)),
        "b_stride": _broadcast_strides(op.view.input(1)),
        "a_multiplier": a_multiplier,
        "b_multiplier": b_multiplier,
        "output_multiplier": p.output[0],
        "a_offset": -op.view.input(0).zero_point,
        "b_offset": -op.view.input(1).zero_point,
        "a_shift": a_shift,
        "b_shift": b_shift,
        "output_shift": p.output[1],
        "output_offset": op.view.output().zero_point,
        "activation_min": p.low,
        "activation_max": p.high,
    }
    return [Call("to_add_any_s8_c", params, (op.input(0), op.input(1), op.output()))]


def _broadcast_strides(tensor: Tensor) -> tuple[int, ...]:
    """Element strides over four dimensions, 0 where the dimension is broadcast or has one element."""
    strides = contiguous_strides(tensor.shape)
    return lead([0 if n == 1 else s for n, s in zip(tensor.shape, strides, strict=True)], _ADD_DIMS, 0)


def _table(op: Lowering, ascending: Array) -> list[Call]:
    """A 256-entry table; `ascending` is indexed from the lowest input value on, the kernel by the input's byte."""
    signed = op.view.input(0).dtype is DType.INT8
    by_byte = np.roll(ascending, -128) if signed else ascending
    table = op.constant("table", Role.TABLE, by_byte.view(np.uint8))
    params: dict[str, Value] = {"n": op.view.output().elements}
    return [Call("to_lut_any_8_c", params, (op.input(), table, op.output()))]


@rule("LOGISTIC")
def logistic(op: Lowering) -> list[Call]:
    return _table(op, logistic_op.table(op.view))


@rule("QUANTIZE")
def quantize(op: Lowering) -> list[Call]:
    return _table(op, quantize_op.table(op.view))


@rule("SOFTMAX")
def softmax(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    table = op.constant("exp", Role.TABLE, exp_table(op.view))
    params: dict[str, Value] = {"rows": math.prod(shape[:-1]), "depth": shape[-1]}
    return [Call("to_softmax_any_s8_c", params, (op.input(), table, op.output()))]
