"""SOFTMAX on int16, by TFLite's tables of 513 entries with linear interpolation (reference/softmax.h, common.h)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from tinyops.ops.base import Array
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier

#: Sums of that many exps stay in int32.
MAX_DEPTH = 2**16 - 1
#: Of differences, which reach 2**16 - 1, to the left within int32.
_MAX_SHIFT = 15


def difference_multiplier(beta: float, scale: float) -> tuple[int, int]:
    """(multiplier, shift) from differences of inputs to steps of 10 / 65535; ValueError where it is too large."""
    multiplier, shift = quantize_multiplier(scale * beta / (10.0 / 65535.0))
    if shift > _MAX_SHIFT:
        raise ValueError(f"beta {beta:g} with input scale {scale:g}")
    return multiplier, shift


@cache
def exp_table() -> Array:
    """int16[513]: exp over -10..0 in Q0.15."""
    return _table(10, 2**15 - 1, lambda x: np.exp(x.astype(np.float64)).astype(np.float32))


@cache
def reciprocal_table() -> Array:
    """int16[513]: 1 / (1 + x) over 0..1 in Q0.15."""
    return _table(1, -(2**15), lambda x: np.float32(1) / (np.float32(1) + x))


def _table(span: int, zero_point: int, function: Callable[[Array], Array]) -> Array:
    """TFLite's LUTPopulateInt16, every step in float32; exp is correctly rounded."""
    steps, low, high = 512, -(2**15), 2**15 - 1
    scale, output_scale = np.float32(span) / np.float32(65535), np.float32(2) / np.float32(65535)
    first, last = scale * np.float32(low - zero_point), scale * np.float32(high - zero_point)
    step = (last - first) / np.float32(steps)
    unit = np.float32(65536) / (output_scale * np.float32(high) - output_scale * np.float32(low))
    i = np.arange(steps, dtype=np.float32)
    value, middle, following = (
        function(x) * unit
        for x in (first + i * step, first + i * step + step / np.float32(2), first + (i + np.float32(1)) * step)
    )
    between = _round((following + _round(value)) / np.float32(2))
    bias = _round((between - _round(middle)) / np.float32(2))
    end = _round(function(np.array([last], dtype=np.float32)) * unit)
    table: Array = np.clip(np.concatenate([_round(value) - bias, end]), low, high).astype(np.int16)
    return table


def _round(x: Array) -> Array:
    """Nearest, ties away from zero."""
    rounded: Array = np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x).astype(np.float32)
    return rounded


def _lookup(table: Array, x: Array) -> Array:
    """The table at int16 values held in int64."""
    entries, index = table.astype(np.int64), 256 + (x >> 7)
    base = entries[index]
    result: Array = base + (((entries[index + 1] - base) * (x & 0x7F) + 64) >> 7)
    return result


def softmax_int16(rows: Array, multiplier: int, shift: int) -> Array:
    """int16[rows, depth] in Q0.15."""
    values = rows.astype(np.int64)
    differences = multiply_by_quantized_multiplier(values - values.max(axis=1, keepdims=True), multiplier, shift)
    exps = _lookup(exp_table(), np.clip(differences + 2**15 - 1, -(2**15), 2**15 - 1))
    total = exps.sum(axis=1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    scale = _lookup(reciprocal_table(), np.clip(shifted - (1 << 15) - (1 << 16), -(2**15), 2**15 - 1))
    right = 31 - headroom
    result: Array = (exps * scale + (np.int64(1) << (right - 1))) >> right
    return result.clip(0, 2**15 - 1).astype(np.int16)
