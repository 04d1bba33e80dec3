"""DIV: int8 by a constant, by gemmlowp's fixed-point reciprocal.

TFLite Micro stops with an assertion where the final shift exceeds 31; the quotient is below half a step there, and
here it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import Binary, check_broadcast
from tinyops.ops.exponential import one_over_one_plus_x
from tinyops.ops.fixed_point import (
    activation_range,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap32,
)

#: The least headroom of a difference of two int8 values, |x| <= 255.
_LEAST_HEADROOM = 23


@dataclass(frozen=True, slots=True)
class DivAttrs:
    """Fields of TFLite's DivOptions."""

    fused_activation_function: Activation = Activation.NONE


def output_scale(op: OpView) -> tuple[int, int]:
    """(multiplier, shift) of the quotient; ValueError where the ratio is too large. The ratio is float32."""
    a, b, y = (np.float32(t.scale) for t in (op.input(0), op.input(1), op.output()))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        multiplier, shift = quantize_multiplier(float(a / (b * y)))
    if shift > _LEAST_HEADROOM:
        raise ValueError(f"scale ratio {float(a / (b * y)):g}")
    return multiplier, shift


class Div(Binary):
    kind = "DIV"
    attrs = DivAttrs
    options = "DivOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8)
        self.expect_quantized(op)
        try:
            output_scale(op)
        except ValueError as error:
            self.refuse(op, str(error), "input 0 scale / (input 1 scale * output scale) under 2**23")
        divisor = self.constant(op, 1)
        if divisor.size == 0 or (divisor != divisor.reshape(-1)[0]).any():
            self.refuse(op, "input 1 has several values", "division by one constant")
        if (divisor == op.input(1).zero_point).any():
            self.refuse(op, "division by 0", "a divisor other than 0")
        check_broadcast(self, op)
        self.expect_shape(op, op.input(0).shape)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        x, divisor = np.broadcast_arrays(a - op.input(0).zero_point, b - op.input(1).zero_point)
        x, divisor = np.where(divisor < 0, -x, x), np.abs(divisor)
        bits = np.frexp(divisor.astype(np.float64))[1].astype(np.int64)
        inverse = one_over_one_plus_x((divisor << (32 - bits)) - 2**31)
        headroom = 31 - np.frexp(np.where(x < 0, -1 - x, x).astype(np.float64))[1].astype(np.int64)
        quotient = saturating_rounding_doubling_high_mul(x << headroom, inverse)
        multiplier, shift = output_scale(op)
        exponent = bits - 1 + headroom - shift
        product = saturating_rounding_doubling_high_mul(quotient, multiplier)
        scaled = np.where(exponent > 31, 0, rounding_divide_by_pot(product, np.minimum(exponent, 31)))
        low, high = activation_range(op.attrs.fused_activation_function, op.output())
        result: Array = np.clip(wrap32(scaled + op.output().zero_point), low, high)
        return result
