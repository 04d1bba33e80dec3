"""Log-mel spectra and mel-frequency cepstral coefficients (MFCC): integers in NumPy and C, bit for bit the same.

A frame: samples, pre-emphasis, window, FFT, magnitude or power, triangular mel filters, logarithm, for MFCC a DCT-II.
These settings give what common packages compute (frames without centering or padding at the ends of a clip):

- tf.signal as in MLPerf Tiny keyword spotting: spectrum = "magnitude", triangles = "mel", offset = 1e-6, dct = "htk";
  its scaling of a clip by its own maximum is not of the front end.
- librosa: spectrum = "power", mel and normalization "slaney", log = "db", floor = 1e-10; center = False, top_db = None.
  Its lifter counts coefficients from 1, HTK's and this one from 0.
- torchaudio: spectrum = "power", triangles = "hz", log = "db", floor = 1e-10; center = False.
- python_speech_features: window_function = "none", preemphasis = 0.97, samples = "int16", spectrum = "periodogram",
  triangles = "bins", floor = 2.220446049250313e-16, lifter = 22, first = "energy".
- Edge Impulse MFE, version 4: window_function = "none", preemphasis = 0.98, spectrum = "periodogram", triangles =
  "bins", log = "db", floor = 1e-30, mean = the noise floor in dB, deviation = 12 - mean; the input's quantization
  clamps to 0 .. 1. MFCC without its sliding normalization: samples = "int16", floor = 1e-10, first = "energy". The
  sample before the first is 0 here and the last of the clip there.

Accuracy: a bin of the spectrum is within fft * 2^-26 times the frame's largest sample (after pre-emphasis) of the real
one, fft * 2^-30 in the mean: 180 dB below it (float32: 140 dB). Filters' weights are within 2^-32. A logarithm is
within 1.4e-5 (log2) of that of the level so computed, 4.3e-5 dB of power.

Memory of a stream in bytes: 16 of state, 2 + 2 * ceil(window / hop) * hop of samples, and as scratch 4 * fft and
4 * channels; in all 3,506 for 40 channels of 30 ms every 20 ms at 16 kHz.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field, model_validator

from tinyops.features import mel_arithmetic as arithmetic
from tinyops.features import mel_tables as tables
from tinyops.features.base import Array, Audio, Buffer, CConfig, FeatureSettings, FrontEnd
from tinyops.graph import Tensor

__all__ = ["LogMelSettings", "MelFrontEnd", "MelSettings", "MfccSettings"]

#: Fraction bits of magnitudes, and of the sums of the DCT after its shift.
_MAGNITUDE_BITS: Final = 20
_DCT_SHIFT: Final = 31
_SUM_BITS: Final = tables.LOG2_BITS + tables.DCT_BITS - _DCT_SHIFT
#: Every logarithm to base 2 is below this: |int32| < 2^27, and 128 of them in a DCT fit int64 and, shifted, int32.
_LOG2_LIMIT: Final = 120
#: The sums of a frame's energies and magnitudes are below these powers of 2, a frame's shift is at most 16 (to_mel.c).
_ENERGY_BITS: Final = 61
_AMPLITUDE_BITS: Final = 36 + _MAGNITUDE_BITS
_MAX_SHIFT: Final = 16
#: Frames computed at once: bounds memory.
_CHUNK: Final = 256

_Number = float | tuple[float, ...]


class MelSettings(FeatureSettings):
    """What log-mel spectra and MFCC have in common."""

    sample_rate: int = Field(ge=1000, le=192_000, description="samples per second, 1000 to 192000 Hz")
    window: int = Field(ge=8, le=2048, description="samples of a frame, 8 to 2048")
    hop: int = Field(ge=1, le=8192, description="samples from one frame to the next, 1 to 8192")
    fft: int = Field(ge=64, le=2048, description="points of the FFT: a power of two from 64 to 2048, not below window")
    window_function: Literal["hann", "hamming", "none"] = Field(
        default="hann", description='"hann", "hamming" or "none", applied to each frame'
    )
    symmetric_window: bool = Field(default=False, description="true: as numpy.hanning; false: periodic, for spectra")
    preemphasis: float = Field(
        default=0.0, ge=0, le=1, description="p of sample[n] - p * sample[n - 1] over the stream, 0 to 1; 0: none"
    )
    samples: Literal["unit", "int16"] = Field(
        default="unit", description='what samples count as: "unit", -1 to 1, or "int16", -32768 to 32767'
    )
    spectrum: Literal["magnitude", "power", "periodogram"] = Field(
        default="power",
        description='what is filtered: "magnitude", "power" (its square) or "periodogram" (power / fft)',
    )
    channels: int = Field(ge=1, le=128, description="mel filters, 1 to 128")
    low_hz: float = Field(ge=0, le=96_000, allow_inf_nan=False, description="where the first filter starts, in Hz")
    high_hz: float = Field(
        gt=0, le=96_000, allow_inf_nan=False, description="where the last filter ends, in Hz; up to sample_rate / 2"
    )
    mel: Literal["htk", "slaney"] = Field(default="htk", description='the mel scale: "htk" or "slaney"')
    triangles: Literal["mel", "hz", "bins"] = Field(
        default="hz",
        description='where filters have straight sides: "mel" (tf.signal), "hz" (librosa) or "bins" (edges at bins)',
    )
    normalization: Literal["none", "slaney"] = Field(
        default="none", description='gain of the filters: "none", peaks of 1, or "slaney", 2 / width in Hz'
    )
    log: Literal["ln", "log10", "db"] = Field(
        default="ln", description='"ln", "log10", or "db": 10 log10 of power, 20 log10 of magnitude'
    )
    offset: float | None = Field(
        default=None, ge=1e-30, le=1e6, description="log(x + offset), 1e-30 to 1e6; default without floor: 1e-6"
    )
    floor: float | None = Field(default=None, ge=1e-30, le=1e6, description="log(max(x, floor)), 1e-30 to 1e6")
    mean: _Number = Field(
        default=0.0, description="subtracted from the features: one number, or one for each; up to 1e6 in size"
    )
    deviation: _Number = Field(
        default=1.0, description="what the features less mean are divided by: one number, or one for each; 1e-3 to 1e6"
    )

    @property
    @abstractmethod
    def rows(self) -> Sequence[tuple[Decimal, int | None]]:
        """For each feature its factor and its DCT row; None: no DCT."""

    @property
    @abstractmethod
    def energy(self) -> bool:
        """Feature 0 is the logarithm of the frame's energy."""

    def per_feature(self, numbers: _Number) -> tuple[float, ...]:
        """`mean` or `deviation` of each feature."""
        return numbers if isinstance(numbers, tuple) else (numbers,) * len(self.rows)

    @model_validator(mode="after")
    def _fits(self) -> MelSettings:
        if self.fft & (self.fft - 1) or self.fft < self.window:
            raise ValueError(f"fft is {self.fft}; a power of two from 64 to 2048, not below window ({self.window})")
        if not self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError(
                f"low_hz is {self.low_hz:g} and high_hz {self.high_hz:g}; low_hz must be below high_hz, and high_hz "
                f"at most half of sample_rate ({self.sample_rate / 2:g})"
            )
        if self.offset is not None and self.floor is not None:
            raise ValueError("offset and floor exclude each other")
        self._check_numbers("mean", self.mean, lambda x: abs(x) <= 1e6, "-1e6 to 1e6")
        self._check_numbers("deviation", self.deviation, lambda x: 1e-3 <= x <= 1e6, "1e-3 to 1e6")
        _constants(self)
        return self

    def _check_numbers(self, name: str, numbers: _Number, good: Callable[[float], bool], allowed: str) -> None:
        values, features = self.per_feature(numbers), len(self.rows)
        if len(values) != features:
            raise ValueError(f"{name} has {len(values)} numbers for {features} features; one number, or one for each")
        if not all(map(good, values)):
            raise ValueError(f"{name} has a number out of bounds; {allowed}")

    def front_end(self, tensor: Tensor) -> MelFrontEnd:
        return MelFrontEnd(self)


