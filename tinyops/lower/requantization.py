"""Constants of the int8 multiply-accumulate kernels: folded bias, and the proof that the accumulator fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import OpView

Array = np.ndarray[Any, Any]
_INT32 = 2**31


def fold_bias(view: OpView, weights: Array, bias: Array | None, input_zero_point: int) -> Array:
    """bias - zero_point * sum(weights), int32[channels]; `weights` is int8[channels, taps].

    Kernels start from it and add x * w with x in -128..127 and, outside of the image, zero_point * w. ModelError
    unless every partial sum of every channel fits in int32, whatever the input.
    """
    folded = _start(bias, weights) - input_zero_point * weights.sum(axis=1, dtype=np.int64)
    _bound(view, np.abs(folded) + 128 * _magnitude(weights))
    packed: Array = folded.astype(np.int32)
    return packed


def plain_bias(view: OpView, weights: Array, bias: Array | None, input_zero_point: int) -> Array:
    """The bias, int32[channels], or zeros; `weights` is int8[channels, taps].

    Kernels start from it and add (x - zero_point) * w for any part of the taps. ModelError unless every partial sum
    of every channel fits in int32, whatever the input.
    """
    start = _start(bias, weights)
    _bound(view, np.abs(start) + reach_of(input_zero_point) * _magnitude(weights))
    packed: Array = start.astype(np.int32)
    return packed


def reach_of(zero_point: int) -> int:
    """The largest |x - zero_point| of an int8 x."""
    return max(127 - zero_point, 128 + zero_point)


def check_products(view: OpView, depth: int, zero_points: tuple[int, int]) -> None:
    """ModelError unless int32 holds `depth` products of two int8 operands, each less its zero point."""
    _bound(view, np.array([depth * reach_of(zero_points[0]) * reach_of(zero_points[1])]))


def _magnitude(weights: Array) -> Array:
    """Sum of |w| per channel, without an int64 copy of all weights."""
    total: Array = np.abs(weights, dtype=np.int16).sum(axis=1, dtype=np.int64)
    return total


def _start(bias: Array | None, weights: Array) -> Array:
    return np.zeros(len(weights), np.int64) if bias is None else bias.astype(np.int64)


def _bound(view: OpView, reach: Array) -> None:
    if (reach >= _INT32).any():
        channel = int(reach.argmax())
        raise ModelError(
            f"the accumulator of channel {channel} can reach {int(reach[channel]):,}",
            where=f"operator {view.name} ({view.kind})",
            allowed=f"below 2^31 = {_INT32:,}: smaller biases or fewer inputs per output",
        )
