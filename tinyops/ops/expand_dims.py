"""EXPAND_DIMS: the same bytes with a new axis of extent 1."""

from __future__ import annotations

from tinyops.graph import OpView
from tinyops.ops.movement import SameBytes, check_movement, constant_ints, resolved_axis


class ExpandDims(SameBytes):
    kind = "EXPAND_DIMS"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        axis = resolved_axis(self, op, constant_ints(self, op, 1, 1)[0], len(shape) + 1)
        self.expect_shape(op, (*shape[:axis], 1, *shape[axis:]))
