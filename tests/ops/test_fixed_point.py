from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyops.graph import DType, Quantization, Tensor
from tinyops.ops.base import Activation
from tinyops.ops.fixed_point import (
    MAX_SHIFT,
    Requantization,
    activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap32,
)

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(st.floats(2.0**-32, 2.0**29))
def test_multiplier_represents_the_ratio(ratio: float) -> None:
    multiplier, shift = quantize_multiplier(ratio)
    assert 2**30 <= multiplier < 2**31
    assert abs(math.ldexp(multiplier, shift - 31) - ratio) <= math.ldexp(0.5, shift - 31)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (1 - 2.0**-40, (2**30, 1)),  # rounds up to the next power of two
        (2.0**-33, (0, 0)),
        (2.0**-32, (2**30, -31)),
    ],
)
def test_multiplier_at_the_edges(ratio: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(ratio) == expected


@pytest.mark.parametrize("ratio", [-1.0, math.inf, math.nan, 2.0**MAX_SHIFT])
def test_multiplier_out_of_range(ratio: float) -> None:
    with pytest.raises(ValueError, match="scale ratio"):
        quantize_multiplier(ratio)


@given(INT32, INT32)
def test_high_mul_follows_gemmlowp(a: int, b: int) -> None:
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    quotient = abs(a * b + nudge) // 2**31
    expected = quotient if a * b + nudge >= 0 else -quotient
    assert int(saturating_rounding_doubling_high_mul(a, b)) == min(expected, 2**31 - 1)


@given(INT32, st.integers(0, 31))
def test_divide_rounds_half_away_from_zero(x: int, exponent: int) -> None:
    magnitude = (abs(x) + (2**exponent >> 1)) >> exponent
    assert int(rounding_divide_by_pot(x, exponent)) == (magnitude if x >= 0 else -magnitude)


def test_left_shift_wraps() -> None:
    assert int(multiply_by_quantized_multiplier(2**30, 2**30, 2)) == 0
    assert int(wrap32(2**31)) == -(2**31)


def test_requantization_broadcasts_over_channels() -> None:
    output = Tensor("y", DType.INT8, (2, 2), Quantization((1.0,), (3,)))
    r = Requantization.of([0.5, 0.25], Activation.NONE, output)
    np.testing.assert_array_equal(r.apply(np.array([[100, 100], [-7, 1000]])), [[53, 28], [0, 127]])


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        (Activation.NONE, 0.1, 5, (-128, 127)),
        (Activation.RELU, 0.1, 5, (5, 127)),
        (Activation.RELU6, 0.1, -128, (-128, -68)),
        (Activation.RELU_N1_TO_1, 0.1, 0, (-10, 10)),
        (Activation.RELU6, 4.0, 0, (0, 2)),  # 1.5 rounds away from zero
        (Activation.RELU6, 1e-45, 0, (0, 127)),
        (Activation.RELU_N1_TO_1, 1e-45, 0, (-128, 127)),
    ],
)
def test_activation_range(activation: Activation, scale: float, zero_point: int, expected: tuple[int, int]) -> None:
    output = Tensor("y", DType.INT8, (1,), Quantization((scale,), (zero_point,)))
    assert activation_range(activation, output) == expected
