"""Operators from one tensor to another of the same shape; functions of one 8-bit value, which a table describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.float32 import is_float


def all_values(dtype: DType) -> Array:
    """int64[256]: every value of an 8-bit dtype, ascending."""
    low, high = dtype_range(dtype)
    return np.arange(low, high + 1, dtype=np.int64)


class SameShape(Operator):
    """Base of operators from one tensor to another of the same shape and dtype; it has no kind of its own."""

    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8,)

    def check(self, op: OpView) -> None:
        """Of 16-bit tensors the zero points are 0."""
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, *self.dtypes)
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype)
        self.expect_shape(op, op.input(0).shape)
        if is_float(op):
            return
        self.expect_per_tensor(op, 0)
        for tensor in (op.input(0), op.output()):
            if tensor.dtype is DType.INT16 and tensor.zero_point != 0:
                self.refuse(op, f"zero point {tensor.zero_point} of tensor {tensor.name}", "0 for int16")

    def expect_ratio(self, op: OpView, compute: Callable[[OpView], object], allowed: str) -> None:
        """`compute` raises no ValueError."""
        try:
            compute(op)
        except ValueError as error:
            self.refuse(op, str(error), allowed)

    def expect_output(self, op: OpView, scale: float, zero_point: int) -> None:
        """The output has exactly this quantization."""
        tensor = op.output()
        if tensor.scale != scale or tensor.zero_point != zero_point:
            self.refuse(
                op,
                f"output scale {tensor.scale:g}, zero point {tensor.zero_point}",
                f"scale 1/{1 / scale:g}, zero point {zero_point}",
            )

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """In place: nothing is read after the element at the same place has been written."""
        return {(0, 0): 0}


class Unary(SameShape):
    """Base of elementwise functions; it has no kind of its own."""

    def compute(self, op: OpView, values: Array) -> Array:
        """The results, of the output's range, for int64 values of the input."""
        raise NotImplementedError

    def compute_float(self, op: OpView, values: Array) -> Array:
        """The results for float32 values, where `dtypes` lists that dtype."""
        raise NotImplementedError

    def table(self, op: OpView) -> Array:
        """int8[256]: the output for each int8 input -128..127."""
        return self.compute(op, all_values(DType.INT8)).astype(np.int8)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if is_float(op):
            with np.errstate(all="ignore"):
                return [self.compute_float(op, values)]
        if op.input(0).dtype is DType.INT8:
            return [self.table(op)[values.astype(np.int16) + 128]]
        return [self.compute(op, values.astype(np.int64)).astype(op.output().dtype.numpy)]


class FloatFunction(Unary):
    """Base of elementwise functions of float32 alone; it has no kind of its own."""

    dtypes = (DType.FLOAT32,)
    #: Evaluated in double precision, and rounded to float32 once.
    function: ClassVar[np.ufunc]

    def compute_float(self, op: OpView, values: Array) -> Array:
        result: Array = self.function(values.astype(np.float64)).astype(np.float32)
        return result


def scale_ratio(op: OpView, factor: float = 1.0) -> float:
    """input scale * factor / output scale, in double as the pinned TFLite Micro computes it."""
    return op.input(0).scale * factor / op.output().scale
