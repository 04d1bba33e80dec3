"""EXP: int8, as TFLite has it, and float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.real_function import RealFunction


class Exp(RealFunction):
    kind = "EXP"
    not_in_micro = (DType.INT8,)
    versions = range(1, 3)

    def function(self, op: OpView, x: Array) -> Array:
        result: Array = np.exp(x)
        return result
