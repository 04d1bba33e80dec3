"""Constants of the TFLite Micro audio front end, with the parameters of pymicro-features.

Source of the formulas: tensorflow/lite/experimental/microfrontend in tflite-micro; PCAN is described in "Trainable
Frontend For Robust and Far-Field Keyword Spotting" (Wang et al., 2017). The reference computes its tables in float32,
where rounding decides last bits, so that each float32 step is kept here.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np

from tinyops.features.base import Array

SAMPLE_RATE: Final = 16_000
#: Samples of a frame and from one frame to the next: 30 ms and 10 ms.
WINDOW: Final = 480
STEP: Final = 160
FFT: Final = 512
CHANNELS: Final = 40
BAND_HZ: Final = (125.0, 7500.0)

#: Fraction bits of window coefficients and filter weights.
WEIGHT_BITS: Final = 12
#: Noise reduction: fraction bits of the coefficients, of the estimate, and the coefficients themselves.
NOISE_BITS: Final = 14
ESTIMATE_BITS: Final = 10
SMOOTHING: Final = tuple(int(np.float32(x) * np.float32(1 << NOISE_BITS)) for x in (0.025, 0.06))
FLOOR: Final = int(np.float32(0.05) * np.float32(1 << NOISE_BITS))
#: Bits that the FFT's scaling takes from the spectrum and the logarithm gives back.
CORRECTION_BITS: Final = 3
GAIN_STRENGTH: Final = 0.95
GAIN_OFFSET: Final = 80.0
GAIN_BITS: Final = 21
SNR_BITS: Final = 12
GAIN_SHIFT: Final = GAIN_BITS - CORRECTION_BITS - SNR_BITS
LOG_SCALE_BITS: Final = 6

#: What one unit of a feature is worth to a model: pymicro-features returns feature * UNIT.
UNIT: Final = 10 / 256


@cache
def window() -> Array:
    """int16[WINDOW]: Hann window."""
    step = np.float32(math.pi) * np.float32(2) / np.float32(WINDOW)
    angles = step * (np.arange(WINDOW, dtype=np.float32) + np.float32(0.5))
    cosines = np.cos(angles.astype(np.float64)).astype(np.float32)
    hann = np.float32(0.5) - np.float32(0.5) * cosines
    return np.asarray(np.floor(hann * np.float32(1 << WEIGHT_BITS) + np.float32(0.5)), np.int16)


@cache
def twiddles() -> Array:
    """int16[n, 2]: cosine and sine for the complex transform of half the length; n is 3/4 of that length."""
    return _roots([-2 * math.pi * k / (FFT // 2) for k in range(3 * FFT // 8)])


@cache
def split_twiddles() -> Array:
    """int16[FFT / 4, 2]: those that turn it into the transform of real samples; row k belongs to bin k + 1."""
    return _roots([-math.pi * ((k + 1) / (FFT // 2) + 0.5) for k in range(FFT // 4)])


def _roots(angles: list[float]) -> Array:
    return np.array([[math.floor(0.5 + 32767 * f(a)) for f in (math.cos, math.sin)] for a in angles], np.int16)


def _log1p(x: np.float32) -> np.float32:
    """log(1 + x), x > 0, with the last bits of fdlibm's log1pf, the one of newlib and of glibc before 2.41.

    Correct rounding would change 2 of the filter weights. 1 + x = 2^k * (1 + f); log(1 + f) is a series in
    s = f / (2 + f), and `lost` what the sum 1 + x rounds away.
    """
    one, half, two = np.float32(1), np.float32(0.5), np.float32(2)
    f, k, lost = x, 0, np.float32(0)
    if x >= np.float32(math.sqrt(2) - 1):
        total = one + x
        mantissa, exponent = np.frexp(total)
        high = mantissa * two >= np.float32(math.sqrt(2))
        k = int(exponent) - (0 if high else 1)
        lost = (one - (total - x) if int(exponent) > 1 else x - (total - one)) / total
        f = (mantissa if high else mantissa * two) - one
    square, s = half * f * f, f / (two + f)
    z, series = s * s, np.float32(0)
    for c in (0.14798198640, 0.15313838422, 0.18183572590, 0.22222198546, 0.28571429849, 0.4, 0.66666668653):
        series = z * (np.float32(c) + series)
    tail = np.float32(k) * np.float32(9.0580006145e-06) + lost
    return np.float32(np.float32(k) * np.float32(0.69313812256) - ((square - (s * (square + series) + tail)) - f))


def _mel(frequency: float) -> np.float32:
    return np.float32(1127) * _log1p(np.float32(frequency) / np.float32(700))


@cache
def filters() -> tuple[Array, Array]:
    """Edges int16[CHANNELS + 2] and falling weights int16[bins].

    Band b holds the bins edges[b] .. edges[b + 1] - 1. Its energies count with weight w for channel b - 1 and with
    2^WEIGHT_BITS - w for channel b; the outer bands have one channel only.
    """
    low, high = (_mel(f) for f in BAND_HZ)
    spacing = (high - low) / np.float32(CHANNELS + 1)
    centers = [low + spacing * np.float32(k + 1) for k in range(CHANNELS + 1)]
    hz = SAMPLE_RATE / FFT
    edges, weights = [int(1.5 + BAND_HZ[0] / hz)], []
    for before, center in zip([low, *centers], centers, strict=False):
        k = edges[-1]
        while _mel(k * hz) <= center:
            weights.append((center - _mel(k * hz)) / (center - before))
            k += 1
        edges.append(k)
    falling = np.floor(np.array(weights, np.float32) * np.float32(1 << WEIGHT_BITS) + np.float32(0.5))
    return np.array(edges, np.int16), falling.astype(np.int16)


def _gain(x: int) -> int:
    """Gain for a noise estimate of x (ESTIMATE_BITS - CORRECTION_BITS fraction bits), GAIN_BITS fraction bits."""
    real = np.float32(x) / np.float32(1 << (ESTIMATE_BITS - CORRECTION_BITS)) + np.float32(GAIN_OFFSET)
    power = np.float32(float(real) ** -float(np.float32(GAIN_STRENGTH)))
    return int(min(np.float32(1 << GAIN_BITS) * power, np.float32(32767)) + np.float32(0.5))


@cache
def gain() -> Array:
    """int16[32, 3]: value, slope and curvature of the gain; row i for estimates of i + 1 bits (row 0: 0 and 1)."""
    rows = [[_gain(0), _gain(1), 0]]
    for bits in range(2, 33):
        x = 1 << (bits - 1)
        y0, y1, y2 = (_gain(v) for v in (x, x + x // 2, min(2 * x, 2**32 - 1)))
        slope = 4 * (y1 - y0) - (y2 - y0)
        rows.append([y0, slope, y2 - y0 - slope])
    return np.array(rows, np.int16)


@cache
def log2_correction() -> Array:
    """uint16[129]: log2(1 + k / 128) - k / 128, 16 fraction bits."""
    return np.array([round((math.log2(1 + k / 128) - k / 128) * 65536) for k in range(129)], np.uint16)
