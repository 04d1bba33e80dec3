"""Log-mel spectra and MFCC in float64, from the formulas of the packages that made them known.

Filters: tf.signal.linear_to_mel_weight_matrix ("mel"), librosa.filters.mel ("hz"), python_speech_features and Edge
Impulse ("bins"). Windows: scipy.signal.get_window. DCT: scipy.fft.dct. Lifter: HTK.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.fft import dct
from scipy.signal import get_window

from tinyops.features.mel import MelSettings, MfccSettings

Array = np.ndarray[Any, Any]


def _mel(scale: str, hz: Array) -> Array:
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hz / 700))
    return np.where(hz < 1000, hz / (200 / 3), 15 + np.log(np.maximum(hz, 1) / 1000) * 27 / np.log(6.4))


def _hz(scale: str, mel: Array) -> Array:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def filters(s: MelSettings) -> Array:
    """float64[bins, channels]."""
    mels = np.linspace(*_mel(s.mel, np.array([s.low_hz, s.high_hz])), s.channels + 2)
    hz, bins = _hz(s.mel, mels), np.arange(s.fft // 2 + 1)
    weights = np.zeros((len(bins), s.channels))
    if s.triangles == "bins":
        edges = np.floor((s.fft + 1) * hz / s.sample_rate + 1e-9).astype(int)
        for c in range(s.channels):
            for k in range(edges[c], edges[c + 1]):
                weights[k, c] = (k - edges[c]) / (edges[c + 1] - edges[c])
            for k in range(edges[c + 1], edges[c + 2]):
                weights[k, c] = (edges[c + 2] - k) / (edges[c + 2] - edges[c + 1])
    else:
        x = bins * s.sample_rate / s.fft
        edges, x = (hz, x) if s.triangles == "hz" else (mels, _mel(s.mel, x))
        up = (x[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        down = (edges[2:] - x[:, None]) / (edges[2:] - edges[1:-1])
        weights = np.maximum(0, np.minimum(up, down))
    return weights * (2 / (hz[2:] - hz[:-2])) if s.normalization == "slaney" else weights


def _log(s: MelSettings, x: Array) -> Array:
    x = np.maximum(x, s.floor) if s.floor is not None else x + (s.offset or 1e-6)
    if s.log == "ln":
        return np.asarray(np.log(x))
    return np.log10(x) * (1 if s.log == "log10" else 20 if s.spectrum == "magnitude" else 10)


def features(s: MelSettings, samples: Array) -> Array:
    """float64[frames, features] of int16[n]."""
    x = samples / (32768 if s.samples == "unit" else 1)
    x = x - s.preemphasis * np.concatenate([[0], x[:-1]])
    name = "boxcar" if s.window_function == "none" else s.window_function
    window = get_window(name, s.window, fftbins=not s.symmetric_window)
    spectrum = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, s.window)[:: s.hop] * window, s.fft))
    if s.spectrum != "magnitude":
        spectrum = spectrum**2 / (s.fft if s.spectrum == "periodogram" else 1)
    result = _log(s, spectrum @ filters(s))
    if isinstance(s, MfccSettings):
        first = int(s.first == "drop")
        full = dct(result, type=2, norm="ortho" if s.dct == "ortho" else None)
        full = full[:, first : first + s.coefficients] * (1 / np.sqrt(2 * s.channels) if s.dct == "htk" else 1)
        n = np.arange(first, first + s.coefficients)
        result = full * (1 + s.lifter / 2 * np.sin(np.pi * n / s.lifter)) if s.lifter else full
        if s.first == "energy":
            result[:, 0] = _log(s, spectrum.sum(1))
    return np.asarray((result - np.array(s.mean)) / np.array(s.deviation))
