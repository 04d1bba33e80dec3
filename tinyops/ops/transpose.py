"""TRANSPOSE: up to six dimensions, by a constant permutation."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints, expect_rank, ints

_MAX_RANK = 6


class Transpose(Rearrangement):
    kind = "TRANSPOSE"
    versions = range(1, 7)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        expect_rank(self, op, range(1, _MAX_RANK + 1))
        shape = op.input(0).shape
        permutation = constant_ints(self, op, 1, len(shape))
        if sorted(permutation) != list(range(len(shape))):
            self.refuse(op, f"permutation {permutation}", f"each of 0 to {len(shape) - 1} once")
        self.expect_shape(op, [shape[axis] for axis in permutation])

    def offsets(self, op: OpView) -> list[Array]:
        shape = op.input(0).shape
        steps = strides_of(shape)
        return [np.arange(shape[axis], dtype=np.int64) * steps[axis] for axis in ints(op.input(1))]
