"""SQUARED_DIFFERENCE: int8, int16, int32 and float32 with broadcasting."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, BinaryParameters, check_broadcast, requantized, rescaled
from tinyops.ops.fixed_point import dtype_range, quantize_multiplier, wrap32


def parameters(op: OpView) -> BinaryParameters:
    """Raises ValueError where the output scale is too small for the inputs' scales."""
    left_shift = 0 if op.output().dtype is DType.INT16 else 7
    scales = op.input(0).scale, op.input(1).scale
    twice = 2 * max(scales)
    first, second = (quantize_multiplier(scale / twice) for scale in scales)
    output = quantize_multiplier(twice * twice / (2 ** (2 * left_shift) * op.output().scale))
    return BinaryParameters(left_shift, (first, second), output, *dtype_range(op.output().dtype))


class SquaredDifference(Binary):
    kind = "SQUARED_DIFFERENCE"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
        check_broadcast(self, op)
        if self.is_unscaled(op):
            return
        self.expect_quantized(op)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "(2 * the larger input scale)**2 / output scale under 2**44, for int16 2**30")

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        difference = a - b
        result: Array = difference * difference
        return result

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        if self.is_unscaled(op):
            return wrap32(wrap32(a - b) ** 2)
        p = parameters(op)
        x = rescaled(op.input(0), a, p.left_shift, p.inputs[0])
        y = rescaled(op.input(1), b, p.left_shift, p.inputs[1])
        return requantized(op, (x - y) ** 2, p.output, p.low, p.high)
