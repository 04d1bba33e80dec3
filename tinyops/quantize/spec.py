"""The arithmetic of TFLite's 8-bit specification, and of its 16x8 one: ranges to scales, reals to integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, Quantization, Tensor
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import dtype_range

#: Scales below it serve no data: values are noise then.
MIN_SCALE = 2.0**-40
#: Biases stay below it, so that accumulators have room in int32.
MAX_BIAS = 2**30
_BIAS_DTYPE = {DType.INT8: DType.INT32, DType.INT16: DType.INT64}


def float32(value: float) -> float:
    """`value` rounded to float32, as files hold scales."""
    return float(np.float32(value))


def quantization_of_range(low: float, high: float, dtype: DType) -> Quantization:
    """Per-tensor quantization that covers `low` to `high` and 0; int16 is symmetric.

    A tensor that is always 0 gets the range 0..1: its scale is without effect on its own values.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = 1.0
    least, most = dtype_range(dtype)
    if dtype is DType.INT16:
        return Quantization((float32(max(max(-low, high) / most, MIN_SCALE)),), (0,))
    scale = float32(max((high - low) / (most - least), MIN_SCALE))
    zero_point = math.floor(least - low / scale + 0.5)
    return Quantization((scale,), (min(max(zero_point, least), most),))


def range_of(quantization: Quantization, dtype: DType) -> tuple[float, float]:
    """The real values of the lowest and the highest integer."""
    least, most = dtype_range(dtype)
    scale, zero_point = quantization.scale, quantization.zero_point
    return scale * (least - zero_point), scale * (most - zero_point)


def quantize_values(values: Array, quantization: Quantization, dtype: DType) -> Array:
    """Per-tensor integers of real values: nearest, ties away from zero, clamped."""
    scaled = values.astype(np.float64) / quantization.scale
    nearest = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + quantization.zero_point
    clamped: Array = np.clip(nearest, *dtype_range(dtype)).astype(dtype.numpy)
    return clamped


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """Where quantized weights lie: `scales` float64 that broadcast against them, integers within +-`limit`."""

    scales: Array
    limit: int
    quantization: Quantization

    def nearest(self, weights: Array) -> Array:
        """int8."""
        scaled = weights.astype(np.float64) / self.scales
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
        clamped: Array = np.clip(rounded, -self.limit, self.limit).astype(np.int8)
        return clamped


def weight_grid(weights: Array, axis: int | None, bits: int, least_scales: Array) -> WeightGrid:
    """Symmetric scales of float weights, one per channel on `axis` or one for all (None).

    int8 takes the largest magnitude as 127; int4 the scale of the least squared error, since clipping pays there.
    No scale is below `least_scales` [channels]. A channel of zeros takes the largest scale of the others, or 1.
    """
    limit = 2 ** (bits - 1) - 1
    channels = weights.shape[axis] if axis is not None else 1
    rows = np.moveaxis(weights, axis, 0).reshape(channels, -1) if axis is not None else weights.reshape(1, -1)
    rows = rows.astype(np.float64)
    scales = np.abs(rows).max(axis=1) / limit
    if bits < 8:
        scales = _least_error(rows, scales, limit)
    floor = least_scales if axis is not None else least_scales.max(initial=0.0)
    scales = np.maximum(scales, floor)
    scales = np.where(scales > 0, scales, scales.max() or 1.0)
    scales = np.maximum(scales, MIN_SCALE).astype(np.float32).astype(np.float64)
    shape = [1] * weights.ndim
    if axis is not None:
        shape[axis] = channels
    quantization = Quantization(tuple(scales.tolist()), (0,) * channels, (axis or 0) if channels > 1 else 0)
    return WeightGrid(scales.reshape(shape), limit, quantization)


def _least_error(rows: Array, largest: Array, limit: int) -> Array:
    """Scales [channels] of the least squared error, from half the largest up to it."""
    best, error = largest, np.full(len(rows), np.inf)
    for fraction in np.linspace(1.0, 0.5, 26):
        scales = np.where(largest > 0, largest * fraction, 1.0)[:, None]
        found = ((np.clip(np.round(rows / scales), -limit, limit) * scales - rows) ** 2).sum(axis=1)
        better = found < error
        best, error = np.where(better, largest * fraction, best), np.minimum(found, error)
    return best


def bias_tensor(name: str, bias: Array, values: Quantization, weights: Quantization, dtype: DType) -> Tensor:
    """int32 (of int16 activations int64) with scale input scale * weight scale, per channel as the weights are."""
    scales = np.broadcast_to(np.array(weights.scales) * values.scale, bias.shape)
    kind = _BIAS_DTYPE[dtype]
    bound = float(MAX_BIAS if kind is DType.INT32 else 2**46)
    integers = np.clip(np.round(bias.astype(np.float64) / scales), -bound, bound).astype(kind.numpy)
    stored = tuple(float32(scale) for scale in np.array(weights.scales) * values.scale)
    return Tensor(name, kind, bias.shape, Quantization(stored, (0,) * len(stored), 0), integers)


def least_weight_scales(bias: Array | None, channels: int, values: Quantization) -> Array:
    """float64[channels]: below it a channel's bias would not fit."""
    if bias is None:
        return np.zeros(channels)
    least: Array = np.abs(bias.astype(np.float64)) / (values.scale * MAX_BIAS)
    return least
