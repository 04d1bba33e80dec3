"""MEAN, SUM, REDUCE_ALL, REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN."""

from __future__ import annotations

import math
from dataclasses import replace

from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.lower.strides import contiguous_strides, lead, merge
from tinyops.ops.arg_max import axis_of
from tinyops.ops.base import operator
from tinyops.ops.reduction import Summation, axes, reduced_count

_DIMS = 3


def split_axes(op: Lowering) -> dict[str, Value]:
    """Extents and strides of the dimensions that stay and of those that are reduced."""
    reduced = axes(op.view)
    kept_extents, kept_strides = _merged(op, [k for k in range(len(op.view.input(0).shape)) if k not in reduced])
    reduced_extents, reduced_strides = _merged(op, list(reduced))
    return {
        "kept_extents": kept_extents,
        "kept_strides": kept_strides,
        "reduced_extents": reduced_extents,
        "reduced_strides": reduced_strides,
    }


def _merged(op: Lowering, dims: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(extents, element strides) of `dims`, neighbours merged, filled up to three dimensions."""
    shape = op.view.input(0).shape
    strides = contiguous_strides(shape)
    extents, (steps,) = merge([shape[k] for k in dims], [strides[k] for k in dims])
    if len(extents) > _DIMS:
        raise ModelError(
            f"the axes alternate {len(extents)} times between kept and reduced",
            where=f"operator {op.view.name} ({op.view.kind})",
            allowed=f"up to {_DIMS} times",
        )
    return lead(extents, _DIMS, 1), lead(steps, _DIMS, 0)


@rule("MEAN")
@rule("SUM")
def summation(op: Lowering) -> list[Call]:
    rules = operator(op.view.kind)
    assert isinstance(rules, Summation)
    requantization = rules.requantization(op.view)
    params: dict[str, Value] = split_axes(op) | {
        "offset": -op.view.input(0).zero_point * reduced_count(op.view),
        "multiplier": int(requantization.multiplier[0]),
        "shift": int(requantization.shift[0]),
        "output_zero_point": requantization.zero_point,
    }
    kernel = "to_mean_any_s8_c" if op.view.output().dtype is DType.INT8 else "to_mean_any_s16_c"
    return [Call(kernel, params, (op.input(), op.output()))]


@rule("REDUCE_ALL")
@rule("REDUCE_MAX")
@rule("REDUCE_MIN")
def extreme(op: Lowering) -> list[Call]:
    """Of bool elements, 0 or 1, the smallest says whether all hold."""
    params = split_axes(op) | {"flip": 0 if op.view.kind == "REDUCE_MAX" else -1}
    places = (replace(ref, dtype=DType.INT8) for ref in (op.input(), op.output()))
    return [Call("to_extreme_any_s8_c", params, tuple(places))]


def outer_and_inner(op: Lowering) -> dict[str, Value]:
    """Extents before the axis, of it and after it."""
    shape, axis = op.view.input(0).shape, axis_of(op.view)
    return {"outer": math.prod(shape[:axis]), "axis": shape[axis], "inner": math.prod(shape[axis + 1 :])}


@rule("ARG_MAX")
@rule("ARG_MIN")
def arg_extreme(op: Lowering) -> list[Call]:
    params = outer_and_inner(op) | {"flip": -1 if op.view.kind == "ARG_MIN" else 0}
    return [Call("to_arg_extreme_any_s8_c", params, (op.input(), op.output()))]
