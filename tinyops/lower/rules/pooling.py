"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN."""

from __future__ import annotations

import math

from tinyops.errors import ModelError
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.lower.strides import contiguous_strides, lead, merge
from tinyops.ops import mean as mean_op
from tinyops.ops import pool as pool_op
from tinyops.ops.fixed_point import activation_range

_MEAN_DIMS = 3


def _pool(op: Lowering, kernel: str) -> list[Call]:
    window = pool_op.window(op.view)
    low, high = activation_range(op.view.attrs.fused_activation_function, op.view.output())
    params: dict[str, Value] = {
        "batches": window.batches,
        "in_h": window.rows.size,
        "in_w": window.columns.size,
        "in_c": window.channels,
        "out_h": window.rows.out,
        "out_w": window.columns.out,
        "kernel_h": window.rows.taps,
        "kernel_w": window.columns.taps,
        "stride_h": window.rows.stride,
        "stride_w": window.columns.stride,
        "pad_top": window.rows.before,
        "pad_left": window.columns.before,
        "activation_min": low,
        "activation_max": high,
    }
    return [Call(kernel, params, (op.input(), op.output()))]


@rule("AVERAGE_POOL_2D")
def average_pool(op: Lowering) -> list[Call]:
    return _pool(op, "to_average_pool2d_any_s8_c")


@rule("MAX_POOL_2D")
def max_pool(op: Lowering) -> list[Call]:
    return _pool(op, "to_max_pool2d_any_s8_c")


@rule("MEAN")
def mean(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    reduced = mean_op.axes(op.view)
    requantization = mean_op.requantization(op.view)
    count = math.prod(shape[axis] for axis in reduced)
    kept_dims, kept_strides = _merged(op, [axis for axis in range(len(shape)) if axis not in reduced])
    reduced_dims, reduced_strides = _merged(op, list(reduced))
    params: dict[str, Value] = {
        "kept_extents": kept_dims,
        "kept_strides": kept_strides,
        "reduced_extents": reduced_dims,
        "reduced_strides": reduced_strides,
        "offset": -op.view.input(0).zero_point * count,
        "multiplier": int(requantization.multiplier[0]),
        "shift": int(requantization.shift[0]),
        "output_zero_point": requantization.zero_point,
    }
    return [Call("to_mean_any_s8_c", params, (op.input(), op.output()))]


def _merged(op: Lowering, axes: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(extents, element strides) of `axes`, neighbours merged, filled up to three dimensions."""
    shape = op.view.input(0).shape
    strides = contiguous_strides(shape)
    extents, (steps,) = merge([shape[axis] for axis in axes], [strides[axis] for axis in axes])
    if len(extents) > _MEAN_DIMS:
        raise ModelError(
            f"the axes alternate {len(extents)} times between kept and reduced",
            where=f"operator {op.view.name} ({op.view.kind})",
            allowed=f"up to {_MEAN_DIMS} times",
        )
    return lead(extents, _MEAN_DIMS, 1), lead(steps, _MEAN_DIMS, 0)
