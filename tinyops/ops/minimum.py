"""MINIMUM: of the stored integers, whatever their quantization, as TFLite has it; float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, check_broadcast
from tinyops.ops.quantization import CLAMPED


class Minimum(Binary):
    kind = "MINIMUM"
    quantization = CLAMPED
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
        check_broadcast(self, op)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        """As TFLite: the second operand where one of them is NaN."""
        return np.where(a < b, a, b)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        result: Array = np.minimum(a, b)
        return result
