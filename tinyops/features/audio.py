"""The TFLite Micro audio front end in NumPy, bit for bit what the package pymicro-features and our C compute.

Speech at 16 kHz becomes 40 features every 10 ms: window, FFT in int16, mel filters, noise reduction, per-channel
gain (PCAN), logarithm. Sources: tensorflow/lite/experimental/microfrontend (tflite-micro) and, for the rounding and
scaling inside of the FFT, kissfft with FIXED_POINT=16. Where the reference wraps around, this wraps as well.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, Literal

import numpy as np

from tinyops.features import tables
from tinyops.features.base import Array, Audio, Buffer, CConfig, FeatureSettings, FrontEnd
from tinyops.features.tables import CHANNELS, FFT, STEP, WINDOW
from tinyops.graph import Tensor

__all__ = ["AudioMicro", "AudioMicroSettings"]


class AudioMicroSettings(FeatureSettings):
    """The TFLite Micro audio front end, with the parameters of pymicro-features."""

    summary: ClassVar[str] = (
        "the TFLite Micro audio front end with the parameters of pymicro-features (microWakeWord, ESPHome): "
        "16 kHz speech, 40 features every 10 ms"
    )

    kind: Literal["audio-micro"]

    def front_end(self, tensor: Tensor) -> AudioMicro:
        return AudioMicro()


class AudioMicro(FrontEnd):
    """uint16[40] per 10 ms: 64 times the natural logarithm of each channel's level. A step is int16[160] at 16 kHz."""

    source = Audio(tables.SAMPLE_RATE)
    raw_dtype = np.dtype(np.int16)
    raw_shape = (STEP,)
    frame_dtype = np.dtype(np.uint16)
    frame_shape = (CHANNELS,)
    unit = Fraction(tables.UNIT)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples and the noise."""
        self._samples = np.zeros(0, np.int16)
        self._estimate = np.zeros(CHANNELS, np.uint64)

    def frames_after(self, steps: int) -> int:
        return max(0, steps - (WINDOW // STEP - 1))

    def process(self, raw: Array) -> Array:
        self.check_raw(raw)
        samples = np.concatenate([self._samples, raw.reshape(-1)])
        frames = max(0, (len(samples) - WINDOW) // STEP + 1)
        self._samples = samples[frames * STEP :]
        if not frames:
            return np.zeros((0, CHANNELS), np.uint16)
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[: frames * STEP : STEP]
        levels = _levels(windows)
        return np.stack([self._scale(frame) for frame in levels])

    def c_config(self) -> CConfig:
        edges, weights = tables.filters()
        return CConfig(
            prefix="to_audio_micro",
            files=("to_audio_micro.h", "to_audio_micro.c"),
            fields={
                "step_length": STEP,
                "window_length": WINDOW,
                "fft_length": FFT,
                "channels": CHANNELS,
                "weight_bits": tables.WEIGHT_BITS,
                "noise_bits": tables.NOISE_BITS,
                "estimate_bits": tables.ESTIMATE_BITS,
                "correction_bits": tables.CORRECTION_BITS,
                "gain_shift": tables.GAIN_SHIFT,
                "log_scale_bits": tables.LOG_SCALE_BITS,
                "floor": tables.FLOOR,
                "window": tables.window(),
                "twiddles": tables.twiddles(),
                "split": tables.split_twiddles(),
                "edges": edges,
                "weights": weights,
                "smoothing": np.resize(np.array(tables.SMOOTHING, np.uint16), CHANNELS),
                "gain": tables.gain(),
                "log2": tables.log2_correction(),
            },
            buffers={
                "samples": Buffer("int16", WINDOW),
                "noise": Buffer("uint32", CHANNELS),
                "work": Buffer("int16", FFT),
            },
        )

    def _scale(self, signal: Array) -> Array:
        """uint16[40] of the levels uint32[40] (as uint64) of one frame: noise reduction, gain, logarithm."""
        smoothing = np.resize(np.array(tables.SMOOTHING, np.uint64), CHANNELS)
        scaled = _u32(signal << np.uint64(tables.ESTIMATE_BITS))
        kept = np.uint64(1 << tables.NOISE_BITS) - smoothing
        self._estimate = _u32((scaled * smoothing + self._estimate * kept) >> np.uint64(tables.NOISE_BITS))
        floor = _u32((signal * np.uint64(tables.FLOOR)) >> np.uint64(tables.NOISE_BITS))
        reduced = (scaled - np.minimum(self._estimate, scaled)) >> np.uint64(tables.ESTIMATE_BITS)
        signal = np.maximum(reduced, floor)
        snr = _u32((signal * _gain(self._estimate)) >> np.uint64(tables.GAIN_SHIFT))
        low, high = (snr * snr) >> np.uint64(20), (snr >> np.uint64(6)) - np.uint64(64)
        return _log(_u32(np.where(snr < 8192, low, high) << np.uint64(tables.CORRECTION_BITS)))


def _u32(x: Array) -> Array:
    """Modulo 2^32."""
    return np.asarray(x & np.uint64(0xFFFFFFFF))


def _bits(x: Array) -> Array:
    """int64: how many bits hold the value, 0 for 0. Below 2^53, as float64 is exact there."""
    return np.asarray(np.frexp(x.astype(np.float64))[1], np.int64)


def _levels(windows: Array) -> Array:
    """Levels of the channels of int16[frames, WINDOW]: uint64[frames, CHANNELS], each below 2^32."""
    weighted = ((windows.astype(np.int32) * tables.window()) >> tables.WEIGHT_BITS).astype(np.int16)
    peak = np.abs(weighted).max(1)  # -32768 stays negative, as in the reference
    shift = 15 - _bits(np.maximum(peak, 0))
    padded = np.zeros((len(windows), FFT), np.int16)
    padded[:, :WINDOW] = weighted.astype(np.int64) << shift[:, None]
    spectrum = _real_fft(padded).astype(np.int64)
    edges, falling = tables.filters()
    energies = np.square(spectrum[:, edges[0] : edges[-1]]).sum(2)
    rising = (1 << tables.WEIGHT_BITS) - falling.astype(np.int64)
    starts = edges[:-1] - edges[0]
    sums = np.add.reduceat(energies * falling, starts, 1)[:, 1:] + np.add.reduceat(energies * rising, starts, 1)[:, :-1]
    return _square_root(sums) >> shift[:, None].astype(np.uint64)


def _square_root(x: Array) -> Array:
    """uint64: rounded square root, saturated to 16 bits for values of 32 bits, as the reference."""
    x = x.astype(np.uint64)
    root = np.sqrt(x.astype(np.float64)).astype(np.uint64)
    root -= (root * root > x).astype(np.uint64)
    root += (x - root * root > 2 * root).astype(np.uint64)
    rounded = root + (x - root * root > root)
    return np.asarray(np.where(x >> np.uint64(32), rounded, np.minimum(rounded, 0xFFFF)), np.uint64)


def _round(product: Array) -> Array:
    """int16 of int64 with 15 fraction bits, wrapped."""
    return np.asarray((product + (1 << 14)) >> 15).astype(np.int16)


def _multiply(a: Array, b: Array) -> Array:
    """Complex product of int16[..., 2] with 15 fraction bits."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return np.stack([_round(real), _round(imaginary)], -1)


