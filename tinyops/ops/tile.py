"""TILE: up to four dimensions, repeated a constant number of times along each axis.

TFLite Micro has no such operator; the semantics are those of TensorFlow Lite (kernels/tile.cc), NumPy's tile.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints, expect_rank, ints

_MAX_RANK = 4


class Tile(Rearrangement):
    kind = "TILE"
    not_in_micro = (*DType,)
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        expect_rank(self, op, range(1, _MAX_RANK + 1))
        shape = op.input(0).shape
        multiples = constant_ints(self, op, 1, len(shape))
        if min(multiples) < 1:
            self.refuse(op, f"multiples {multiples}", "1 or more")
        self.expect_shape(op, [n * times for n, times in zip(shape, multiples, strict=True)])

    def offsets(self, op: OpView) -> list[Array]:
        shape = op.input(0).shape
        pairs = [
            (np.zeros(times, dtype=np.int64), np.arange(n, dtype=np.int64) * step)
            for n, times, step in zip(shape, ints(op.input(1)), strides_of(shape), strict=True)
        ]
        return [steps for pair in pairs for steps in pair]
