"""Ranges to scales and reals to integers: what TFLite's specification asks of every parameter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyops.graph import DType, Quantization
from tinyops.quantize.spec import (
    MAX_BIAS,
    bias_tensor,
    least_weight_scales,
    quantization_of_range,
    quantize_values,
    range_of,
    weight_grid,
)

_REALS = st.floats(-(2.0**20), 2.0**20, width=32)
_DTYPES = st.sampled_from([DType.INT8, DType.INT16])


@given(_REALS, _REALS, _DTYPES)
def test_zero_is_exact_and_the_range_is_covered(a: float, b: float, dtype: DType) -> None:
    low, high = min(a, b), max(a, b)
    q = quantization_of_range(low, high, dtype)
    assert q.scale == float(np.float32(q.scale)) > 0
    info = np.iinfo(dtype.numpy)
    assert info.min <= q.zero_point <= info.max
    zero = quantize_values(np.zeros(1), q, dtype)[0]
    assert q.scale * (int(zero) - q.zero_point) == 0.0
    if dtype is DType.INT16:
        assert q.zero_point == 0
    least, most = range_of(q, dtype)
    # The zero point is rounded: either end may be off by half a step.
    assert least <= min(low, 0) + 0.5001 * q.scale
    assert most >= max(high, 0) - 0.5001 * q.scale


@given(_REALS, _REALS, _DTYPES, st.floats(0, 1))
def test_values_of_the_range_come_back_within_half_a_step(a: float, b: float, dtype: DType, part: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    q = quantization_of_range(low, high, dtype)
    value = low + part * (high - low)
    integer = int(quantize_values(np.array([value]), q, dtype)[0])
    # At the ends another half step, by which the zero point is rounded.
    assert abs(q.scale * (integer - q.zero_point) - value) <= 1.001 * q.scale
    least, most = range_of(q, dtype)
    if least <= value <= most:
        assert abs(q.scale * (integer - q.zero_point) - value) <= 0.501 * q.scale


def test_a_tensor_that_is_always_zero_gets_a_range() -> None:
    assert range_of(quantization_of_range(0.0, 0.0, DType.INT8), DType.INT8) == pytest.approx((0, 1))


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.sampled_from([0, 1, None]),
    st.sampled_from([4, 8]),
    st.floats(-30, 20),
)
def test_weights_are_symmetric_and_no_channel_is_clipped(
    seed: int, channels: int, axis: int | None, bits: int, exponent: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = [3, 7]
    if axis is not None:
        shape[axis] = channels
    weights = (rng.normal(0, 1, shape) * 2.0**exponent * (rng.random(shape) < 0.8)).astype(np.float32)
    grid = weight_grid(weights, axis, bits, np.zeros(channels))
    integers = grid.nearest(weights)
    limit = 127 if bits == 8 else 7
    assert np.abs(integers.astype(int)).max() <= limit
    assert set(grid.quantization.zero_points) == {0}
    assert all(s == float(np.float32(s)) > 0 and math.isfinite(s) for s in grid.quantization.scales)
    if axis is not None and channels > 1:
        assert (grid.quantization.axis, len(grid.quantization.scales)) == (axis, channels)
    if bits == 8:
        assert np.all(np.abs(integers * grid.scales - weights) <= 0.501 * grid.scales)


def test_channels_of_zeros_take_the_scale_of_others() -> None:
    weights = np.array([[0, 0], [1, -2], [0, 0]], dtype=np.float32)
    assert weight_grid(weights, 0, 8, np.zeros(3)).quantization.scales == (float(np.float32(2 / 127)),) * 3
    assert weight_grid(weights * 0, 0, 8, np.zeros(3)).quantization.scales == (1.0,) * 3


@given(st.floats(-(2.0**90), 2.0**90, width=32), st.floats(2.0**-30, 1e3), st.floats(2.0**-40, 1.0))
def test_a_bias_fits_because_the_weights_scale_grows(bias: float, scale: float, weight: float) -> None:
    values = Quantization((float(np.float32(scale)),), (3,))
    biases = np.array([bias], dtype=np.float32)
    grid = weight_grid(np.array([[weight]], dtype=np.float32), 0, 8, least_weight_scales(biases, 1, values))
    tensor = bias_tensor("b", biases, values, grid.quantization, DType.INT8)
    assert tensor.data is not None
    assert tensor.dtype is DType.INT32
    step = values.scale * grid.quantization.scales[0]
    assert abs(int(tensor.data[0])) <= MAX_BIAS
    assert int(tensor.data[0]) * step == pytest.approx(float(biases[0]), rel=1e-6, abs=step)
