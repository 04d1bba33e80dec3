"""LOGICAL_AND: of bool tensors, with broadcasting."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, check_broadcast


class LogicalAnd(Binary):
    kind = "LOGICAL_AND"

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, DType.BOOL)
        check_broadcast(self, op)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        result: Array = a & b
        return result
