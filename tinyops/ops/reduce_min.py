"""REDUCE_MIN: int8 over any constant axes."""

from __future__ import annotations

from tinyops.ops.base import Array
from tinyops.ops.reduce_max import ReduceMax


class ReduceMin(ReduceMax):
    kind = "REDUCE_MIN"

    def extreme(self, values: Array, over: tuple[int, ...]) -> Array:
        result: Array = values.min(axis=over)
        return result
