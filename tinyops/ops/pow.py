"""POW: float32 with broadcasting. TFLite Micro has none; source: TensorFlow Lite's kernels/pow.cc, which calls pow."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, check_broadcast


class Pow(Binary):
    kind = "POW"
    not_in_micro = (DType.FLOAT32,)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.FLOAT32)
        check_broadcast(self, op)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        result: Array = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
        return result
