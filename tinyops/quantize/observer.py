"""What is remembered of the values of a tensor: a fixed number of bytes, however much data there is."""

from __future__ import annotations

import math

import numpy as np

from tinyops.ops.base import Array

BINS = 4096


class Observer:
    """Extremes and a histogram of BINS bins that double their width when a value falls outside of them.

    Zeros are counted apart, because 0 is exact in every quantization. Per bin the sum of the values is kept too, so
    that the means of the bins represent them. Bin edges are multiples of a power of two, so that doubling is exact.
    """

    def __init__(self, momentum: float = 0.95) -> None:
        self.low = math.inf
        self.high = -math.inf
        #: Exponential moving averages of the extremes of each update, as QAT has them.
        self.average_low = 0.0
        self.average_high = 0.0
        self.updates = 0
        #: Values seen.
        self.count = 0
        self.zeros = 0
        self.counts: Array = np.zeros(BINS)
        self.sums: Array = np.zeros(BINS)
        self.origin = 0.0
        self.width = 0.0
        self._momentum = momentum

    def update(self, values: Array) -> None:
        """`values` are finite floats, at least one."""
        flat = values.reshape(-1).astype(np.float64)
        low, high = float(flat.min()), float(flat.max())
        keep = self._momentum if self.updates else 0.0
        self.average_low = keep * self.average_low + (1 - keep) * low
        self.average_high = keep * self.average_high + (1 - keep) * high
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.updates += 1
        self.count += flat.size
        rest = flat[flat != 0]
        self.zeros += flat.size - rest.size
        if rest.size:
            self._include(float(rest.min()), float(rest.max()))
            index = ((rest - self.origin) / self.width).astype(np.int64)
            self.counts += np.bincount(index, minlength=BINS)
            self.sums += np.bincount(index, weights=rest, minlength=BINS)

    @property
    def edges(self) -> Array:
        """float64[BINS + 1]."""
        return self.origin + self.width * np.arange(BINS + 1)

    def weighted_values(self) -> tuple[Array, Array]:
        """(values ascending, how often each occurred) without the zeros: the means of the bins that hold any."""
        held = self.counts > 0
        return self.sums[held] / self.counts[held], self.counts[held]

    def _include(self, low: float, high: float) -> None:
        if not self.width:
            span = max(high - low, max(abs(low), abs(high)) * 2.0**-20, 2.0**-120)
            self.width = 2.0 ** math.ceil(math.log2(span / (BINS - 2)))
            self.origin = math.floor(low / self.width) * self.width
        while low < self.origin or high >= self.origin + BINS * self.width:
            self._double(downward=low < self.origin)

    def _double(self, downward: bool) -> None:
        half = BINS // 2
        kept = slice(half, None) if downward else slice(None, half)
        for name in ("counts", "sums"):
            merged = np.zeros(BINS)
            merged[kept] = getattr(self, name).reshape(half, 2).sum(axis=1)
            setattr(self, name, merged)
        if downward:
            self.origin -= BINS * self.width
        self.width *= 2
