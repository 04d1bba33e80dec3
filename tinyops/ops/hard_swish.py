"""HARD_SWISH: int8, by 16-bit fixed-point arithmetic (hard_swish.h of TFLite's reference kernels), and float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import quantize_multiplier
from tinyops.ops.float32 import is_float
from tinyops.ops.unary import Unary

_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1


def _multiplier16(ratio: float) -> tuple[int, int]:
    """quantize_multiplier with the multiplier rounded to its upper 16 bits."""
    multiplier, shift = quantize_multiplier(ratio)
    return min((multiplier + 2**15) >> 16, _INT16_MAX), shift


def scales(op: OpView) -> tuple[tuple[int, int], tuple[int, int]]:
    """(int16 multiplier, shift) of the output, and of the factor in [-1, 1]; ValueError where a ratio is too large.

    TFLite Micro's source divides floats; as it is built, it divides them in double precision, which differs where the
    ratio of floats is a tie of the int16 multiplier.
    """
    hires = np.float32(1 / 128) * np.float32(op.input(0).scale)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        output = _multiplier16(float(np.float64(hires) / np.float64(np.float32(op.output().scale))))
        factor = _multiplier16(float(hires / (np.float32(3) / np.float32(32768))))
    if output[1] > 0:
        raise ValueError(f"input scale {op.input(0).scale:g} for output scale {op.output().scale:g}")
    return output, factor


def _wrap16(x: Array) -> Array:
    return x.astype(np.int16).astype(np.int64)


def _rounding_high_mul(a: Array, b: int) -> Array:
    """gemmlowp's SaturatingRoundingDoublingHighMul on int16."""
    return (a * b + 2**14) >> 15


def _rounding_shift(x: Array, exponent: int) -> Array:
    """gemmlowp's RoundingDivideByPOT on int16, whose mask has 16 bits also where `exponent` is larger."""
    mask = int(np.int64(2**exponent - 1).astype(np.int16))
    result: Array = (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))
    return result


def _shift_left(x: Array, bits: int) -> Array:
    shifted: Array = np.clip(x << bits, _INT16_MIN, _INT16_MAX)
    return shifted


class HardSwish(Unary):
    kind = "HARD_SWISH"
    dtypes = (DType.INT8, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, scales, "input scale below 64 times the output scale and 2**20")

    def compute(self, op: OpView, values: Array) -> Array:
        (output_multiplier, output_shift), (multiplier, shift) = scales(op)
        hires = (values - op.input(0).zero_point) * 2**7
        preshift = _rounding_high_mul(hires, output_multiplier)
        factor = _shift_left(hires, max(shift - 1, 0))
        factor = _rounding_high_mul(factor, multiplier)
        factor = _shift_left(factor, 1) if shift > 0 else _rounding_shift(factor, -shift)
        factor = (factor + 2**15) >> 1
        product = factor * preshift
        result = np.where(product < 0, -(-product >> 15), product >> 15)
        result = _wrap16(_rounding_shift(result, -output_shift) + op.output().zero_point)
        clamped: Array = np.clip(result, -128, 127)
        return clamped

    def compute_float(self, op: OpView, values: Array) -> Array:
        result: Array = values * np.clip(values + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)
        return result
