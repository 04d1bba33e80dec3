"""SELECT_V2: elements of input 1 where the condition holds, else of input 2; all broadcast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.broadcast import broadcast_overlap, check_broadcast
from tinyops.ops.quantization import SHARED


class SelectV2(Operator):
    kind = "SELECT_V2"
    quantization = SHARED
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 3)
        self.expect_dtype(op, "the condition", op.input(0).dtype, DType.BOOL)
        dtype = op.input(1).dtype
        self.expect_dtype(op, "input 1", dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        self.expect_dtype(op, "input 2", op.input(2).dtype, dtype)
        self.expect_dtype(op, "the output", op.output().dtype, dtype)
        check_broadcast(self, op)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        condition, yes, no = inputs
        assert condition is not None
        assert yes is not None
        assert no is not None
        return [np.where(condition, yes, no).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(i, 0): broadcast_overlap(op, i) for i in range(3)}
