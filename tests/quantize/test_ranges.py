"""Observers of bounded size, and the ranges that the methods find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyops.graph import DType
from tinyops.quantize.observer import BINS, Observer
from tinyops.quantize.ranges import METHODS, find_range, squared_error
from tinyops.quantize.settings import Method, QuantizationSettings
from tinyops.quantize.simulate import rounded
from tinyops.quantize.spec import quantization_of_range

_SETTINGS = QuantizationSettings()
_VALUES = st.lists(st.integers(-(2**24), 2**24).map(lambda n: n / 8), min_size=1, max_size=20)


@given(st.lists(_VALUES, min_size=1, max_size=5))
def test_nothing_is_lost_when_bins_widen(parts: list[list[float]]) -> None:
    observer = Observer()
    for part in parts:
        observer.update(np.array(part, dtype=np.float32))
    everything = np.concatenate([np.array(part, dtype=np.float32) for part in parts]).astype(np.float64)
    assert (observer.low, observer.high) == (everything.min(), everything.max())
    assert observer.zeros + observer.counts.sum() == observer.count == everything.size
    assert observer.sums.sum() == pytest.approx(
        everything.sum(), rel=1e-9, abs=1e-9 * np.abs(everything).max() + 1e-300
    )
    assert len(observer.counts) == BINS
    rest = everything[everything != 0]
    if rest.size:
        assert observer.origin <= rest.min()
        assert rest.max() < observer.edges[-1]
        expected, _ = np.histogram(rest, observer.edges)
        np.testing.assert_array_equal(observer.counts, expected)


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 10**k, 50) for k in range(4)]
    one, other = Observer(), Observer()
    for part in parts:
        one.update(part)
    for part in reversed(parts):
        other.update(part)
    assert (one.low, one.high, one.count) == (other.low, other.high, other.count)
    assert find_range(Method.MIN_MAX, one, _SETTINGS) == find_range(Method.MIN_MAX, other, _SETTINGS)


def _observed(values: np.ndarray) -> Observer:
    observer = Observer()
    for part in np.array_split(values, 8):
        observer.update(part)
    return observer


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.sampled_from(METHODS))
def test_every_range_holds_zero_and_stays_within_the_extremes(seed: int, offset: float, method: Method) -> None:
    values = np.random.default_rng(seed).standard_t(3, 2000) + offset
    low, high = find_range(method, _observed(values), _SETTINGS)
    assert min(values.min(), 0) <= low <= 0 <= high <= max(values.max(), 0)


@pytest.mark.parametrize("offset", [0.0, 2.0, 20.0])
def test_mse_is_the_best_of_the_methods(offset: float) -> None:
    values = np.random.default_rng(1).laplace(0, 1, 20_000) + offset
    observer = _observed(values)

    def error(method: Method) -> float:
        q = quantization_of_range(*find_range(method, observer, _SETTINGS), DType.INT8)
        return float(((rounded(values.astype(np.float32), q, DType.INT8) - values) ** 2).sum())

    errors = {method: error(method) for method in METHODS}
    assert errors[Method.MSE] <= 1.02 * min(errors.values())
    assert errors[Method.MSE] < errors[Method.MIN_MAX]


def test_the_error_of_the_histogram_is_that_of_the_values() -> None:
    values = np.random.default_rng(2).normal(0, 1, 50_000)
    found = squared_error(*_observed(values).weighted_values(), -2.0, 3.0)
    q = quantization_of_range(-2.0, 3.0, DType.INT8)
    exact = float(((rounded(values.astype(np.float32), q, DType.INT8) - values) ** 2).sum())
    assert found == pytest.approx(exact, rel=0.02)


def test_percentile_counts_zeros() -> None:
    """999,000 zeros and 1,000 values: 99.9 % of the values are 0, 99.99 % below the largest tenth of the others."""
    observer = Observer()
    observer.update(np.concatenate([np.zeros(999_000), np.linspace(1, 2, 1000)]))
    settings = QuantizationSettings(percentile=99.99)
    assert find_range(Method.PERCENTILE, observer, settings)[1] == pytest.approx(1.9, abs=0.01)
    assert find_range(Method.PERCENTILE, observer, QuantizationSettings(percentile=99.8))[1] == 0.0
    assert find_range(Method.PERCENTILE, observer, QuantizationSettings(percentile=100)) == (0.0, 2.0)


def test_entropy_leaves_a_lone_outlier_out() -> None:
    values = np.append(np.random.default_rng(3).normal(0, 1, 50_000), 60.0)
    low, high = find_range(Method.ENTROPY, _observed(values), _SETTINGS)
    assert 2.5 < high < 15
    assert -5 < low < -2.5


def test_moving_average_is_between_the_extremes_of_the_samples() -> None:
    observer = Observer(momentum=0.5)
    for top in (1.0, 3.0):
        observer.update(np.linspace(-1, top, 600))
    assert find_range(Method.MOVING_AVERAGE, observer, _SETTINGS) == (-1.0, 2.0)


def test_few_values_are_not_clipped() -> None:
    values = np.append(np.zeros(500), [1.0, 100.0])
    for method in METHODS:
        assert find_range(method, _observed(values), _SETTINGS) == (0.0, 100.0)
