"""TFLite's log_x_for_x_greater_than_or_equal_to_1 (common.h) on int32, vectorized."""

from __future__ import annotations

import numpy as np

from tinyops.ops.base import Array
from tinyops.ops.exponential import one_over_one_plus_x, saturating_shift_left
from tinyops.ops.fixed_point import INT32_MAX, rounding_divide_by_pot
from tinyops.ops.fixed_point import saturating_rounding_doubling_high_mul as mul

_INPUT_INTEGER_BITS = 12
#: Fractional bits of the result, which has 5 integer bits, and of the accumulator, which has one more.
_OUTPUT_FRACTION_BITS = 26
_FRACTION_BITS = _OUTPUT_FRACTION_BITS - 1
_LOG_2 = 1488522236
_SQRT_SQRT_HALF = 1805811301
_SQRT_HALF = 1518500250
_QUARTER = 1 << (_FRACTION_BITS - 2)
_ALPHA_N = 117049297
_ALPHA_D = 127690142
_ALPHA_I = 1057819769
_ALPHA_F = 638450708


def logarithm(x: Array) -> Array:
    """log(x) in Q5.26 for values >= 1 in Q12.19."""
    x = np.asarray(x, dtype=np.int64)
    scaled = mul(x, _SQRT_HALF)
    headroom, scaled_headroom = (31 - np.frexp(v.astype(np.float64))[1].astype(np.int64) for v in (x, scaled))
    first = saturating_shift_left(mul(x << headroom, _SQRT_HALF), 1)
    second = np.minimum(x << scaled_headroom, INT32_MAX)
    r = np.minimum(first, second)
    power = np.maximum(
        ((_INPUT_INTEGER_BITS - 1 - headroom) << _FRACTION_BITS) + _QUARTER,
        ((_INPUT_INTEGER_BITS - scaled_headroom) << _FRACTION_BITS) - _QUARTER,
    )
    p = (r + _SQRT_SQRT_HALF + 1) >> 1
    q = 2 * (r - _SQRT_SQRT_HALF)
    square = mul(q, q)
    numerator = mul(q, r) + mul(mul(q, square), _ALPHA_N)
    denominator = mul(p, _ALPHA_I + q + mul(_ALPHA_D, square)) + mul(_ALPHA_F, q)
    fraction = mul(rounding_divide_by_pot(numerator, 6), one_over_one_plus_x(denominator))
    return saturating_shift_left(mul(power, _LOG_2) + fraction, 1)
