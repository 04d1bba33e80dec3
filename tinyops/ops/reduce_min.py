"""REDUCE_MIN: int8 and float32 over any constant axes."""

from __future__ import annotations

import numpy as np

from tinyops.ops.base import Array
from tinyops.ops.float32 import LARGEST
from tinyops.ops.reduce_max import ReduceMax


class ReduceMin(ReduceMax):
    kind = "REDUCE_MIN"

    def extreme(self, values: Array, over: tuple[int, ...]) -> Array:
        result: Array = values.min(axis=over)
        return result

    def extreme_float(self, values: Array, over: tuple[int, ...]) -> Array:
        result: Array = np.fmin.reduce(values, axis=over, initial=LARGEST)
        return result
