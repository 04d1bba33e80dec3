"""REDUCE_MAX: int8 and float32 over any constant axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.float32 import LARGEST, is_float
from tinyops.ops.quantization import SHARED
from tinyops.ops.reduction import Reduction, axes


class ReduceMax(Reduction):
    kind = "REDUCE_MAX"
    quantization = SHARED
    versions = range(1, 4)
    dtypes = (DType.INT8, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if is_float(op):
            return
        given, result = op.input(0), op.output()
        if given.scale != result.scale or given.zero_point != result.zero_point:
            self.refuse(op, "input and output are quantized differently", "equal scales and zero points")

    def extreme(self, values: Array, over: tuple[int, ...]) -> Array:
        result: Array = values.max(axis=over)
        return result

    def extreme_float(self, values: Array, over: tuple[int, ...]) -> Array:
        """Without NaN and, as TFLite, from the lowest finite value on."""
        result: Array = np.fmax.reduce(values, axis=over, initial=-LARGEST)
        return result

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        extreme = self.extreme_float if is_float(op) else self.extreme
        return [extreme(values, axes(op)).reshape(op.output().shape)]
