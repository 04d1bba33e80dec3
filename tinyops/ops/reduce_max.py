"""REDUCE_MAX: int8 over any constant axes."""

from __future__ import annotations

from collections.abc import Sequence

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.reduction import Reduction, axes


class ReduceMax(Reduction):
    kind = "REDUCE_MAX"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        super().check(op)
        given, result = op.input(0), op.output()
        if given.scale != result.scale or given.zero_point != result.zero_point:
            self.refuse(op, "input and output are quantized differently", "equal scales and zero points")

    def extreme(self, values: Array, over: tuple[int, ...]) -> Array:
        result: Array = values.max(axis=over)
        return result

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [self.extreme(values, axes(op)).reshape(op.output().shape)]