class LogMelSettings(MelSettings):
    """The table [features] of kind log-mel."""

    summary: ClassVar[str] = "audio: logarithms of mel filters, as of tf.signal, librosa, Edge Impulse MFE"

    kind: Literal["log-mel"] = Field(description='"log-mel"')

    @property
    def rows(self) -> Sequence[tuple[Decimal, int | None]]:
        return [(Decimal(1), None)] * self.channels

    @property
    def energy(self) -> bool:
        return False


class MfccSettings(MelSettings):
    """The table [features] of kind mfcc."""

    summary: ClassVar[str] = "audio: cepstral coefficients, as of tf.signal, librosa, python_speech_features"

    kind: Literal["mfcc"] = Field(description='"mfcc"')
    coefficients: int = Field(ge=1, le=128, description="cepstral coefficients of a frame, 1 to channels")
    first: Literal["keep", "drop", "energy"] = Field(
        default="keep",
        description='coefficient 0: "keep", "drop" (the features are 1 to coefficients), or "energy": in its place the '
        "logarithm of the frame's power",
    )
    dct: Literal["ortho", "htk", "none"] = Field(
        default="ortho",
        description='factor of the DCT-II: "ortho", "htk" (tf.signal; sqrt(2 / channels) for all) or "none" (2)',
    )
    lifter: int = Field(
        default=0, ge=0, le=1000, description="L of 1 + L / 2 sin(pi n / L) for coefficient n, 0 to 1000; 0: none"
    )

    @property
    def energy(self) -> bool:
        return self.first == "energy"

    @property
    @tables.precise
    def rows(self) -> Sequence[tuple[Decimal, int | None]]:
        indices = range(self.coefficients + 1)[1 if self.first == "drop" else 0 :][: self.coefficients]
        rows: list[tuple[Decimal, int | None]] = [
            (tables.dct_factor(self.dct, self.channels, n) * weight, n)
            for n, weight in zip(indices, tables.lifter_weights(self.lifter, indices), strict=True)
        ]
        return [(Decimal(1), None), *rows[1:]] if self.energy else rows

    @model_validator(mode="after")
    def _cepstrum_fits(self) -> MfccSettings:
        allowed = self.channels - (self.first == "drop")
        if self.coefficients > allowed:
            raise ValueError(f"coefficients is {self.coefficients}; at most {allowed} of {self.channels} channels")
        if self.energy and self.spectrum == "magnitude":
            raise ValueError('first is "energy"; spectrum must be "power" or "periodogram"')
        return self


