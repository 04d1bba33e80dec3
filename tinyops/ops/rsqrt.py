"""RSQRT: int8 and float32. TFLite Micro stops at a negative int8 input; here it is taken as 0, the largest output."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyops.ops.float32 import is_float
from tinyops.ops.inverse_sqrt import inverse_sqrt
from tinyops.ops.unary import Unary

#: The result is held with so many more fractional bits before its last rescaling.
_SHIFT = 20


def output_scale(op: OpView) -> tuple[int, int]:
    """(multiplier, shift) of 1 / (sqrt(input scale) * output scale), in float32; ValueError where it is too large."""
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        product = np.sqrt(np.float32(op.input(0).scale)) * np.float32(op.output().scale)
        multiplier, shift = quantize_multiplier(1 / float(product) if product else np.inf)
    if shift - _SHIFT < -31:
        raise ValueError(f"output scale {op.output().scale:g} for input scale {op.input(0).scale:g}")
    return multiplier, shift


class Rsqrt(Unary):
    kind = "RSQRT"
    versions = range(1, 4)
    dtypes = (DType.INT8, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, output_scale, "sqrt(input scale) * output scale of 2**-30 to 2**11")

    def compute(self, op: OpView, values: Array) -> Array:
        x = values - op.input(0).zero_point
        inverse, right_shift = inverse_sqrt(np.maximum(x, 1))
        raised = multiply_by_quantized_multiplier(np.ones_like(x), inverse, _SHIFT - right_shift)
        multiplier, shift = output_scale(op)
        scaled = multiply_by_quantized_multiplier(raised, multiplier, shift - _SHIFT)
        result = np.clip(wrap32(scaled + op.output().zero_point), -128, 127)
        return np.where(x <= 0, 127, result)

    def compute_float(self, op: OpView, values: Array) -> Array:
        result: Array = np.float32(1) / np.sqrt(values)
        return result
