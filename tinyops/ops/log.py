"""LOG: int8, as TFLite has it, of values <= 0 the lowest output; float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.real_function import RealFunction


class Log(RealFunction):
    kind = "LOG"
    not_in_micro = (DType.INT8,)
    versions = range(1, 3)

    def compute_float(self, op: OpView, values: Array) -> Array:
        return np.log(values)

    def function(self, op: OpView, x: Array) -> Array:
        result: Array = np.log(np.maximum(x, 0))
        return result
