"""AVERAGE_POOL_2D, MAX_POOL_2D."""

from __future__ import annotations

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.ops import pool as pool_op
from tinyops.ops.fixed_point import activation_range


def pool_geometry(op: Lowering) -> dict[str, Value]:
    window = pool_op.window(op.view)
    return {
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
    }


def _pool(op: Lowering, kernel: str, largest: int) -> list[Call]:
    """By `kernel`, or with int16 by the one that does both."""
    low, high = activation_range(op.view.attrs.fused_activation_function, op.view.output())
    params = pool_geometry(op) | {"activation_min": low, "activation_max": high}
    if op.view.output().dtype is DType.INT16:
        kernel = "to_pool2d_any_s16_c"
        params |= {"largest": largest}
    return [Call(kernel, params, (op.input(), op.output()))]


@rule("AVERAGE_POOL_2D")
def average_pool(op: Lowering) -> list[Call]:
    return _pool(op, "to_average_pool2d_any_s8_c", 0)


@rule("MAX_POOL_2D")
def max_pool(op: Lowering) -> list[Call]:
    return _pool(op, "to_max_pool2d_any_s8_c", 1)
