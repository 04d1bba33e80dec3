"""MUL: int8, int16, int32 and float32 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import Binary, check_broadcast, requantized
from tinyops.ops.fixed_point import activation_range, quantize_multiplier


@dataclass(frozen=True, slots=True)
class MulAttrs:
    """Fields of TFLite's MulOptions."""

    fused_activation_function: Activation = Activation.NONE


def output_scale(op: OpView) -> tuple[int, int]:
    """(multiplier, shift) from the product to the output; ValueError where the ratio is too large."""
    return quantize_multiplier(op.input(0).scale * op.input(1).scale / op.output().scale)


class Mul(Binary):
    kind = "MUL"
    attrs = MulAttrs
    options = "MulOptions"
    function = np.multiply
    versions = range(1, 8)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
        check_broadcast(self, op)
        if self.is_unscaled(op):
            return
        self.expect_quantized(op)
        try:
            output_scale(op)
        except ValueError as error:
            self.refuse(op, str(error), "product of the input scales / output scale under 2**30")

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        product = (a - op.input(0).zero_point) * (b - op.input(1).zero_point)
        low, high = activation_range(op.attrs.fused_activation_function, op.output())
        return requantized(op, product, output_scale(op), low, high)
