"""NEG: int8, by the same arithmetic as EXP, int16 without a change of scale, and float32.

TFLite's NEG negates stored integers, whatever their quantization: the same where the scales are equal and the zero
points 0, but for the lowest value, which wraps there and is clamped here.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.real_function import RealFunction


class Neg(RealFunction):
    kind = "NEG"
    not_in_micro = (DType.INT8, DType.INT16)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if op.output().dtype is DType.INT16 and op.input(0).scale != op.output().scale:
            self.refuse(op, "input and output are quantized differently", "equal scales for int16")

    def function(self, op: OpView, x: Array) -> Array:
        return -x

    def compute(self, op: OpView, values: Array) -> Array:
        if op.output().dtype is DType.INT8:
            return super().compute(op, values)
        result: Array = np.clip(-values, *dtype_range(DType.INT16))
        return result
