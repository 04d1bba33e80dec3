"""RELU: int8 and int16, with a change of scale, and float32."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import activate, is_float
from tinyops.ops.unary import Unary, scale_ratio


class Relu(Unary):
    kind = "RELU"
    versions = range(1, 4)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    activation = Activation.RELU

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, self.requantization, "input scale / output scale under 2**30")

    def requantization(self, op: OpView) -> Requantization:
        """From input - input zero point to the output, clamped to the activation's range."""
        return Requantization.of([scale_ratio(op)], self.activation, op.output())

    def compute(self, op: OpView, values: Array) -> Array:
        return self.requantization(op).apply(values - op.input(0).zero_point, op.output().dtype)

    def compute_float(self, op: OpView, values: Array) -> Array:
        return activate(values, self.activation)
