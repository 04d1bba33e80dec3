"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION, which work row by row."""

from __future__ import annotations

import math

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.ops import log_softmax as log_softmax_op
from tinyops.ops import softmax_int16
from tinyops.ops.softmax import exp_table


def _softmax_int16(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    multiplier, shift = softmax_int16.difference_multiplier(op.view.attrs.beta, op.view.input(0).scale)
    params: dict[str, Value] = {
        "rows": math.prod(shape[:-1]),
        "depth": shape[-1],
        "multiplier": multiplier,
        "shift": shift,
    }
    tables = (
        op.constant("exp", Role.TABLE, softmax_int16.exp_table()),
        op.constant("reciprocal", Role.TABLE, softmax_int16.reciprocal_table()),
    )
    return [Call("to_softmax_any_s16_c", params, (op.input(), *tables, op.output()))]


@rule("SOFTMAX")
def softmax(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    if op.view.input(0).dtype is DType.INT16:
        return _softmax_int16(op)
    table = op.constant("exp", Role.TABLE, exp_table(op.view))
    params: dict[str, Value] = {"rows": math.prod(shape[:-1]), "depth": shape[-1]}
    kernel = "to_softmax_any_s8_s16_c" if op.view.output().dtype is DType.INT16 else "to_softmax_any_s8_c"
    return [Call(kernel, params, (op.input(), table, op.output()))]


@rule("LOG_SOFTMAX")
def log_softmax(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    p, (back_multiplier, back_shift) = log_softmax_op.parameters(op.view)
    params: dict[str, Value] = {
        "rows": math.prod(shape[:-1]),
        "depth": shape[-1],
        "multiplier": p.multiplier,
        "back_multiplier": back_multiplier,
        "radius": p.radius,
        "shift": p.left_shift,
        "back_shift": back_shift,
    }
    table = op.constant("exp", Role.TABLE, log_softmax_op.rounded_exps(op.view))
    return [Call("to_log_softmax_any_s8_c", params, (op.input(), table, op.output()))]


@rule("L2_NORMALIZATION")
def l2_normalization(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    params: dict[str, Value] = {
        "rows": math.prod(tensor.shape[:-1]),
        "depth": tensor.shape[-1],
        "offset": -tensor.zero_point,
    }
    return [Call("to_l2_normalization_any_s8_c", params, (op.input(), op.output()))]
