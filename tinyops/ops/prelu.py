"""PRELU: int8 and int16 with int8 slopes, float32 with float32 ones; slopes broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, check_broadcast, requantized
from tinyops.ops.fixed_point import dtype_range, quantize_multiplier
from tinyops.ops.float32 import is_float
from tinyops.ops.quantization import QuantizationRule


@dataclass(frozen=True, slots=True)
class PreluParameters:
    """(multiplier, shift) of values >= 0, and of products of values < 0 with their slope."""

    positive: tuple[int, int]
    negative: tuple[int, int]


def parameters(op: OpView) -> PreluParameters:
    """Raises ValueError where a scale ratio is too large."""
    x, alpha, y = op.input(0).scale, op.input(1).scale, op.output().scale
    return PreluParameters(quantize_multiplier(x / y), quantize_multiplier(x * alpha / y))


class Prelu(Binary):
    kind = "PRELU"
    quantization = QuantizationRule(int8=(1,))
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "input 0", op.input(0).dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        self.expect_dtype(op, "the slope", op.input(1).dtype, DType.FLOAT32 if is_float(op) else DType.INT8)
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype)
        check_broadcast(self, op)
        if is_float(op):
            return
        self.expect_quantized(op)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "input scale, and input scale * slope scale, / output scale under 2**30")

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        return np.where(a >= 0, a, a * b)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        p = parameters(op)
        low, high = dtype_range(op.output().dtype)
        x, alpha = np.broadcast_arrays(a - op.input(0).zero_point, b - op.input(1).zero_point)
        positive = requantized(op, x, p.positive, low, high)
        return np.where(x >= 0, positive, requantized(op, x * alpha, p.negative, low, high))
