"""Samples of an inertial measurement unit, standardized: high-pass, mean of N, magnitude, scaling, in integers.

Step: int16[axes], counts of the sensor. Frame: int32[axes, + 1 with a magnitude], in units of 2^-16. In real numbers,
with x[n] the counts of an axis:

    y[n] = a (y[n-1] + x[n] - x[n-1]),  a = 1 / (1 + 2 pi high_pass / rate),  y[0] = 0     (without high_pass: y = x)
    v    = scale * mean of the N values y of a frame,  N = decimation
    m    = sqrt(sum of v^2 over the axes named in `magnitude`)
    out  = (v - mean) / deviation                                                        (m likewise, as the last one)

The first line is the RC high-pass, discretized by backward differences, as y = x - e with a moving average e; with
fixed-point numbers of 15 fraction bits:

    d = 2^15 x[n] - e;  e += (d * (1 - a) * 2^30 + 2^29) >> 30;  y = 2^15 x[n] - e;  e starts at 2^15 x[0]

All other roundings are of the same kind, half up. An output differs from the real formula by at most 2^-16 + 2^-24 of
its size before `mean` is subtracted, plus what the rounding of e adds, at most 2^-16 rate / high_pass counts.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tinyops.features.base import Array, Buffer, CConfig, FeatureSettings, FrontEnd, Samples
from tinyops.graph import Tensor

__all__ = ["Imu", "ImuSettings"]

_FRAME_BITS: Final = 16
#: Fraction bits of filtered counts, of the coefficient of the high-pass, and of what the magnitude sums the squares of.
_COUNT_BITS: Final = 15
_SMOOTHING_BITS: Final = 30
_ROOT_BITS: Final = 11
#: Multipliers are of 2^24 to 2^25: with sums below 2^37 products stay below 2^62.
_MULTIPLIER_BITS: Final = 24

_Real = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
_Reals = _Real | Annotated[tuple[_Real, ...], Field(min_length=1, max_length=17)]


class ImuSettings(FeatureSettings):
    """Settings of an inertial measurement unit, or of any sensor of 1 to 16 slow int16 signals."""

    summary: ClassVar[str] = "accelerometer, gyroscope: high-pass, decimation, magnitude, standardization"

    kind: Literal["imu"]
    axes: int = Field(ge=1, le=16, description="values of a sample, 1 to 16")
    scale: _Reals = Field(
        description="real units per count, such as g per LSB: one number for all axes or a list of one per axis; "
        "not 0, negative turns an axis round"
    )
    rate: float | None = Field(
        default=None, gt=0, le=1e6, description="samples per second, up to 1000000; needed by high_pass"
    )
    high_pass: float | None = Field(
        default=None,
        gt=0,
        le=5e5,
        description="cut-off in Hz, rate / 200000 to rate / 2, of a first-order filter that removes gravity and drift; "
        "default: no filter",
    )
    decimation: int = Field(default=1, ge=1, le=64, description="samples, 1 to 64, whose mean becomes one frame")
    magnitude: tuple[Annotated[int, Field(ge=0, le=15)], ...] = Field(
        default=(),
        max_length=16,
        description="axes, counted from 0, the length of whose vector (after high_pass and decimation, in real units) "
        "is the last channel; default: no such channel",
    )
    mean: _Reals | None = Field(
        default=None,
        description="real value that becomes 0: one number for all channels or a list of one per channel; default: 0",
    )
    deviation: _Reals | None = Field(
        default=None, description="real distance from the mean that becomes 1, above 0, likewise; default: 1"
    )
    minimum: _Reals | None = Field(
        default=None, description="real value that becomes -1, likewise; with maximum, instead of mean and deviation"
    )
    maximum: _Reals | None = Field(default=None, description="real value that becomes 1, likewise")

    @property
    def channels(self) -> int:
        return self.axes + bool(self.magnitude)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_filter()
        if len(set(self.magnitude)) != len(self.magnitude) or max(self.magnitude, default=0) >= self.axes:
            raise ValueError(f"magnitude {list(self.magnitude)}: name axes from 0 to {self.axes - 1}, each once")
        if 0 in self.scales():
            raise ValueError("scale: no axis can have the scale 0")
        low, high = (self._list(name, self.channels) for name in ("minimum", "maximum"))
        if (low is None) != (high is None):
            raise ValueError("minimum and maximum: give both or none")
        if low is not None and (self.mean is not None or self.deviation is not None):
            raise ValueError("give mean and deviation, or minimum and maximum, not both")
        if low and high and any(a >= b for a, b in zip(low, high, strict=True)):
            raise ValueError("minimum must be below maximum in each channel")
        scales = [*self.scales(), self._largest()] if self.magnitude else self.scales()
        for channel, (mean, deviation) in enumerate(self.normalization()):
            if deviation <= 0:
                raise ValueError(f"deviation of channel {channel}: must be above 0")
            if abs(mean / deviation) > 32767:
                raise ValueError(
                    f"channel {channel}: the mean is {float(mean / deviation):.3g} deviations, at most 32767"
                )
            if not Fraction(1, 10**9) <= abs(scales[channel] / deviation) <= 200_000:
                raise ValueError(f"channel {channel}: scale / deviation is not in 1e-9 to 200000")
        return self

    def _check_filter(self) -> None:
        if self.high_pass is None:
            return
        if self.rate is None:
            raise ValueError("high_pass: give the rate (samples per second) as well")
        if not self.rate / 200_000 <= self.high_pass <= self.rate / 2:
            raise ValueError(f"high_pass {self.high_pass:g}: allowed: {self.rate / 200_000:g} to {self.rate / 2:g} Hz")

    def _list(self, name: str, length: int) -> list[Fraction] | None:
        """The setting as exact decimal numbers, one for all repeated."""
        given = getattr(self, name)
        if given is None:
            return None
        values = given if isinstance(given, tuple) else (given,) * length
        if len(values) != length:
            raise ValueError(f"{name} has {len(values)} entries, allowed: one number or a list of {length}")
        return [Fraction(str(x)) for x in values]

    def scales(self) -> list[Fraction]:
        """Real units per count of each axis."""
        return self._list("scale", self.axes) or []

    def normalization(self) -> list[tuple[Fraction, Fraction]]:
        """(mean, deviation) of each channel."""
        low, high = self._list("minimum", self.channels), self._list("maximum", self.channels)
        if low and high:
            return [((a + b) / 2, (b - a) / 2) for a, b in zip(low, high, strict=True)]
        means = self._list("mean", self.channels) or [Fraction(0)] * self.channels
        deviations = self._list("deviation", self.channels) or [Fraction(1)] * self.channels
        return list(zip(means, deviations, strict=True))

    def _ratios(self) -> list[Fraction]:
        """For each channel: a frame's integer per integer of the axis' sum, or of the root."""
        per_sum = Fraction(1 << _FRAME_BITS, self.decimation << _COUNT_BITS)
        numerators = [scale * per_sum for scale in self.scales()]
        if self.magnitude:
            numerators.append(self._largest() * (1 << _FRAME_BITS) / (1 << _ROOT_BITS))
        return [n / deviation for n, (_, deviation) in zip(numerators, self.normalization(), strict=True)]

    def _largest(self) -> Fraction:
        return max(abs(self.scales()[axis]) for axis in self.magnitude)

    def scalers(self) -> list[tuple[int, int]]:
        """(multiplier, shift) of each channel."""
        return [_scaler(ratio) for ratio in self._ratios()]

    def weights(self) -> list[tuple[int, int]]:
        """(multiplier, shift) that each axis enters the magnitude with, (0, 1) where it does not."""
        weights = [(0, 1)] * self.axes
        for axis in self.magnitude:
            share = abs(self.scales()[axis]) / self._largest() / self.decimation
            weights[axis] = _scaler(share / (1 << (_COUNT_BITS - _ROOT_BITS)))
        return weights

    def front_end(self, tensor: Tensor) -> Imu:
        return Imu(self)


def _scaler(ratio: Fraction) -> tuple[int, int]:
    """(multiplier, shift) with multiplier / 2^shift = ratio to 25 bits; (0, 1) for less than 2^-38 of a unit."""
    shift = _MULTIPLIER_BITS
    while abs(ratio) * 2**shift < 1 << _MULTIPLIER_BITS and shift < 62:
        shift += 1
    while abs(ratio) * 2**shift >= 2 << _MULTIPLIER_BITS:
        shift -= 1
    return round(ratio * 2**shift), shift


def _shift(x: Array, shift: Array | int) -> Array:
    """int64: x / 2^shift, rounded half up."""
    shift = np.asarray(shift, np.int64)
    return np.asarray((x + (np.int64(1) << (shift - 1))) >> shift)


class Imu(FrontEnd):
    """int32[axes (+ 1)] standardized samples of int16[axes] raw ones."""

    def __init__(self, settings: ImuSettings) -> None:
        self.settings = settings
        self.source = Samples(settings.axes)
        self.raw_dtype, self.raw_shape = np.dtype(np.int16), (settings.axes,)
        self.frame_dtype, self.frame_shape = np.dtype(np.int32), (settings.channels,)
        self.unit = Fraction(1, 1 << _FRAME_BITS)
        self._scalers = np.array(settings.scalers(), np.int64).T
        self._weights = np.array(settings.weights(), np.int64).T
        offsets = [round(mean / deviation * (1 << _FRAME_BITS)) for mean, deviation in settings.normalization()]
        self._offsets = np.array(offsets, np.int64)
        self._smoothing = 0
        if settings.high_pass is not None and settings.rate is not None:
            omega = 2 * math.pi * settings.high_pass / settings.rate
            self._smoothing = round(omega / (1 + omega) * (1 << _SMOOTHING_BITS))
        self.reset()

    def reset(self) -> None:
        self._estimate: Array | None = None
        self._waiting = np.zeros((0, self.settings.axes), np.int64)

    def process(self, raw: Array) -> Array:
        """int32[frames, axes (+ 1)] of int16[steps, axes]; samples of an unfinished mean wait for the next call."""
        self.check_raw(raw)
        n = self.settings.decimation
        counts = np.concatenate([self._waiting, self._filter(raw.astype(np.int64) << _COUNT_BITS)])
        frames = len(counts) // n
        self._waiting = counts[frames * n :]
        sums = counts[: frames * n].reshape(frames, n, self.settings.axes).sum(1)
        if self.settings.magnitude:
            sums = np.concatenate([sums, self._magnitude(sums)[:, None]], 1)
        scaled = _shift(sums * self._scalers[0], self._scalers[1]) - self._offsets
        return np.asarray(np.clip(scaled, -(1 << 31), (1 << 31) - 1), np.int32)

    def frames_after(self, steps: int) -> int:
        return steps // self.settings.decimation

    def _filter(self, counts: Array) -> Array:
        """What is left of int64[steps, axes] without its moving average."""
        if not self._smoothing or not len(counts):
            return counts
        estimate = counts[0] if self._estimate is None else self._estimate
        estimates = np.empty_like(counts)
        for step, sample in enumerate(counts):
            estimate = estimate + _shift((sample - estimate) * self._smoothing, _SMOOTHING_BITS)
            estimates[step] = estimate
        self._estimate = estimate
        return np.asarray(counts - estimates)

    def _magnitude(self, sums: Array) -> Array:
        """int64[frames]: rounded square roots, of at most 30 bits."""
        squares = (_shift(sums * self._weights[0], self._weights[1]) ** 2).sum(1)
        root = np.sqrt(squares.astype(np.float64)).astype(np.int64)  # below 2^30: exact, or 1 too large
        root -= root * root > squares
        return np.asarray(root + (squares - root * root > root))

    def c_config(self) -> CConfig:
        axes, smoothing = self.settings.axes, self._smoothing
        arrays = {
            "multiplier": self._scalers[0].astype(np.int32),
            "shift": self._scalers[1].astype(np.uint8),
            "offset": self._offsets.astype(np.int32),
            "weight": self._weights[0].astype(np.int32),
            "weight_shift": self._weights[1].astype(np.uint8),
        }
        if not self.settings.magnitude:
            del arrays["weight"], arrays["weight_shift"]
        fields: dict[str, int | Array | None] = {
            "axes": axes,
            "decimation": self.settings.decimation,
            "smoothing": smoothing,
            "smoothing_bits": _SMOOTHING_BITS,
            "count_bits": _COUNT_BITS,
            "weight": None,
            "weight_shift": None,
        }
        buffers = {"sum": Buffer("int64", axes)} | ({"estimate": Buffer("int32", axes)} if smoothing else {})
        return CConfig("to_imu", ("to_imu.h", "to_imu.c"), fields | arrays, buffers)
