"""ADD_N: the sum of two to 64 float32 tensors of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator

_MOST = 64


class AddN(Operator):
    kind = "ADD_N"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, range(2, _MOST + 1))
        for i in range(len(op.op.inputs)):
            if op.optional(i) is None:
                self.refuse(op, f"input {i} is absent")
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.FLOAT32)
            if op.input(i).shape != op.output().shape:
                self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"{list(op.output().shape)}")
        self.expect_dtype(op, "the output", op.output().dtype, DType.FLOAT32)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        total = np.zeros(op.output().shape, np.float32)
        for values in inputs:
            assert values is not None
            total = total + values
        return [total]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """The first two are added before the others are read."""
        return {(0, 0): 0, (1, 0): 0} if len(op.op.inputs) == 2 else {}
