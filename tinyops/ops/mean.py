"""MEAN: int8, int16 and float32 over any constant axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import is_float
from tinyops.ops.reduction import Summation, axes, reduced_count


class Mean(Summation):
    kind = "MEAN"
    versions = range(1, 4)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        if not is_float(op):
            return super().reference(op, inputs)
        values = inputs[0]
        assert values is not None
        total = values.astype(np.float64).sum(axis=axes(op)) / reduced_count(op)
        return [total.astype(np.float32).reshape(op.output().shape)]

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
