"""REVERSE_V2: the elements in reverse order along constant axes."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints, ints, resolved_axis


class ReverseV2(Rearrangement):
    kind = "REVERSE_V2"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        for axis in constant_ints(self, op, 1):
            resolved_axis(self, op, axis, len(op.input(0).shape))
        self.expect_shape(op, op.input(0).shape)

    def offsets(self, op: OpView) -> list[Array]:
        shape = op.input(0).shape
        reversed_axes = {axis % len(shape) for axis in ints(op.input(1))}
        places = [np.arange(n, dtype=np.int64) for n in shape]
        return [
            (place[::-1] if axis in reversed_axes else place) * step
            for axis, (place, step) in enumerate(zip(places, strides_of(shape), strict=True))
        ]
