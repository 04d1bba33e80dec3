"""STRIDED_SLICE with constant begin, end and strides, up to four dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement, constant_ints, expect_rank, ints

_MAX_RANK = 4


@dataclass(frozen=True, slots=True)
class StridedSliceAttrs:
    """Fields of TFLite's StridedSliceOptions; bit k of a mask is about axis k."""

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


def ranges(op: OpView) -> list[range]:
    """The input indices that the slice takes on each axis; a shrunk axis has one."""
    a = op.attrs
    begin, end, strides = (ints(op.input(i)) for i in (1, 2, 3))
    return [
        _range(
            n,
            None if a.begin_mask >> k & 1 else begin[k],
            None if a.end_mask >> k & 1 else end[k],
            strides[k],
            bool(a.shrink_axis_mask >> k & 1),
        )
        for k, n in enumerate(op.input(0).shape)
    ]


def _range(size: int, begin: int | None, end: int | None, stride: int, shrink: bool) -> range:
    taken = range(*slice(begin, end, stride).indices(size))
    if not shrink:
        return taken
    start = taken.start if begin is None else begin + (size if begin < 0 else 0)
    return range(start, start + 1)


class StridedSlice(Rearrangement):
    kind = "STRIDED_SLICE"
    attrs = StridedSliceAttrs
    options = "StridedSliceOptions"
    versions = range(1, 9)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 4)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        expect_rank(self, op, range(1, _MAX_RANK + 1))
        for name in ("ellipsis_mask", "new_axis_mask", "offset"):
            if getattr(op.attrs, name):
                self.refuse(op, f"{name} is set", "0")
        for i in (1, 2, 3):
            constant_ints(self, op, i, len(shape))
        for axis, stride in enumerate(ints(op.input(3))):
            shrink = op.attrs.shrink_axis_mask >> axis & 1
            if stride == 0 or (shrink and stride < 0):
                self.refuse(op, f"stride {stride} on axis {axis}", "1 or more on a shrunk axis, else not 0")
        taken = ranges(op)
        for axis, indices in enumerate(taken):
            if len(indices) and not (0 <= indices[0] < shape[axis] and 0 <= indices[-1] < shape[axis]):
                self.refuse(op, f"index {indices[0]} on axis {axis}", f"0 to {shape[axis] - 1}")
        kept = [k for k in range(len(shape)) if not op.attrs.shrink_axis_mask >> k & 1]
        self.expect_shape(op, [len(taken[k]) for k in kept])

    def offsets(self, op: OpView) -> list[Array]:
        strides = strides_of(op.input(0).shape)
        return [np.array(taken, dtype=np.int64) * s for taken, s in zip(ranges(op), strides, strict=True)]
