"""ADD: int8, int16, int32 and float32 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.broadcast import (
    Binary,
    BinaryParameters,
    below_one,
    check_broadcast,
    requantized,
    rescaled,
)
from tinyops.ops.fixed_point import activation_range, quantize_multiplier

#: Before rescaling, inputs are scaled by 2 to this power.
LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}


@dataclass(frozen=True, slots=True)
class AddAttrs:
    """Fields of TFLite's AddOptions; pot_scale_int16 promises LiteRT scales that are powers of two."""

    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = False


def parameters(op: OpView) -> BinaryParameters:
    """Of ADD and SUB; raises ValueError where the output scale is too small for the inputs' scales."""
    left_shift = LEFT_SHIFT[op.output().dtype]
    scales = op.input(0).scale, op.input(1).scale
    twice = 2 * max(scales)
    ratio = twice / (2**left_shift * op.output().scale)
    first, second = (quantize_multiplier(scale / twice) for scale in scales)
    low, high = activation_range(op.attrs.fused_activation_function, op.output())
    output = below_one(ratio, f"output scale {op.output().scale:g}: scale ratio")
    return BinaryParameters(left_shift, (first, second), output, low, high)


class Add(Binary):
    kind = "ADD"
    attrs: ClassVar[type] = AddAttrs
    options = "AddOptions"
    function: ClassVar[np.ufunc | None] = np.add
    versions = range(1, 6)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
        check_broadcast(self, op)
        if self.is_unscaled(op):
            return self.expect_activation(op)
        self.expect_quantized(op)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "2 * the larger input scale / output scale under 2**20, for int16 2**15")

    def expect_activation(self, op: OpView) -> None:
        """Of int32 sums TFLite Micro leaves fused activations out, against TFLite."""
        if op.output().dtype is DType.INT32 and op.attrs.fused_activation_function is not Activation.NONE:
            self.refuse(op, "a fused activation", "none for int32")

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        p = parameters(op)
        x = rescaled(op.input(0), a, p.left_shift, p.inputs[0])
        y = rescaled(op.input(1), b, p.left_shift, p.inputs[1])
        assert self.function is not None
        return requantized(op, self.function(x, y), p.output, p.low, p.high)
