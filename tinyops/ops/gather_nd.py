"""GATHER_ND: slices at constant or computed int32 coordinates of the leading axes, up to five of them.

A computed coordinate out of range takes the nearest one, where TFLite Micro stops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement
from tinyops.ops.quantization import SHARED

MAX_DEPTH = 5


def addresses(op: OpView, indices: Array) -> Array:
    """The input element that each output element copies, int64[elements]."""
    shape, depth = op.input(0).shape, indices.shape[-1]
    nearest = np.clip(indices.astype(np.int64), 0, np.array(shape[:depth]) - 1).reshape(-1, depth)
    run = math.prod(shape[depth:])
    starts: Array = np.asarray(np.ravel_multi_index(tuple(nearest.T), shape[:depth]), dtype=np.int64) * run
    result: Array = (starts[:, None] + np.arange(run, dtype=np.int64)).reshape(-1)
    return result


class GatherNd(Operator):
    kind = "GATHER_ND"
    quantization = SHARED
    versions = range(1, 6)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        self.expect_dtype(op, "input 1", op.input(1).dtype, DType.INT32)
        shape, indices = op.input(0).shape, op.input(1).shape
        most = min(len(shape), MAX_DEPTH)
        if not indices or not 1 <= indices[-1] <= most:
            self.refuse(op, f"coordinates of shape {list(indices)}", f"a last dimension of 1 to {most}")
        data = op.input(1).data
        if data is not None and not ((data >= 0) & (data < np.array(shape[: indices[-1]]))).all():
            self.refuse(op, "coordinates out of range", f"from 0 to below {list(shape[: indices[-1]])}")
        self.expect_shape(op, (*indices[:-1], *shape[indices[-1] :]))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, indices = inputs[0], inputs[1]
        assert values is not None
        assert indices is not None
        return [values.reshape(-1)[addresses(op, indices)].reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """Computed coordinates may all be 0."""
        indices = op.input(1).data
        lowest = np.zeros(op.input(1).shape, dtype=np.int32) if indices is None else indices
        itemsize = op.output().dtype.itemsize
        return {(0, 0): overlap_distance(addresses(op, lowest) * itemsize, itemsize)}
