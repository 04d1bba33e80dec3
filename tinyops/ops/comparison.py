"""What EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER and GREATER_EQUAL have in common.

int8 values are compared after scaling by 2**8 and their scale, rounded to int32; int32, float32 and bool as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.broadcast import Binary, below_one, check_broadcast, rescaled

LEFT_SHIFT = 8


def input_scale(op: OpView, i: int) -> tuple[int, int]:
    """(multiplier, shift) of int8 input `i`; ValueError unless its scale is below 1."""
    return below_one(op.input(i).scale, f"scale of input {i}")


class Comparison(Binary):
    """Base of the comparisons; it has no kind of its own."""

    versions = range(1, 5)
    #: Of two arrays.
    function: ClassVar[Callable[[Any, Any], Any]]
    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT32, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        dtype = op.input(0).dtype
        self.expect_dtype(op, "input 0", dtype, *self.dtypes)
        self.expect_dtype(op, "input 1", op.input(1).dtype, dtype)
        self.expect_dtype(op, "the output", op.output().dtype, DType.BOOL)
        if dtype is DType.INT8:
            for i in range(2):
                quantization = op.input(i).quantization
                if quantization is None or quantization.per_channel:
                    self.refuse(op, f"input {i} is not quantized per tensor", "a scale and a zero point")
                try:
                    input_scale(op, i)
                except ValueError as error:
                    self.refuse(op, str(error), "scales below 1")
        check_broadcast(self, op)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        result: Array = type(self).function(a, b)
        return result

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        if op.input(0).dtype is DType.INT8:
            a = rescaled(op.input(0), a, LEFT_SHIFT, input_scale(op, 0))
            b = rescaled(op.input(1), b, LEFT_SHIFT, input_scale(op, 1))
        result: Array = type(self).function(a, b)
        return result
