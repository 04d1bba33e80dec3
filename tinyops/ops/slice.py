"""SLICE: a box of up to six dimensions with constant begin and size; a size of -1 means up to the end."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints, expect_rank, ints

_MAX_RANK = 6


class Slice(Rearrangement):
    kind = "SLICE"
    versions = range(1, 7)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 3)
        check_movement(self, op, 0)
        expect_rank(self, op, range(1, _MAX_RANK + 1))
        shape = op.input(0).shape
        begins, sizes = (constant_ints(self, op, i, len(shape)) for i in (1, 2))
        taken = []
        for axis, (n, begin, size) in enumerate(zip(shape, begins, sizes, strict=True)):
            taken.append(n - begin if size == -1 else size)
            if begin < 0 or taken[-1] < 1 or begin + taken[-1] > n:
                self.refuse(op, f"begin {begin} and size {size} on axis {axis}", f"a part of {n} elements")
        self.expect_shape(op, taken)

    def offsets(self, op: OpView) -> list[Array]:
        steps = strides_of(op.input(0).shape)
        return [
            np.arange(begin, begin + n, dtype=np.int64) * step
            for begin, n, step in zip(ints(op.input(1)), op.output().shape, steps, strict=True)
        ]