def _divide(x: Array, divisor: int) -> Array:
    return _round(x.astype(np.int64) * (32767 // divisor))


def _turn(x: Array) -> Array:
    """-i * x, not rounded."""
    return np.stack([x[..., 1], -x[..., 0]], -1)


def _complex_fft(x: Array) -> Array:
    """int16[frames, n, 2] of the same, n a power of 4; each radix-4 stage divides by 4."""
    frames, n, _ = x.shape
    stages = (n.bit_length() - 1) // 2
    digits = x.reshape(frames, *[4] * stages, 2)
    x = digits.transpose(0, *range(stages, 0, -1), stages + 1).reshape(frames, n, 2)
    length = 1
    while length < n:
        blocks = _divide(x.reshape(frames, -1, 4, length, 2), 4)
        index = np.arange(length) * (n // (4 * length))
        a = blocks[:, :, 0]
        b, c, d = (_multiply(blocks[:, :, k], tables.twiddles()[k * index]) for k in (1, 2, 3))
        even, odd, plus, turned = a - c, a + c, b + d, _turn(b - d)
        x = np.stack([odd + plus, even + turned, odd - plus, even - turned], 2).reshape(frames, n, 2)
        length *= 4
    return x


def _real_fft(x: Array) -> Array:
    """int16[frames, FFT / 2, 2] of int16[frames, FFT]; bin 0 is left out (zero), as no filter uses it."""
    half = FFT // 2
    z = _complex_fft(x.reshape(len(x), half, 2))
    k = np.arange(1, half // 2 + 1)
    conjugate = np.array([1, -1], np.int16)
    low, high = _divide(z[:, k], 2), _divide(z[:, half - k] * conjugate, 2)
    plus = (low + high).astype(np.int64)
    turned = _multiply(low - high, tables.split_twiddles()).astype(np.int64)
    spectrum = np.zeros((len(x), half, 2), np.int16)
    spectrum[:, k] = (plus + turned) >> 1
    spectrum[:, half - k] = (plus - turned) * conjugate >> 1
    return spectrum


def _gain(estimate: Array) -> Array:
    """uint64 gain: a table of parabolas, one for each power of two of the noise estimate."""
    bits = _bits(estimate)
    value, slope, curvature = (c.astype(np.int64) for c in tables.gain()[np.maximum(bits, 1) - 1].T)
    x = estimate.astype(np.int64)
    fraction = ((x << np.maximum(11 - bits, 0)) >> np.maximum(bits - 11, 0)) & 0x3FF
    result = ((((curvature * fraction) >> 5) + (slope << 5)) * fraction + (1 << 14) >> 15) + value
    first = tables.gain()[0].astype(np.int64)[np.minimum(x, 1)]
    return np.asarray(np.where(x < 2, first, result), np.uint64)


def _log(x: Array) -> Array:
    """uint16: 64 times the natural logarithm; 0 for 0 and 1."""
    safe = np.maximum(x, np.uint64(2)).astype(np.int64)
    exponent = _bits(safe) - 1
    fraction = safe - (np.int64(1) << exponent)
    fraction = (fraction << np.maximum(16 - exponent, 0)) >> np.maximum(exponent - 16, 0)
    segment, table = fraction >> 9, tables.log2_correction().astype(np.int64)
    slope = table[segment + 1] - table[segment]
    log2 = (exponent << 16) + fraction + table[segment] + ((slope * (fraction & 0x1FF)) >> 16)
    natural = (log2 * 45426 + 32768) >> 16
    return np.asarray(np.where(x > 1, ((natural << tables.LOG_SCALE_BITS) + 32768) >> 16, 0), np.uint16)
