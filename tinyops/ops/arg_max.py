"""ARG_MAX: int8 and float32 to int32 along a constant axis; the first of equal values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Array, Operator
from tinyops.ops.broadcast import aligned


def axis_of(op: OpView) -> int:
    data = op.input(1).data
    assert data is not None
    return int(data.reshape(-1)[0]) % len(op.input(0).shape)


class ArgMax(Operator):
    kind = "ARG_MAX"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.FLOAT32)
        self.expect_dtype(op, "the axis", op.input(1).dtype, DType.INT32)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT32)
        shape = op.input(0).shape
        given = self.constant(op, 1).reshape(-1)
        if given.size != 1 or not -len(shape) <= given[0] < len(shape):
            self.refuse(op, f"axis {given.tolist()}", f"one of {-len(shape)} to {len(shape) - 1}")
        axis = axis_of(op)
        self.expect_shape(op, shape[:axis] + shape[axis + 1 :])

    #: Whether one float32 value comes before another.
    better: ClassVar[np.ufunc] = np.greater

    def _position_float(self, values: Array, axis: int) -> Array:
        """As TFLite: NaN is found in the first place alone, where it stays."""
        rows = np.moveaxis(values, axis, 0)
        found, position = rows[0].copy(), np.zeros(rows.shape[1:], np.int32)
        for k, row in enumerate(rows):
            won = self.better(row, found)
            found, position = np.where(won, row, found), np.where(won, np.int32(k), position)
        return position

    def position(self, values: Array, axis: int) -> Array:
        result: Array = values.argmax(axis=axis)
        return result

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if values.dtype == np.float32:
            return [self._position_float(values, axis_of(op)).reshape(op.output().shape)]
        return [self.position(values, axis_of(op)).astype(np.int32).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        shape, axis, size = op.input(0).shape, axis_of(op), op.input(0).dtype.itemsize
        steps = [
            np.arange(1 if k == axis else n, dtype=np.int64) * (stride * size)
            for k, (n, stride) in enumerate(zip(shape, strides_of(shape), strict=True))
        ]
        return {(0, 0): aligned(overlap_distance(lattice(steps), 4), DType.INT32)}
