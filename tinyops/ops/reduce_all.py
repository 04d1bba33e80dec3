"""REDUCE_ALL: whether all elements of a bool tensor hold, over any constant axes."""

from __future__ import annotations

from collections.abc import Sequence

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.reduction import Reduction, axes


class ReduceAll(Reduction):
    kind = "REDUCE_ALL"
    dtypes = (DType.BOOL,)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.all(axis=axes(op)).reshape(op.output().shape)]
