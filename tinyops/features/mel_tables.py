"""Constants of the log-mel and MFCC front ends, as integers.

All of them are computed with 50 decimal digits and rounded once: no machine's math library decides a last bit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache, wraps
from typing import Final, ParamSpec, TypeVar

import numpy as np

from tinyops.features.base import Array

__all__ = [
    "COSINE_BITS",
    "DCT_BITS",
    "LOG2_BITS",
    "PREEMPHASIS_BITS",
    "WEIGHT_BITS",
    "dct_cosines",
    "dct_factor",
    "decimal",
    "edges_hz",
    "fft_cosines",
    "filters",
    "fixed",
    "lifter_weights",
    "log2_table",
    "log_factor",
    "mantissa",
    "nearest",
    "precise",
    "slaney_gains",
    "window_weights",
]

#: Fraction bits: FFT's cosines and pre-emphasis; window, filters and gains; the DCT's cosines; logarithms.
COSINE_BITS: Final = 30
PREEMPHASIS_BITS: Final = 30
WEIGHT_BITS: Final = 31
DCT_BITS: Final = 28
LOG2_BITS: Final = 20

_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937510582")

_P = ParamSpec("_P")
_T = TypeVar("_T")


def precise(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Its decimals have 50 digits, whatever the caller's context is."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with localcontext() as context:
            context.prec = 50
            return function(*args, **kwargs)

    return wrapped


def decimal(x: float) -> Decimal:
    """The number as people write it: 0.97 is 97 / 100."""
    return Decimal(repr(x))


def nearest(x: Decimal) -> int:
    """Rounded, ties to even."""
    return int(x.to_integral_value(ROUND_HALF_EVEN))


@precise
def fixed(x: Decimal, bits: int) -> int:
    """With `bits` fraction bits, rounded."""
    return nearest(x * (1 << bits))


def _fixed(values: Sequence[Decimal], bits: int, dtype: type[np.generic]) -> Array:
    return np.array([fixed(x, bits) for x in values], dtype)


@precise
def mantissa(x: Decimal) -> tuple[int, int]:
    """(m, e) with x = m * 2^e and 2^31 <= m < 2^32, m rounded; x > 0."""
    exponent = 0
    while x >= 1 << 32:
        x, exponent = x / 2, exponent + 1
    while x < 1 << 31:
        x, exponent = x * 2, exponent - 1
    m = nearest(x)
    return (m, exponent) if m < 1 << 32 else (1 << 31, exponent + 1)


def _cosine(turns: Fraction) -> Decimal:
    """cos(2 pi turns), 0 <= turns <= 1, by its power series."""
    turns = min(turns, 1 - turns)
    if turns > Fraction(1, 4):
        return -_cosine(Fraction(1, 2) - turns)
    square = (2 * _PI * turns.numerator / turns.denominator) ** 2
    term, total, n = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal("1e-48"):
        total += term
        n += 2
        term *= -square / (n * (n - 1))
    return total


@precise
def fft_cosines(fft: int) -> Array:
    """int32[fft / 4 + 1]: cos(2 pi k / fft)."""
    return _fixed([_cosine(Fraction(k, fft)) for k in range(fft // 4 + 1)], COSINE_BITS, np.int32)


@precise
def dct_cosines(channels: int) -> Array:
    """int32[2 channels]: cos(pi k / (2 channels))."""
    return _fixed([_cosine(Fraction(k, 4 * channels)) for k in range(2 * channels)], DCT_BITS, np.int32)


@precise
def lifter_weights(lifter: int, indices: Sequence[int]) -> list[Decimal]:
    """1 + lifter / 2 * sin(pi n / lifter) for the cepstral coefficients n of `indices`; 1 without lifter (0)."""
    if not lifter:
        return [Decimal(1)] * len(indices)
    turns = [Fraction(1, 4) - Fraction(n, 2 * lifter) for n in indices]
    return [1 + Decimal(lifter) / 2 * _cosine(t % 1) for t in turns]


@precise
def dct_factor(kind: str, channels: int, index: int) -> Decimal:
    """Factor of sum x[c] cos(pi index (2 c + 1) / (2 channels)) in the DCT-II "none", "htk" or "ortho"."""
    if kind == "none":
        return Decimal(2)
    return (Decimal(2 if index or kind == "htk" else 1) / channels).sqrt()


@precise
def log_factor(kind: str, *, power: bool) -> Decimal:
    """From log2 to "ln", "log10" or "db", which of a magnitude is 20 log10."""
    if kind == "ln":
        return Decimal(2).ln()
    return Decimal(2).log10() * (1 if kind == "log10" else 10 if power else 20)


@precise
def window_weights(function: str, window: int, *, symmetric: bool) -> tuple[Array | None, int]:
    """(weights, m): uint32 weights of samples 0 .. m / 2, and weight[n] = weight[m - n] for the others.

    Raised cosines: periodic (m = window) as for spectra, or symmetric (m = window - 1). None for no window.
    """
    if function == "none":
        return None, 0
    period = window - 1 if symmetric else window
    offset = Decimal("0.5") if function == "hann" else Decimal("0.54")
    values = [offset - (1 - offset) * _cosine(Fraction(n, period)) for n in range(period // 2 + 1)]
    return _fixed(values, WEIGHT_BITS, np.uint32), period


@cache
@precise
def log2_table() -> Array:
    """uint32[129]: log2(1 + k / 128). A chord is below the curve by at most 1.1e-5."""
    return _fixed([(1 + Decimal(k) / 128).ln() / Decimal(2).ln() for k in range(129)], LOG2_BITS, np.uint32)


def _to_mel(scale: str, hz: Decimal) -> Decimal:
    """Mels up to a factor: HTK's 2595 log10(1 + f / 700), or Slaney's: straight up to 1 kHz, logarithmic above."""
    if scale == "htk":
        return (1 + hz / 700).ln()
    return hz * 3 / 200 if hz < 1000 else 15 + (hz / 1000).ln() * 27 / Decimal("6.4").ln()


def _to_hz(scale: str, mel: Decimal) -> Decimal:
    if scale == "htk":
        return 700 * (mel.exp() - 1)
    return mel * 200 / 3 if mel < 15 else 1000 * ((mel - 15) * Decimal("6.4").ln() / 27).exp()


@precise
def edges_hz(scale: str, channels: int, low: float, high: float) -> list[Decimal]:
    """channels + 2 frequencies, evenly spaced in mels from low to high; filter c starts, peaks, ends at c .. c + 2."""
    first, last = _to_mel(scale, decimal(low)), _to_mel(scale, decimal(high))
    inner = [_to_hz(scale, first + (last - first) * k / (channels + 1)) for k in range(1, channels + 1)]
    return [decimal(low), *inner, decimal(high)]


@precise
def filters(rate: int, fft: int, scale: str, triangles: str, edges: Sequence[Decimal]) -> tuple[Array, Array]:
    """(bins, falling): uint16[channels + 2], and uint32 weights of the bins bins[0] .. bins[-1] - 1.

    Band b holds the bins from bins[b] to bins[b + 1] - 1. Their levels count with weight w for channel b - 1 and with
    2^WEIGHT_BITS - w for channel b; the outer bands have one channel only. `triangles` says in which unit the sides of
    a filter are straight: "mel", "hz", or "bins", where edges move to floor((fft + 1) * hz / rate).
    """
    hertz = [Decimal(k * rate) / fft for k in range(fft // 2 + 1)]
    if triangles == "bins":
        places = [((fft + 1) * hz / rate).to_integral_value(ROUND_FLOOR) for hz in edges]
        positions = [Decimal(k) for k in range(len(hertz))]
    elif triangles == "hz":
        places, positions = list(edges), hertz
    else:
        places, positions = ([_to_mel(scale, hz) for hz in x] for x in (edges, hertz))
    bins = [bisect_left(positions, place) for place in places]
    falling = [
        (places[band + 1] - positions[k]) / (places[band + 1] - places[band])
        for band in range(len(bins) - 1)
        for k in range(bins[band], bins[band + 1])
    ]
    return np.array(bins, np.uint16), _fixed(falling, WEIGHT_BITS, np.uint32)


@precise
def slaney_gains(edges: Sequence[Decimal]) -> tuple[Array, int]:
    """(gains, e): filter c counts gains[c] / 2^WEIGHT_BITS * 2^e, which is 2 / its width in Hz; uint32[channels]."""
    values = [2 / (edges[c + 2] - edges[c]) for c in range(len(edges) - 2)]
    exponent = mantissa(max(values))[1] + 32
    return _fixed([x / Decimal(2) ** exponent for x in values], WEIGHT_BITS, np.uint32), exponent
