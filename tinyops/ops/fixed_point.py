"""Fixed-point arithmetic of TFLite Micro on int32, vectorized.

Sources: gemmlowp (fixedpoint.h) and TFLite's quantization_util.cc, in its double-rounding form. Arrays are int64
that hold int32 values; where TFLite Micro's int32 would wrap, the value wraps here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.graph import DType, Tensor
from tinyops.ops.base import Activation, Array

INT32_MAX = 2**31 - 1
#: The largest left shift that int32 arithmetic takes without undefined behaviour.
MAX_SHIFT = 30


def wrap32(x: Any) -> Array:
    """The low 32 bits of `x`, as a signed value in int64."""
    return np.asarray(x, dtype=np.int64).astype(np.int32).astype(np.int64)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real = multiplier * 2**(shift - 31) and multiplier in [2**30, 2**31), or 0.

    Ratios under 2**-32 become 0. Raises ValueError unless 0 <= real < 2**MAX_SHIFT.
    """
    if not 0 <= real < math.inf:
        raise ValueError(f"scale ratio {real} is not a finite number >= 0")
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if multiplier == 0 or shift < -31:
        return 0, 0
    if shift > MAX_SHIFT:
        raise ValueError(f"scale ratio {real:g} is not under 2**{MAX_SHIFT}")
    return multiplier, shift


def saturating_rounding_doubling_high_mul(a: Any, b: Any) -> Array:
    """round(a * b / 2**31) with ties upward; -1 * -1 saturates. The same as VQRDMULH."""
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    high: Array = np.minimum((product + 2**30) >> 31, INT32_MAX)
    return high


def rounding_divide_by_pot(x: Any, exponent: Any) -> Array:
    """round(x / 2**exponent) with ties away from zero; exponent in 0..31."""
    x = np.asarray(x, dtype=np.int64)
    mask = (np.int64(1) << np.asarray(exponent, dtype=np.int64)) - 1
    threshold = (mask >> 1) + (x < 0)
    result: Array = (x >> exponent) + ((x & mask) > threshold)
    return result


def multiply_by_quantized_multiplier(x: Any, multiplier: Any, shift: Any) -> Array:
    """x * multiplier * 2**(shift - 31), rounded twice; the left shift of a positive `shift` wraps in int32."""
    shift = np.asarray(shift, dtype=np.int64)
    shifted = wrap32(np.asarray(x, dtype=np.int64) << np.maximum(shift, 0))
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), np.maximum(-shift, 0))


def multiply_int64_by_quantized_multiplier(x: Any, multiplier: Any, shift: Any) -> Array:
    """x * multiplier * 2**(shift - 31) for |x| < 2**47 and shift <= 7: the multiplier's upper 16 bits, one rounding."""
    x, total_shift = np.asarray(x, dtype=np.int64), 15 - np.asarray(shift, dtype=np.int64)
    return wrap32((x * reduced_multiplier(multiplier) + (np.int64(1) << (total_shift - 1))) >> total_shift)


def reduced_multiplier(multiplier: Any) -> Array:
    """The upper 16 bits of a quantized multiplier, rounded: 0..2**15 - 1."""
    multiplier = np.asarray(multiplier, dtype=np.int64)
    return np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)


def dtype_range(dtype: DType) -> tuple[int, int]:
    """The lowest and the highest value of an integer dtype."""
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def activation_range(activation: Activation, output: Tensor) -> tuple[int, int]:
    """Lowest and highest quantized output under a fused activation; the bounds are rounded in float32."""
    low, high = dtype_range(output.dtype)
    if activation is Activation.NONE:
        return low, high
    floor = -1.0 if activation is Activation.RELU_N1_TO_1 else 0.0
    ceiling = {Activation.RELU6: 6.0, Activation.RELU_N1_TO_1: 1.0}.get(activation)
    low = max(low, _quantize(floor, output, low))
    if ceiling is not None:
        high = min(high, _quantize(ceiling, output, high))
    return low, high


def _quantize(real: float, output: Tensor, beyond: int) -> int:
    """The quantized value of `real`; `beyond` where the quotient exceeds float32."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(real) / np.float32(output.scale))
    if math.isinf(quotient):
        return beyond
    return output.zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))


@dataclass(frozen=True, slots=True, eq=False)
class Requantization:
    """From int32 accumulators to quantized outputs: scale by `multiplier` and `shift`, add, clamp.

    `multiplier` and `shift` are int32[channels], or int32[1] for one pair for all channels (the last axis).
    """

    multiplier: Array
    shift: Array
    zero_point: int
    low: int
    high: int

    @classmethod
    def of(cls, ratios: Sequence[float], activation: Activation, output: Tensor) -> Requantization:
        """For the real scale ratios (one, or one per channel). Raises ValueError for a ratio that is too large."""
        pairs = [quantize_multiplier(ratio) for ratio in ratios]
        low, high = activation_range(activation, output)
        return cls(
            np.array([m for m, _ in pairs], dtype=np.int32),
            np.array([s for _, s in pairs], dtype=np.int32),
            output.zero_point,
            low,
            high,
        )

    def apply(self, accumulator: Array, dtype: DType = DType.INT8) -> Array:
        """Accumulators [..., channels], wrapped to int32 first, to values of `dtype` of the same shape."""
        scaled = multiply_by_quantized_multiplier(wrap32(accumulator), self.multiplier, self.shift)
        return np.clip(wrap32(scaled + self.zero_point), self.low, self.high).astype(dtype.numpy)

    def apply_int64(self, accumulator: Array) -> Array:
        """int64 accumulators [..., channels] under 2**47 to int16 values of the same shape."""
        scaled = multiply_int64_by_quantized_multiplier(accumulator, self.multiplier, self.shift)
        return np.clip(wrap32(scaled + self.zero_point), self.low, self.high).astype(np.int16)
