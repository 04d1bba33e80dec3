"""ASSIGN_VARIABLE: a new value for the variable that a handle names."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.movement import DTYPES
from tinyops.ops.state import ResourceOperator


class AssignVariable(ResourceOperator):
    kind = "ASSIGN_VARIABLE"
    effect = True

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2, outputs=0)
        self.expect_dtype(op, "the handle", op.input(0).dtype, DType.RESOURCE)
        self.expect_dtype(op, "the value", op.input(1).dtype, *DTYPES)
