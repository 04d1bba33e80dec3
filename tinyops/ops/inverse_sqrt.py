"""TFLite's GetInvSqrtQuantizedMultiplierExp (common.h), vectorized."""

from __future__ import annotations

import numpy as np

from tinyops.ops.base import Array
from tinyops.ops.exponential import saturating_shift_left
from tinyops.ops.fixed_point import INT32_MAX, rounding_divide_by_pot
from tinyops.ops.fixed_point import saturating_rounding_doubling_high_mul as mul

_ONE_Q3 = 1 << 28
_THREE_HALVES_Q3 = 3 << 27
_HALF_SQRT_2 = 1518500250


def inverse_sqrt(x: Array) -> tuple[Array, Array]:
    """(multiplier, right shift) with 1 / sqrt(x) = multiplier * 2**(-31 - right shift), for 0 <= x < 2**31.

    0 counts as 1. Five steps of Newton's iteration from 1, with 3 integer bits.
    """
    x = np.asarray(x, dtype=np.int64)
    large = x >= 1 << 29
    reduced = np.where(large, x >> 2, x)
    bits = np.frexp(np.maximum(reduced, 2).astype(np.float64))[1].astype(np.int64)
    pairs = (31 - bits) // 2 - 1
    right_shift = 11 + large - pairs
    half = rounding_divide_by_pot((reduced << 2 * pairs) >> 1, 1)
    y = np.full_like(x, _ONE_Q3)
    for _ in range(5):
        cube = saturating_shift_left(mul(mul(y, y), y), 6)
        y = saturating_shift_left(mul(_THREE_HALVES_Q3, y) - mul(half, cube), 3)
    y = mul(y, _HALF_SQRT_2) << np.maximum(-right_shift, 0)
    return np.where(x <= 1, INT32_MAX, y), np.where(x <= 1, 0, np.maximum(right_shift, 0))
