"""GATHER: slices along one axis, at constant or computed int32 indices.

A computed index out of range takes the nearest slice, where TFLite Micro reads out of bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, resolved_axis
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class GatherAttrs:
    """Fields of TFLite's GatherOptions."""

    axis: int = 0
    batch_dims: int = 0


@dataclass(frozen=True, slots=True)
class Lookup:
    """Input [batches, outer, size, inner] and indices [batches, count] to output [batches, outer, count, inner]."""

    batches: int
    outer: int
    size: int
    count: int
    inner: int

    def starts(self, indices: Array) -> Array:
        """The first input element of each slice, int64[batches, outer, count]."""
        rows = np.arange(self.batches * self.outer, dtype=np.int64).reshape(self.batches, self.outer, 1) * self.size
        nearest = np.clip(indices.astype(np.int64), 0, self.size - 1).reshape(self.batches, 1, self.count)
        starts: Array = (rows + nearest) * self.inner
        return starts

    def addresses(self, indices: Array) -> Array:
        """The input element that each output element copies, int64[elements]."""
        return (self.starts(indices)[..., None] + np.arange(self.inner, dtype=np.int64)).reshape(-1)


def check_indices(rules: Operator, op: OpView, i: int, size: int) -> None:
    """Input `i` has indices: int32, and below `size` where they are constant."""
    rules.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT32)
    data = op.input(i).data
    if data is not None and not ((data >= 0) & (data < size)).all():
        rules.refuse(op, f"indices {data.min()} to {data.max()}", f"0 to {size - 1}")


def lookup(op: OpView) -> Lookup:
    shape, indices = op.input(0).shape, op.input(1).shape
    axis, batch = op.attrs.axis % len(shape), op.attrs.batch_dims
    batch += len(indices) if batch < 0 else 0
    return Lookup(
        math.prod(shape[:batch]),
        math.prod(shape[batch:axis]),
        shape[axis],
        math.prod(indices[batch:]),
        math.prod(shape[axis + 1 :]),
    )


class Gather(Operator):
    kind = "GATHER"
    not_in_micro = (DType.INT32,)
    quantization = SHARED
    attrs = GatherAttrs
    options = "GatherOptions"
    versions = range(1, 6)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        shape, indices = op.input(0).shape, op.input(1).shape
        axis = resolved_axis(self, op, op.attrs.axis, len(shape))
        batch = op.attrs.batch_dims + (len(indices) if op.attrs.batch_dims < 0 else 0)
        if not 0 <= batch <= min(axis, len(indices)) or shape[:batch] != indices[:batch]:
            self.refuse(
                op,
                f"batch_dims {op.attrs.batch_dims} for shapes {list(shape)} and {list(indices)}, axis {axis}",
                "the number of leading axes, before the gathered one, that both share",
            )
        check_indices(self, op, 1, shape[axis])
        self.expect_shape(op, (*shape[:axis], *indices[batch:], *shape[axis + 1 :]))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, indices = inputs[0], inputs[1]
        assert values is not None
        assert indices is not None
        return [values.reshape(-1)[lookup(op).addresses(indices)].reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """Computed indices may all be 0."""
        indices = op.input(1).data
        lowest = np.zeros(op.input(1).shape, dtype=np.int32) if indices is None else indices
        itemsize = op.output().dtype.itemsize
        return {(0, 0): overlap_distance(lookup(op).addresses(lowest) * itemsize, itemsize)}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        indices = op.input(1).data
        if indices is None:
            return {}
        taken = lookup(op).addresses(indices)
        return {} if np.any(np.diff(taken) != 1) else {0: (0, int(taken[0]) * op.output().dtype.itemsize)}