@dataclass(frozen=True, eq=False)
class _Constants:
    """Everything that is computed from the settings.

    floor is (m, e) for m * 2^e. A feature is ((value * multiplier + half) >> shift) + bias in units of 2^-unit_bits.
    """

    exponent: int
    gain_exponent: int
    floor: tuple[int, int]
    edges: Array
    falling: Array
    gains: Array | None
    multipliers: Array
    biases: Array
    shift: int
    unit_bits: int


def _floor(settings: MelSettings) -> Decimal:
    return tables.decimal(settings.floor or settings.offset or 1e-6)


@lru_cache(maxsize=64)
def _constants(settings: MelSettings) -> _Constants:
    """Raises ValueError where a number of the settings leaves the range of the arithmetic."""
    s = settings
    edges = tables.edges_hz(s.mel, s.channels, s.low_hz, s.high_hz)
    bins, falling = tables.filters(s.sample_rate, s.fft, s.mel, s.triangles, edges)
    if bins[0] == bins[-1]:
        raise ValueError(f"no bin of the FFT between low_hz ({s.low_hz:g}) and high_hz ({s.high_hz:g})")
    gains, gain_exponent = tables.slaney_gains(edges) if s.normalization == "slaney" else (None, 0)
    # The spectrum of 30-bit samples is an FFT / fft: levels count 2^exponent for a shift of 0 (arithmetic.normalize).
    size = s.fft.bit_length() - 1
    exponent = size - 30 - (15 if s.samples == "unit" else 0)
    if s.spectrum == "magnitude":
        exponent -= _MAGNITUDE_BITS
        top = exponent + _MAX_SHIFT + _AMPLITUDE_BITS
    else:
        exponent = 2 * exponent - (size if s.spectrum == "periodogram" else 0)
        top = exponent + 2 * _MAX_SHIFT + _ENERGY_BITS
    floor = tables.mantissa(_floor(s))
    log2 = max(abs(floor[1] + 31), abs(floor[1] + 32), top + max(gain_exponent, 0) + 1)
    if log2 >= _LOG2_LIMIT:
        raise ValueError(f"levels reach 2^{log2}; a wider band between low_hz and high_hz, or fewer channels")
    multipliers, biases, shift, unit_bits = _output(s, log2)
    return _Constants(exponent, gain_exponent, floor, bins, falling, gains, multipliers, biases, shift, unit_bits)


