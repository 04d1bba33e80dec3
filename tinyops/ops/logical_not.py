"""LOGICAL_NOT: of a bool tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator


class LogicalNot(Operator):
    kind = "LOGICAL_NOT"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.BOOL)
        self.expect_dtype(op, "the output", op.output().dtype, DType.BOOL)
        self.expect_shape(op, op.input(0).shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [np.logical_not(values)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): 0}
