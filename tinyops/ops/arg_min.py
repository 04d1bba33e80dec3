"""ARG_MIN: int8 and float32 to int32 along a constant axis; the first of equal values."""

from __future__ import annotations

import numpy as np

from tinyops.ops.arg_max import ArgMax
from tinyops.ops.base import Array


class ArgMin(ArgMax):
    kind = "ARG_MIN"
    better = np.less

    def position(self, values: Array, axis: int) -> Array:
        result: Array = values.argmin(axis=axis)
        return result