@tables.precise
def _output(s: MelSettings, log2: int) -> tuple[Array, Array, int, int]:
    """(multipliers, biases, shift, unit_bits) for |logarithms| up to `log2`: features fit int32 in that unit."""
    base = tables.log_factor(s.log, power=s.spectrum != "magnitude")
    columns = zip(s.rows, s.per_feature(s.mean), s.per_feature(s.deviation), strict=True)
    lines = [(base * f / tables.decimal(d), row, -tables.decimal(m) / tables.decimal(d)) for (f, row), m, d in columns]
    largest = max(abs(f) * log2 * (1 if row is None else s.channels) + abs(bias) for f, row, bias in lines)
    unit_bits = min(16, tables.mantissa((2**31 - 2) / largest)[1] + 31)
    if unit_bits < 0:
        raise ValueError(f"features reach {largest:.3g}; a larger deviation")
    factors = [f * 2**unit_bits / 2 ** (tables.LOG2_BITS if row is None else _SUM_BITS) for f, row, _ in lines]
    shift = min(60, -(tables.mantissa(max(map(abs, factors)))[1] + 32) + 30)
    multipliers = np.array([tables.nearest(x * 2**shift) for x in factors], np.int32)
    biases = np.array([tables.nearest(bias * 2**unit_bits) for _, _, bias in lines], np.int32)
    return multipliers, biases, shift, unit_bits


