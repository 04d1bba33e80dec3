"""RESHAPE: the same bytes under another shape. The output tensor's shape counts; the shape input is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints


class Reshape(Operator):
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

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.reshape(op.output().shape).copy()]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): 0}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return {0: (0, 0)}
