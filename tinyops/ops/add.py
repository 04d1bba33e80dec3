"""ADD: int8, int16 and float32 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import Binary, BinaryParameters, check_broadcast, requantized, rescaled
from tinyops.ops.fixed_point import activation_range, quantize_multiplier
from tinyops.ops.float32 import is_float

#: Before rescaling, inputs are scaled by 2 to this power.
LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}


@dataclass(frozen=True, slots=True)
class AddAttrs:
    """Fields of TFLite's AddOptions."""

    fused_activation_function: Activation = Activation.NONE


def parameters(op: OpView) -> BinaryParameters:
    """Raises ValueError where the output scale is too small for the inputs' scales."""
    left_shift = LEFT_SHIFT[op.output().dtype]
    scales = op.input(0).scale, op.input(1).scale
    twice = 2 * max(scales)
    output = twice / (2**left_shift * op.output().scale)
    multiplier, shift = quantize_multiplier(output)
    if output >= 1 or shift > 0:
        raise ValueError(f"output scale {op.output().scale:g} for input scales {scales[0]:g} and {scales[1]:g}")
    low, high = activation_range(op.attrs.fused_activation_function, op.output())
    first, second = (quantize_multiplier(scale / twice) for scale in scales)
    return BinaryParameters(left_shift, (first, second), (multiplier, shift), low, high)


class Add(Binary):
    kind = "ADD"
    attrs = AddAttrs
    options = "AddOptions"
    float_function = np.add
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
        return requantized(op, x + y, p.output, p.low, p.high)
