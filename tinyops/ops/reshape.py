"""RESHAPE: the same bytes under another shape. The output tensor's shape counts; the shape input is not read."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.movement import SameBytes, check_movement


class Reshape(SameBytes):
    kind = "RESHAPE"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, range(1, 3))
        check_movement(self, op, 0)
        shape = op.optional(1)
        if shape is not None:
            self.expect_dtype(op, "input 1", shape.dtype, DType.INT32, DType.INT64)
        if op.input(0).elements != op.output().elements:
            self.refuse(
                op,
                f"from shape {list(op.input(0).shape)} to {list(op.output().shape)}",
                f"{op.input(0).elements} elements",
            )
