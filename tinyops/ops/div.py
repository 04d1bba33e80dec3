"""DIV: int8 by gemmlowp's fixed-point reciprocal; int32 by constants, rounded towards 0; float32.

TFLite Micro asserts that the final shift of int8 does not exceed 31; beyond, the quotient is below half a step, and
here it is 0. It asserts that no divisor is 0: here a constant one is refused, and a computed one of int8 counts as 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import Binary, check_broadcast, integer_bounds
from tinyops.ops.division import expect_nonzero, wrapped
from tinyops.ops.exponential import one_over_one_plus_x
from tinyops.ops.fixed_point import (
    activation_range,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from tinyops.ops.float32 import activate, is_float

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
        self.expect_same_dtype(op, DType.INT8, DType.INT32, DType.FLOAT32)
        check_broadcast(self, op)
        if is_float(op):
            return
        if self.is_unscaled(op):
            expect_nonzero(self, op)
            return
        self.expect_quantized(op)
        try:
            output_scale(op)
        except ValueError as error:
            self.refuse(op, str(error), "input 0 scale / (input 1 scale * output scale) under 2**23")
        if op.input(1).is_constant:
            expect_nonzero(self, op, op.input(1).zero_point)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        return activate(a / b, op.attrs.fused_activation_function)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        if self.is_unscaled(op):
            quotient = wrapped(np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b), DType.INT32)
            return np.clip(quotient, *integer_bounds(op.attrs.fused_activation_function))
        x, divisor = np.broadcast_arrays(a - op.input(0).zero_point, b - op.input(1).zero_point)
        x, divisor = np.where(divisor < 0, -x, x), np.maximum(np.abs(divisor), 1)
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
