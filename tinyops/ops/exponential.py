"""gemmlowp's fixed-point exp, reciprocal and logistic on int32 (fixedpoint.h), vectorized.

A value with n integer bits is raw / 2**(31 - n); "Q0" has none. Arrays are int64 that hold int32 values.
"""

from __future__ import annotations

import numpy as np

from tinyops.ops.base import Array
from tinyops.ops.fixed_point import INT32_MAX, rounding_divide_by_pot, wrap32
from tinyops.ops.fixed_point import saturating_rounding_doubling_high_mul as mul

_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
#: exp(-2**k) in Q0.
_EXP_MINUS_POWER = {
    -2: 1672461947,
    -1: 1302514674,
    0: 790015084,
    1: 290630308,
    2: 39332535,
    3: 720401,
    4: 242,
}
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
_ONE_Q2 = 1 << 29


def saturating_shift_left(x: Array, bits: int) -> Array:
    """x * 2**bits in int32, or the nearest int32."""
    limit = (1 << (31 - bits)) - 1
    shifted: Array = np.where(x > limit, INT32_MAX, np.where(x < -limit, -(2**31), x << bits))
    return shifted


def _exp_near_minus_eighth(a: Array) -> Array:
    """exp of a Q0 value in [-1/4, 0): Taylor expansion around -1/8."""
    x = a + (1 << 28)
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4 = mul(x2, x2)
    higher = rounding_divide_by_pot(mul(rounding_divide_by_pot(x4, 2) + x3, _ONE_THIRD) + x2, 1)
    return _EXP_MINUS_EIGHTH + mul(_EXP_MINUS_EIGHTH, x + higher)


def exp_on_negative_values(a: Array, integer_bits: int) -> Array:
    """exp(a) in Q0 for a <= 0 with `integer_bits` integer bits (at most 5)."""
    a = np.asarray(a, dtype=np.int64)
    fractional = 31 - integer_bits
    quarter = 1 << (fractional - 2)
    reduced = (a & (quarter - 1)) - quarter
    result = _exp_near_minus_eighth(saturating_shift_left(reduced, integer_bits))
    remainder = reduced - a
    for exponent, factor in _EXP_MINUS_POWER.items():
        if exponent < integer_bits:
            bit = 1 << (fractional + exponent)
            result = np.where((remainder & bit) != 0, mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def one_over_one_plus_x(a: Array) -> Array:
    """1 / (1 + a) in Q0 for a Q0 value in [0, 1): three Newton-Raphson steps."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = _48_OVER_17 + mul(half_denominator, _MINUS_32_OVER_17)
    for _ in range(3):
        error = _ONE_Q2 - mul(half_denominator, x)
        x = wrap32(x + saturating_shift_left(mul(x, error), 2))
    return saturating_shift_left(x, 1)


def logistic(a: Array, integer_bits: int) -> Array:
    """1 / (1 + exp(-a)) in Q0 for a value with `integer_bits` integer bits."""
    a = np.asarray(a, dtype=np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(a), integer_bits))
    result = np.where(a > 0, positive, INT32_MAX - positive)
    return np.where(a == 0, 1 << 30, result)


def tanh(a: Array, integer_bits: int) -> Array:
    """tanh(a) in Q0 for a value with `integer_bits` integer bits (at most 4)."""
    a = np.asarray(a, dtype=np.int64)
    exp = exp_on_negative_values(-np.abs(a), integer_bits + 1)
    half_denominator = (exp + INT32_MAX + 1) >> 1
    x = _48_OVER_17 + mul(half_denominator, _MINUS_32_OVER_17)
    for _ in range(3):
        x = wrap32(x + saturating_shift_left(mul(x, _ONE_Q2 - mul(half_denominator, x)), 2))
    positive = saturating_shift_left(x - _ONE_Q2, 2)
    return np.where(a > 0, positive, np.where(a < 0, -positive, 0))


def reciprocal(x: Array, integer_bits: int) -> tuple[Array, Array]:
    """(scale, bits) with 1 / x = scale / 2**31 / 2**bits for positive values with `integer_bits` integer bits."""
    x = np.asarray(x, dtype=np.int64)
    headroom = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    fraction = (x << headroom) - 2**31
    return one_over_one_plus_x(fraction), integer_bits - headroom
