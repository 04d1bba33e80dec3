"""SUB: int8, int16 and float32 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import Binary, BinaryParameters, below_one, check_broadcast, requantized, rescaled
from tinyops.ops.fixed_point import activation_range, quantize_multiplier
from tinyops.ops.float32 import is_float


@dataclass(frozen=True, slots=True)
class SubAttrs:
    """Fields of TFLite's SubOptions."""

    fused_activation_function: Activation = Activation.NONE


def parameters(op: OpView) -> BinaryParameters:
    """Raises ValueError where the output scale is too small for the inputs' scales."""
    left_shift = 15 if op.output().dtype is DType.INT16 else 20
    scales = op.input(0).scale, op.input(1).scale
    twice = 2 * max(scales)
    ratio = twice / (2**left_shift * op.output().scale)
    first, second = (quantize_multiplier(scale / twice) for scale in scales)
    low, high = activation_range(op.attrs.fused_activation_function, op.output())
    return BinaryParameters(left_shift, (first, second), below_one(ratio, "the output's scale ratio"), low, high)


class Sub(Binary):
    kind = "SUB"
    attrs = SubAttrs
    options = "SubOptions"
    float_function = np.subtract
    versions = range(1, 6)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8, DType.INT16, DType.FLOAT32)
        check_broadcast(self, op)
        if is_float(op):
            return
        self.expect_quantized(op)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "2 * the larger input scale / output scale under 2**20, for int16 2**15")

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        p = parameters(op)
        x = rescaled(op.input(0), a, p.left_shift, p.inputs[0])
        y = rescaled(op.input(1), b, p.left_shift, p.inputs[1])
        return requantized(op, x - y, p.output, p.low, p.high)
