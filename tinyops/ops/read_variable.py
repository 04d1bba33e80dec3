"""READ_VARIABLE: the value of the variable that a handle names."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.movement import DTYPES
from tinyops.ops.state import ResourceOperator


class ReadVariable(ResourceOperator):
    kind = "READ_VARIABLE"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the handle", op.input(0).dtype, DType.RESOURCE)
        self.expect_dtype(op, "the value", op.output().dtype, *DTYPES)
