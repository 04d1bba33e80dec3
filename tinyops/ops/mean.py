"""MEAN: int8, int16 and float32 over any constant axes."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.reduction import Summation, reduced_count


class Mean(Summation):
    kind = "MEAN"
    versions = range(1, 4)

    def finish_float(self, op: OpView, sums: Array) -> Array:
        result: Array = sums / np.float32(reduced_count(op))
        return result

    def requantization(self, op: OpView) -> Requantization:
        """The scale ratio with 1 / count folded into the multiplier.

        The quotient is truncated, after scaling by the largest power of two that is at most `count`.
        """
        base = Requantization.of([op.input(0).scale / op.output().scale], Activation.NONE, op.output())
        count = reduced_count(op)
        multiplier, exponent = int(base.multiplier[0]), int(base.shift[0])
        shift = min(count.bit_length() - 1, 32, 31 + exponent)
        return Requantization(
            np.array([(multiplier << shift) // count], dtype=np.int32),
            np.array([exponent - shift], dtype=np.int32),
            base.zero_point,
            base.low,
            base.high,
        )
