"""From what was observed of a tensor to the range that its integers shall cover.

Sources: minimum of the squared error as in Banner et al. 2019 and TensorFlow Model Optimization; entropy as in
TensorRT's calibration (Migacz 2017); moving averages as in Jacob et al. 2018. Ranges always include 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyops.graph import DType
from tinyops.ops.base import Array
from tinyops.quantize.observer import BINS, Observer
from tinyops.quantize.settings import Method, QuantizationSettings
from tinyops.quantize.spec import quantization_of_range

Range = tuple[float, float]
#: Fewer values say too little of what lies beyond them to clip any.
_FEW = 1000
_STEPS = 40
_LEVELS = 128


def find_range(method: Method, observer: Observer, settings: QuantizationSettings) -> Range:
    """The range by one method; the observed extremes bound it, and are it where few values were observed."""
    if observer.count < _FEW:
        method = Method.MIN_MAX
    if method is Method.PERCENTILE:
        low, high = _percentile(observer, settings.percentile)
    else:
        low, high = _FUNCTIONS[method](observer)
    return min(max(low, observer.low), 0.0), max(min(high, observer.high), 0.0)


def _min_max(observer: Observer) -> Range:
    return observer.low, observer.high


def _moving_average(observer: Observer) -> Range:
    return observer.average_low, observer.average_high


def _percentile(observer: Observer, percentile: float) -> Range:
    """Each end keeps `percentile` of all values on its side; zeros are values too."""
    values, counts = observer.weighted_values()
    if not values.size:
        return 0.0, 0.0
    negative = int(np.searchsorted(values, 0.0))
    values = np.insert(values, negative, 0.0)
    counts = np.insert(counts, negative, float(observer.zeros))
    total = np.cumsum(counts) / counts.sum()
    beyond = 1 - percentile / 100
    low = values[min(int(np.searchsorted(total, beyond, side="right")), values.size - 1)]
    high = values[min(int(np.searchsorted(total, 1 - beyond)), values.size - 1)]
    # At 100 % the extremes themselves, not the means of their bins.
    return (observer.low, observer.high) if beyond <= 0 else (float(low), float(high))


def squared_error(values: Array, counts: Array, low: float, high: float) -> float:
    """The sum of squared int8 quantization errors of weighted values in the range."""
    q = quantization_of_range(low, high, DType.INT8)
    nearest = np.clip(np.round(values / q.scale) + q.zero_point, -128, 127)
    return float((counts * ((nearest - q.zero_point) * q.scale - values) ** 2).sum())


def _mse(observer: Observer) -> Range:
    """Both ends in turn over a grid of fractions of the observed ends, until neither moves."""
    values, counts = observer.weighted_values()
    low, high = min(observer.low, 0.0), max(observer.high, 0.0)
    fractions = np.arange(_STEPS, _STEPS // 5 - 1, -1) / _STEPS
    best = squared_error(values, counts, low, high) if values.size else 0.0
    chosen = (low, high)
    for _ in range(4):
        before = chosen
        for end in range(2):
            for fraction in fractions:
                tried = (low * fraction, chosen[1]) if end == 0 else (chosen[0], high * fraction)
                error = squared_error(values, counts, *tried) if tried[0] < tried[1] else np.inf
                if error < best:
                    best, chosen = error, tried
        if chosen == before:
            break
    return chosen


def _entropy(observer: Observer) -> Range:
    """The threshold on |value| whose 128 levels lose the least information (Kullback-Leibler divergence)."""
    values, counts = observer.weighted_values()
    limit = max(abs(observer.low), abs(observer.high))
    if not values.size or limit == 0:
        return 0.0, 0.0
    bins = BINS // 2
    magnitudes = np.minimum((np.abs(values) / limit * bins).astype(np.int64), bins - 1)
    histogram = np.bincount(magnitudes, weights=counts, minlength=bins)
    best, threshold = np.inf, limit
    for kept in range(_LEVELS, bins + 1, _LEVELS // 4):
        divergence = _divergence(histogram, kept)
        if divergence < best:
            best, threshold = divergence, limit * kept / bins
    return -threshold, threshold


def _divergence(histogram: Array, kept: int) -> float:
    """Of the first `kept` bins, the rest clipped into the last one, from themselves on _LEVELS levels."""
    inside = histogram[:kept]
    reference = inside.copy()
    reference[-1] += histogram[kept:].sum()
    level = np.arange(kept) * _LEVELS // kept
    held = inside > 0
    totals = np.bincount(level, weights=inside, minlength=_LEVELS)
    members = np.bincount(level, weights=held, minlength=_LEVELS)
    spread = np.where(held, (totals / np.maximum(members, 1))[level], 0.0)
    p = reference / reference.sum()
    total = spread.sum()
    q = spread / total if total else spread
    occupied = p > 0
    # A level without a value gets a little of the mass, as in the usual smoothing.
    return float((p[occupied] * np.log(p[occupied] / np.maximum(q[occupied], 1e-9))).sum())


_FUNCTIONS: dict[Method, Callable[[Observer], Range]] = {
    Method.MIN_MAX: _min_max,
    Method.MOVING_AVERAGE: _moving_average,
    Method.MSE: _mse,
    Method.ENTROPY: _entropy,
}
METHODS = (*_FUNCTIONS, Method.PERCENTILE)
