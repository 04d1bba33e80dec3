"""LOGISTIC: int8 sigmoid by gemmlowp's fixed-point logistic, a table of 256; int16 by interpolation; float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Array
from tinyops.ops.exponential import logistic
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, rounding_divide_by_pot
from tinyops.ops.float32 import is_float
from tinyops.ops.quantization import QuantizationRule
from tinyops.ops.sigmoid_int16 import InputScaling, input_scaling, sigmoid_int16
from tinyops.ops.unary import Unary

INPUT_INTEGER_BITS = 4
_MIN_SCALE = 2.0**-27
_MAX_SCALE = 2.0**30


def saturating(
    tensor: Tensor, values: Array, function: Callable[[Array, int], Array], fraction_bits: int, offset: int
) -> Array:
    """`function` of int8 values of `tensor`, with `fraction_bits`, plus `offset`, in -128..127.

    `function` takes INPUT_INTEGER_BITS and gives Q0; where these bits do not hold the value, it is saturated.
    """
    fraction, shift = math.frexp(tensor.scale * 2 ** (31 - INPUT_INTEGER_BITS))
    multiplier = math.floor(fraction * 2**31 + 0.5)
    radius = ((2**INPUT_INTEGER_BITS - 1) << (31 - INPUT_INTEGER_BITS)) >> shift
    values = values - tensor.zero_point
    # Within the radius a shift over 30 only ever meets 0.
    scaled = multiply_by_quantized_multiplier(np.where(abs(values) < radius, values, 0), multiplier, shift)
    inner = rounding_divide_by_pot(function(scaled, INPUT_INTEGER_BITS), 31 - fraction_bits) + offset
    result = np.where(values <= -radius, -128, np.where(values >= radius, 127, inner))
    clamped: Array = np.clip(result, -128, 127)
    return clamped


class Sigmoid(Unary):
    """What LOGISTIC and TANH have in common; it has no kind of its own."""

    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    versions = range(1, 4)
    #: Scale and zero point of an int8 output; an int16 output is Q0.15.
    int8_output: ClassVar[tuple[float, int]]
    #: As input_scaling takes it.
    power_of_two_shifts: ClassVar[int]

    def check(self, op: OpView) -> None:
        super().check(op)
        if is_float(op):
            return
        scale = op.input(0).scale
        if op.input(0).dtype is DType.INT16:
            self.expect_output(op, 2.0**-15, 0)
            self.expect_ratio(op, self.scaling, "an int16 input's scale up to 2.66")
            return
        self.expect_output(op, *self.int8_output)
        if not _MIN_SCALE <= scale < _MAX_SCALE:
            self.refuse(op, f"input scale {scale:g}", "2**-27 to 2**30")

    def scaling(self, op: OpView) -> InputScaling:
        """Of an int16 input; ValueError where its scale is too large."""
        return input_scaling(op.input(0).scale, self.power_of_two_shifts)


class Logistic(Sigmoid):
    kind = "LOGISTIC"
    int8_output = (1 / 256, -128)
    quantization = QuantizationRule(outputs={DType.INT8: int8_output, DType.INT16: (2.0**-15, 0)})
    power_of_two_shifts = 1

    def compute(self, op: OpView, values: Array) -> Array:
        if op.input(0).dtype is DType.INT16:
            return sigmoid_int16(self.scaling(op).apply(values))
        return saturating(op.input(0), values, logistic, 8, -128)

    def compute_float(self, op: OpView, values: Array) -> Array:
        with np.errstate(over="ignore"):
            result: Array = (1 / (1 + np.exp(-values.astype(np.float64)))).astype(np.float32)
        return result
