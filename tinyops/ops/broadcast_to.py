"""BROADCAST_TO: to a constant shape of up to six dimensions, by NumPy's rules."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints

_MAX_RANK = 6


class BroadcastTo(Rearrangement):
    kind = "BROADCAST_TO"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        target = constant_ints(self, op, 1)
        if not max(len(shape), 1) <= len(target) <= _MAX_RANK:
            self.refuse(op, f"to {len(target)} dimensions", f"{max(len(shape), 1)} to {_MAX_RANK}")
        if any(n not in (1, to) for n, to in zip(reversed(shape), reversed(target), strict=False)):
            self.refuse(op, f"from shape {list(shape)} to {target}", "axes of extent 1 or of the target's extent")
        self.expect_shape(op, target)

    def offsets(self, op: OpView) -> list[Array]:
        shape, target = op.input(0).shape, op.output().shape
        own = (1,) * (len(target) - len(shape)) + shape
        return [
            np.arange(to, dtype=np.int64) * (step if n > 1 else 0)
            for to, n, step in zip(target, own, strides_of(own), strict=True)
        ]
