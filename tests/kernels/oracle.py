"""What each kernel computes, in NumPy and straight from its header: wide integers, gemmlowp's own formulas.

Every function returns the output, flat, and for each element the lowest input element that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Params = dict[str, Any]
Result = tuple[Array, Array]
NONE = 1 << 40


def wrap32(x: Array) -> Array:
    wrapped: Array = (x + 2**31) % 2**32 - 2**31
    return wrapped


def high_mul(a: Any, b: Any) -> Array:
    """gemmlowp SaturatingRoundingDoublingHighMul with its division that truncates."""
    ab = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = ab + np.where(ab >= 0, 1 << 30, 1 - (1 << 30))
    quotient = np.abs(nudged) >> 31
    return np.where(nudged < 0, -quotient, quotient)


def rounding_shift(x: Array, exponent: Array | int) -> Array:
    """Nearest, ties away from zero."""
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    magnitude = (np.abs(x) + half) >> exponent
    rounded: Array = np.where(x < 0, -magnitude, magnitude)
    return rounded


def requantize(acc: Array, multiplier: Array | int, shift: Array | int) -> Array:
    shift = np.asarray(shift, np.int64)
    shifted = wrap32(np.asarray(acc, np.int64) << np.maximum(shift, 0))
    return rounding_shift(high_mul(shifted, np.asarray(multiplier, np.int64)), np.maximum(-shift, 0))


def output(scaled: Array, zero_point: int, low: int, high: int) -> Array:
    return np.clip(wrap32(scaled + zero_point), low, high).astype(np.int8)


def _coordinates(p: Params, axis: str, k: int) -> Array:
    start = {"h": "pad_top", "w": "pad_left"}[axis]
    places: Array = np.arange(p[f"out_{axis}"]) * p[f"stride_{axis}"] - p[start] + k * p.get(f"dilation_{axis}", 1)
    return places


def taps(p: Params, x: Array) -> list[tuple[int, int, Array, Array, Array]]:
    """For each tap (ky, kx): values [batch, out_h, out_w, in_c], which of them are inside, and their input elements."""
    index = np.arange(x.size).reshape(x.shape)
    found = []
    for ky in range(p["kernel_h"]):
        for kx in range(p["kernel_w"]):
            y, xx = _coordinates(p, "h", ky), _coordinates(p, "w", kx)
            inside = ((y >= 0) & (y < p["in_h"]))[:, None] & ((xx >= 0) & (xx < p["in_w"]))[None, :]
            yc, xc = np.clip(y, 0, p["in_h"] - 1), np.clip(xx, 0, p["in_w"] - 1)
            mask = np.broadcast_to(inside[None, :, :, None], (p["batches"], p["out_h"], p["out_w"], p["in_c"]))
            values = x[:, yc][:, :, xc].astype(np.int64)
            found.append((ky, kx, values, mask, np.where(mask, index[:, yc][:, :, xc], NONE)))
    return found


def conv2d(p: Params, x: Array, weights: Array, bias: Array, multiplier: Array, shift: Array) -> Result:
    acc: Array = np.zeros((p["batches"], p["out_h"], p["out_w"], p["out_c"]), np.int64) + bias
    first, depth = np.full(acc.shape, NONE), weights.shape[3]
    for ky, kx, values, mask, index in taps(p, x):
        values = np.where(mask, values, p["input_zero_point"])
        for c in range(p["out_c"]):
            start = c // (p["out_c"] // p["groups"]) * depth
            acc[..., c] += values[..., start : start + depth] @ weights[c, ky, kx].astype(np.int64)
            first[..., c] = np.minimum(first[..., c], index[..., start : start + depth].min(axis=3))
    y = output(requantize(acc, multiplier, shift), p["output_zero_point"], p["activation_min"], p["activation_max"])
    return y.reshape(-1), first.reshape(-1)


def depthwise(p: Params, x: Array, weights: Array, bias: Array, multiplier: Array, shift: Array) -> Result:
    acc: Array = np.zeros((p["batches"], p["out_h"], p["out_w"], p["out_c"]), np.int64) + bias
    first = np.full(acc.shape, NONE)
    for ky, kx, values, mask, index in taps(p, x):
        values = np.where(mask, values, p["input_zero_point"])
        acc += np.repeat(values, p["depth_multiplier"], axis=3) * weights[ky, kx].astype(np.int64)
        first = np.minimum(first, np.repeat(index, p["depth_multiplier"], axis=3))
    y = output(requantize(acc, multiplier, shift), p["output_zero_point"], p["activation_min"], p["activation_max"])
    return y.reshape(-1), first.reshape(-1)


def fully_connected(p: Params, x: Array, weights: Array, bias: Array) -> Result:
    acc = x.astype(np.int64) @ weights.astype(np.int64).T + bias
    scaled = requantize(acc, p["multiplier"], p["shift"])
    y = output(scaled, p["output_zero_point"], p["activation_min"], p["activation_max"])
    return y.reshape(-1), np.repeat(np.arange(p["batches"]) * p["in_n"], p["out_n"])


def _pool(p: Params, x: Array, value: Callable[[list[Array], list[Array]], Array]) -> Result:
    found = taps(p, x)
    y = value([v for _, _, v, _, _ in found], [m for _, _, _, m, _ in found])
    first = np.minimum.reduce([index for *_, index in found])
    return np.clip(y, p["activation_min"], p["activation_max"]).astype(np.int8).reshape(-1), first.reshape(-1)


def average_pool(p: Params, x: Array) -> Result:
    def mean(values: list[Array], masks: list[Array]) -> Array:
        total = sum(np.where(m, v, 0) for v, m in zip(values, masks, strict=True))
        count = sum(m.astype(np.int64) for m in masks)
        magnitude = (np.abs(total) + count // 2) // count
        return np.where(total < 0, -magnitude, magnitude)

    return _pool(p, x, mean)


def max_pool(p: Params, x: Array) -> Result:
    return _pool(
        p,
        x,
        lambda values, masks: np.maximum.reduce([np.where(m, v, -128) for v, m in zip(values, masks, strict=True)]),
    )


def strided(extents: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """The offsets that strides give for each index, row-major and flat."""
    grids = np.indices(extents).reshape(len(extents), -1)
    offsets: Array = (grids * np.array(strides).reshape(-1, 1)).sum(axis=0)
    return offsets


def add(p: Params, a: Array, b: Array) -> tuple[Array, Array, Array]:
    at_a, at_b = strided(p["extents"], p["a_stride"]), strided(p["extents"], p["b_stride"])
    x = requantize((a[at_a].astype(np.int64) + p["a_offset"]) << 20, p["a_multiplier"], p["a_shift"])
    y = requantize((b[at_b].astype(np.int64) + p["b_offset"]) << 20, p["b_multiplier"], p["b_shift"])
    scaled = requantize(x + y, p["output_multiplier"], p["output_shift"])
    return output(scaled, p["output_offset"], p["activation_min"], p["activation_max"]), at_a, at_b


def mean(p: Params, x: Array) -> Result:
    at = strided(p["kept_extents"], p["kept_strides"])[:, None]
    every = at + strided(p["reduced_extents"], p["reduced_strides"])[None, :]
    acc = x[every].astype(np.int64).sum(axis=1) + p["offset"]
    return output(requantize(acc, p["multiplier"], p["shift"]), p["output_zero_point"], -128, 127), every.min(axis=1)


def softmax(p: Params, x: Array, table: Array) -> Result:
    """TFLite's int8 softmax: the reciprocal in Python integers, by gemmlowp's fixed-point types."""
    exps = table[x.max(axis=1, keepdims=True).astype(np.int64) - x].astype(np.int64)
    sums = rounding_shift(exps, 12).sum(axis=1)
    y = np.empty(x.shape, np.int8)
    for i, total in enumerate(sums.tolist()):
        zeros = 32 - total.bit_length()
        scale = reciprocal((total << zeros) - 2**31)
        q = rounding_shift(high_mul(exps[i], scale), 35 - zeros)
        y[i] = np.clip(q - 128, -128, 127)
    return y.reshape(-1), np.repeat(np.arange(p["rows"]) * p["depth"], p["depth"])


def reciprocal(x: int) -> int:
    """gemmlowp one_over_one_plus_x_for_x_in_0_1 on Q0.31."""

    def mul(a: int, b: int) -> int:
        return int(high_mul(a, b))

    def saturating_shift(a: int, left: int) -> int:
        return max(-(2**31), min(2**31 - 1, a << left))

    total = x + 2**31 - 1
    half = (total + 1) // 2
    r = 1515870810 + mul(half, -1010580540)
    for _ in range(3):
        r += saturating_shift(mul(r, 2**29 - mul(half, r)), 2)
    return saturating_shift(r, 1)
