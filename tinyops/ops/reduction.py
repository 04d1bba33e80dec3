"""What MEAN, SUM, REDUCE_MAX and REDUCE_MIN have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Array, Operator
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import is_float

#: How many elements add up to less than 2**31, whatever the zero point that the sum starts from.
MAX_COUNT = {DType.INT8: (2**31 - 1) // 2**8, DType.INT16: (2**31 - 1) // 2**15}


@dataclass(frozen=True, slots=True)
class ReducerAttrs:
    """Fields of TFLite's ReducerOptions."""

    keep_dims: bool = False


def axes(op: OpView) -> tuple[int, ...]:
    """The reduced axes, ascending, each once."""
    data = op.input(1).data
    assert data is not None
    rank = len(op.input(0).shape)
    return tuple(sorted({int(axis) % rank for axis in data.reshape(-1)}))


def reduced_count(op: OpView) -> int:
    """How many inputs make one output."""
    return math.prod(op.input(0).shape[axis] for axis in axes(op))


class Reduction(Operator):
    """Base of the reductions; it has no kind of its own."""

    attrs = ReducerAttrs
    options = "ReducerOptions"
    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8,)

    def check(self, op: OpView) -> None:
        """Of 16-bit tensors the zero points are 0."""
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, *self.dtypes)
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype)
        self.expect_dtype(op, "the axes", op.input(1).dtype, DType.INT32)
        if not is_float(op) and op.input(0).dtype is not DType.BOOL:
            self._check_quantization(op)
        shape = op.input(0).shape
        given = self.constant(op, 1).reshape(-1)
        if given.size == 0 or any(not -len(shape) <= axis < len(shape) for axis in given):
            self.refuse(op, f"axes {given.tolist()}", f"one or more of {-len(shape)} to {len(shape) - 1}")
        reduced = axes(op)
        kept = [1 if k in reduced else n for k, n in enumerate(shape)]
        self.expect_shape(op, kept if op.attrs.keep_dims else [n for k, n in enumerate(shape) if k not in reduced])

    def _check_quantization(self, op: OpView) -> None:
        self.expect_per_tensor(op, 0)
        for tensor in (op.input(0), op.output()):
            if tensor.dtype is DType.INT16 and tensor.zero_point != 0:
                self.refuse(op, f"zero point {tensor.zero_point} of tensor {tensor.name}", "0 for int16")

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        shape, reduced, size = op.input(0).shape, axes(op), op.input(0).dtype.itemsize
        steps = [
            np.arange(1 if k in reduced else n, dtype=np.int64) * (stride * size)
            for k, (n, stride) in enumerate(zip(shape, strides_of(shape), strict=True))
        ]
        return {(0, 0): overlap_distance(lattice(steps), size)}


def _sums(values: Array, over: tuple[int, ...]) -> Array:
    """float32 sums, added one after the other in the input's order."""
    last = np.moveaxis(values, over, range(values.ndim - len(over), values.ndim))
    flat = last.reshape(*last.shape[: values.ndim - len(over)], -1)
    sums: Array = np.add.accumulate(flat, axis=-1, dtype=np.float32)[..., -1]
    return sums


class Summation(Reduction):
    """Base of MEAN and SUM; it has no kind of its own."""

    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.FLOAT32)

    def requantization(self, op: OpView) -> Requantization:
        """From the sum of input - input zero point to the output; ValueError where the scale ratio is too large."""
        raise NotImplementedError

    def finish_float(self, op: OpView, sums: Array) -> Array:
        """The float32 outputs for the sums of the elements that make one."""
        return sums

    def check(self, op: OpView) -> None:
        super().check(op)
        if is_float(op):
            return
        most = MAX_COUNT[op.input(0).dtype]
        if reduced_count(op) > most:
            self.refuse(op, f"a sum of {reduced_count(op):,} elements", f"up to {most:,}")
        try:
            self.requantization(op)
        except ValueError as error:
            self.refuse(op, str(error), "input scale / output scale under 2**30")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if is_float(op):
            return [self.finish_float(op, _sums(values, axes(op))).reshape(op.output().shape)]
        total = (values.astype(np.int64) - op.input(0).zero_point).sum(axis=axes(op))
        return [self.requantization(op).apply(total, op.output().dtype).reshape(op.output().shape)]
