"""RESHAPE: the same bytes under another shape. The output tensor's shape counts; the shape input is not read."""

from __future__ import annotations

from tinyops.graph import OpView
from tinyops.ops.movement import SameBytes, check_movement, constant_ints


class Reshape(SameBytes):
    kind = "RESHAPE"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, range(1, 3))
        check_movement(self, op, 0)
        if op.optional(1) is not None:
            constant_ints(self, op, 1)
        if op.input(0).elements != op.output().elements:
            self.refuse(
                op,
                f"from shape {list(op.input(0).shape)} to {list(op.output().shape)}",
                f"{op.input(0).elements} elements",
            )
