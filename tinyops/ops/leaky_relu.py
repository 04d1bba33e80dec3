"""LEAKY_RELU: int8, int16 and float32; the slope may be negative but for int16."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import dtype_range, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyops.ops.float32 import is_float
from tinyops.ops.unary import Unary, scale_ratio


@dataclass(frozen=True, slots=True)
class LeakyReluAttrs:
    """Fields of TFLite's LeakyReluOptions."""

    alpha: float = 0.2


def scales(op: OpView) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of values >= 0, and of values < 0 with the slope's magnitude; ValueError if too large."""
    return quantize_multiplier(scale_ratio(op)), quantize_multiplier(abs(scale_ratio(op, op.attrs.alpha)))


class LeakyRelu(Unary):
    kind = "LEAKY_RELU"
    attrs = LeakyReluAttrs
    options = "LeakyReluOptions"
    versions = range(1, 3)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if not math.isfinite(op.attrs.alpha):
            self.refuse(op, f"alpha is {op.attrs.alpha}", "a number")
        if is_float(op):
            return
        if op.input(0).dtype is DType.INT16 and op.attrs.alpha < 0:
            self.refuse(op, f"alpha {op.attrs.alpha:g} of int16", "0 or more")
        self.expect_ratio(op, scales, "input scale, and input scale * alpha, / output scale under 2**30")

    def compute(self, op: OpView, values: Array) -> Array:
        positive, negative = scales(op)
        x = values - op.input(0).zero_point
        below = multiply_by_quantized_multiplier(x, *negative) * int(math.copysign(1, op.attrs.alpha))
        scaled = np.where(x >= 0, multiply_by_quantized_multiplier(x, *positive), below)
        result: Array = np.clip(wrap32(scaled + op.output().zero_point), *dtype_range(op.output().dtype))
        return result

    def compute_float(self, op: OpView, values: Array) -> Array:
        return np.where(values > 0, values, values * np.float32(op.attrs.alpha))
