"""Constants of the int8 multiply-accumulate kernels: folded bias, and the proof that the accumulator fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import OpView
from tinyops.ops.fixed_point import Requantization

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


@dataclass(frozen=True, slots=True, eq=False)
class ShortForm:
    """Requantization in few instructions, int64[channels] each: with v = SRDHM(bias + products, multiplier) the output
    is (v + (v < 0 ? -1 : 0) + addend) >> shift, saturated. `addend` holds the rounding and the zero point.
    """

    bias: Array
    multiplier: Array
    addend: Array
    shift: Array


def short_form(
    view: OpView, weights: Array, requantization: Requantization, *, uniform: bool = False
) -> ShortForm | None:
    """The short form of an int8 layer, or None where it could overflow or differ from TFLite's two roundings.

    It is exact where every channel shifts right, and where neither twice the accumulator nor the sum before the shift
    leaves int32, for any input. A channel whose output is the same for every input gets multiplier 0, but for a
    `uniform` form, in which all channels share all but the bias. `weights` is int8[channels, taps]. Raises ModelError
    as `fold_bias` does.
    """
    bias = view.optional(2)
    folded = fold_bias(view, weights, None if bias is None else bias.data, view.input(0).zero_point).astype(np.int64)
    multiplier = np.broadcast_to(requantization.multiplier.astype(np.int64), folded.shape)
    shift = np.broadcast_to(-requantization.shift.astype(np.int64), folded.shape)
    zero = np.full(folded.shape, requantization.zero_point, np.int64)
    spread = 128 * _magnitude(weights)
    lowest, highest = (requantization.apply(folded + way * spread).astype(np.int64) for way in (-1, 1))
    fixed = (lowest == highest) & (not uniform)  # pruned channels have scales beyond all measure
    fixed |= multiplier == 0
    multiplier, shift = np.where(fixed, 0, multiplier), np.where(fixed, 1, shift)
    folded, zero = np.where(fixed, 0, folded), np.where(fixed, lowest, zero)
    if (shift < 1).any():
        return None
    addend = (np.int64(1) << (shift - 1)) + (zero << shift)
    reach = np.abs(folded) + spread
    high = ((reach * multiplier) >> 31) + 2
    if (2 * reach >= _INT32).any() or (high + np.abs(addend) >= _INT32).any():
        return None
    return ShortForm(folded, multiplier, addend, shift)


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
