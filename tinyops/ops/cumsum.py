"""CUMSUM: float32 sums along a constant axis, of the elements up to each one, or from it to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import NEVER, overlap_distance
from tinyops.ops.arg_max import axis_of
from tinyops.ops.base import Array, Operator


@dataclass(frozen=True, slots=True)
class CumsumAttrs:
    """Fields of TFLite's CumsumOptions."""

    exclusive: bool = False
    reverse: bool = False


class Cumsum(Operator):
    kind = "CUMSUM"
    attrs = CumsumAttrs
    options = "CumsumOptions"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.FLOAT32)
        self.expect_dtype(op, "the axis", op.input(1).dtype, DType.INT32)
        self.expect_dtype(op, "the output", op.output().dtype, DType.FLOAT32)
        shape, given = op.input(0).shape, self.constant(op, 1).reshape(-1)
        if given.size != 1 or not -len(shape) <= given[0] < len(shape):
            self.refuse(op, f"axis {given.tolist()}", f"one of {-len(shape)} to {len(shape) - 1}")
        self.expect_shape(op, shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, axis = inputs[0], axis_of(op)
        assert values is not None
        rows = np.moveaxis(values, axis, 0)
        rows = rows[::-1] if op.attrs.reverse else rows
        if op.attrs.exclusive:
            rows = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
        sums = np.add.accumulate(rows, axis=0, dtype=np.float32)
        sums = sums[::-1] if op.attrs.reverse else sums
        return [np.ascontiguousarray(np.moveaxis(sums, 0, axis))]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """None where the kernel runs from the end; an exclusive sum reads the place before."""
        if op.attrs.reverse:
            return {}
        if not op.attrs.exclusive:
            return {(0, 0): 0}
        shape, axis = op.input(0).shape, axis_of(op)
        places = np.arange(op.input(0).elements, dtype=np.int64).reshape(shape)
        before = np.roll(places, 1, axis=axis)
        np.moveaxis(before, axis, 0)[0] = NEVER
        size = op.output().dtype.itemsize
        reads = np.where(before == NEVER, NEVER, before * size)
        return {(0, 0): overlap_distance(reads, size)}
