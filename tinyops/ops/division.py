"""What DIV of int32, FLOOR_DIV and FLOOR_MOD have in common: integers as they are, and a constant divisor."""

from __future__ import annotations

from typing import ClassVar

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.broadcast import Binary, check_broadcast
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.float32 import is_float


def expect_nonzero(rules: Operator, op: OpView, zero: int = 0) -> None:
    """Input 1 is constant and none of its elements is `zero`."""
    if (rules.constant(op, 1) == zero).any():
        rules.refuse(op, "division by 0", "a divisor other than 0")


class FloorDivision(Binary):
    """Base of FLOOR_DIV and FLOOR_MOD, of float32 or stored integers whatever their quantization, as TFLite has it.

    TFLite stops at a divisor of 0; here float32 gives an infinite quotient, and NaN as the remainder. The quotient of
    the lowest integer by -1 wraps.
    """

    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_same_dtype(op, *self.dtypes)
        check_broadcast(self, op)
        if not is_float(op):
            expect_nonzero(self, op)


def wrapped(values: Array, dtype: DType) -> Array:
    """Of a quotient, which can be beyond its dtype by one."""
    low, high = dtype_range(dtype)
    wrapped: Array = (values - low) % (high - low + 1) + low
    return wrapped
