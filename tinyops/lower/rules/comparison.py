"""EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL; SELECT_V2."""

from __future__ import annotations

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.lower.rules.binary import Mode, binary, geometry, offsets, scaled
from tinyops.ops.comparison import LEFT_SHIFT, input_scale


def _comparison(op: Lowering, mode: Mode, a: int = 0) -> list[Call]:
    """Input `a` is the kernel's first operand."""
    if op.view.input(0).dtype is not DType.INT8:
        return binary(op, mode, {}, a)
    scales = input_scale(op.view, a), input_scale(op.view, 1 - a)
    return binary(op, mode, scaled(LEFT_SHIFT, *scales) | offsets(op, a), a)


@rule("EQUAL")
def equal(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.EQUAL)


@rule("NOT_EQUAL")
def not_equal(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.NOT_EQUAL)


@rule("LESS")
def less(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.LESS)


@rule("LESS_EQUAL")
def less_equal(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.LESS_EQUAL)


@rule("GREATER")
def greater(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.LESS, a=1)


@rule("GREATER_EQUAL")
def greater_equal(op: Lowering) -> list[Call]:
    return _comparison(op, Mode.LESS_EQUAL, a=1)


@rule("SELECT")
@rule("SELECT_V2")
def select(op: Lowering) -> list[Call]:
    params: dict[str, Value] = {
        **geometry(op, condition=0, a=1, b=2),
        "element_size": op.view.output().dtype.itemsize,
    }
    return [Call("to_select_any_b_c", params, (op.input(0), op.input(1), op.input(2), op.output()))]