class MelFrontEnd(FrontEnd):
    """Log-mel or MFCC; a step is `hop` samples, frame k is of the `window` samples from k * hop on."""

    def __init__(self, settings: MelSettings) -> None:
        self.settings = settings
        self.source = Audio(settings.sample_rate)
        self.raw_dtype, self.raw_shape = np.dtype(np.int16), (settings.hop,)
        self.frame_dtype, self.frame_shape = np.dtype(np.int32), (len(settings.rows),)
        self._constants = _constants(settings)
        self.unit = Fraction(1, 1 << self._constants.unit_bits)
        self._preemphasis = tables.fixed(tables.decimal(settings.preemphasis), tables.PREEMPHASIS_BITS)
        self._weights, self._mirror = tables.window_weights(
            settings.window_function, settings.window, symmetric=settings.symmetric_window
        )
        self._cosines = tables.fft_cosines(settings.fft)
        self.reset()

    def reset(self) -> None:
        self._samples = np.zeros(1, np.int16)

    def frames_after(self, steps: int) -> int:
        hop = self.settings.hop
        return max(0, (steps * hop - self.settings.window) // hop + 1)

    def process(self, raw: Array) -> Array:
        self.check_raw(raw)
        hop, size = self.settings.hop, self.settings.window + 1
        samples = np.concatenate([self._samples, raw.ravel()])
        frames = max(0, (len(samples) - size) // hop + 1)
        self._samples = samples[frames * hop :]
        if not frames:
            return np.zeros((0, *self.frame_shape), np.int32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, size)[: frames * hop : hop]
        return np.concatenate([self._features(windows[k : k + _CHUNK]) for k in range(0, frames, _CHUNK)])

    @cached_property
    def _window(self) -> Array:
        """int64[window] of WEIGHT_BITS fraction bits."""
        n = np.arange(self.settings.window)
        if self._weights is None:
            return np.full(len(n), 1 << tables.WEIGHT_BITS, np.int64)
        return self._weights[np.minimum(n, self._mirror - n)].astype(np.int64)

    def _features(self, samples: Array) -> Array:
        """int32[frames, features] of int16[frames, 1 + window]."""
        s, c = self.settings, self._constants
        x, shift = arithmetic.normalize(samples, self._preemphasis)
        padded = np.zeros((len(x), s.fft), np.int64)
        padded[:, : s.window] = (x * self._window + (1 << 30)) >> 31
        magnitude = s.spectrum == "magnitude"
        levels = arithmetic.levels(*arithmetic.spectrum(padded, self._cosines), magnitude=magnitude)
        exponent = (c.exponent + shift * (1 if magnitude else 2))[:, None]
        logarithms = self._log2(self._filtered(levels), exponent + c.gain_exponent)
        values = logarithms
        if isinstance(s, MfccSettings):
            rows = np.array([0 if row is None else row for _, row in s.rows])
            values = (logarithms @ self._dct[:, rows] + (1 << (_DCT_SHIFT - 1))) >> _DCT_SHIFT
            if s.energy:
                values[:, :1] = self._log2(levels.sum(1, keepdims=True), exponent)
        half = 1 << (c.shift - 1)
        return np.asarray(((values * c.multipliers + half) >> c.shift) + c.biases, np.int32)

    def _log2(self, levels: Array, exponent: Array) -> Array:
        return arithmetic.log2(levels, exponent, self._constants.floor, clip=self.settings.floor is not None)

    def _filtered(self, levels: Array) -> Array:
        """uint64[frames, channels] of uint64[frames, bins]."""
        edges, channels = self._constants.edges.astype(int), self.settings.channels
        inside = levels[:, edges[0] : edges[-1]]
        falling = arithmetic.scale(inside, self._constants.falling)
        # Sums over bands by differences of running sums, which may wrap around: an empty band is 0.
        ends = edges - edges[0]
        down, up = (
            np.diff(np.concatenate([np.zeros((len(x), 1), np.uint64), x.cumsum(1)], 1)[:, ends], axis=1)
            for x in (falling, inside - falling)
        )
        sums = up[:, :channels] + down[:, 1:]
        gains = self._constants.gains
        return sums if gains is None else arithmetic.scale(sums, gains)

    @cached_property
    def _dct(self) -> Array:
        """int64[channels, channels]: column n has cos(pi n (2 c + 1) / (2 channels)), from a table of half a turn."""
        channels, cosines = self.settings.channels, tables.dct_cosines(self.settings.channels).astype(np.int64)
        index = np.outer(2 * np.arange(channels) + 1, np.arange(channels)) % (4 * channels)
        return np.concatenate([cosines, -cosines])[index]

    def c_config(self) -> CConfig:
        s, c = self.settings, self._constants
        fields: dict[str, int | Array | None] = {
            "window": s.window,
            "hop": s.hop,
            "fft": s.fft,
            "preemphasis": self._preemphasis,
            "mirror": self._mirror,
            "magnitude": int(s.spectrum == "magnitude"),
            "exponent": c.exponent,
            "gain_exponent": c.gain_exponent,
            "channels": s.channels,
            "features": len(s.rows),
            "first_row": int(isinstance(s, MfccSettings) and s.first == "drop"),
            "energy": int(s.energy),
            "clip": int(s.floor is not None),
            "floor_mantissa": c.floor[0],
            "floor_exponent": c.floor[1],
            "shift": c.shift,
            "weights": self._weights,
            "cosines": self._cosines,
            "edges": c.edges,
            "falling": c.falling,
            "gains": c.gains,
            "log2": tables.log2_table(),
            "dct": tables.dct_cosines(s.channels) if isinstance(s, MfccSettings) else None,
            "multipliers": c.multipliers,
            "biases": c.biases,
        }
        kept = -(-s.window // s.hop) * s.hop
        buffers = {
            "samples": Buffer("int16", 1 + kept),
            "work": Buffer("int32", s.fft),
            "logarithms": Buffer("int32", s.channels),
        }
        return CConfig("to_mel", ("to_mel.h", "to_mel.c"), fields, buffers)
