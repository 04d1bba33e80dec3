"""ABS: int8, int16 and float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import is_float
from tinyops.ops.unary import Unary, scale_ratio


def requantization(op: OpView) -> Requantization:
    """From |input - input zero point| to the output; the identity where the scales are equal."""
    return Requantization.of([scale_ratio(op)], Activation.NONE, op.output())


class Abs(Unary):
    kind = "ABS"
    versions = range(1, 6)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, requantization, "input scale / output scale under 2**30")

    def compute(self, op: OpView, values: Array) -> Array:
        return requantization(op).apply(np.abs(values - op.input(0).zero_point), op.output().dtype)

    def compute_float(self, op: OpView, values: Array) -> Array:
        return np.abs(values)
