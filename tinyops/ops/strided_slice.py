"""STRIDED_SLICE with constant begin, end and strides, up to four dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints, ints

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


def addresses(op: OpView) -> Array:
    """The input element that each output element copies, in the output's order."""
    strides = strides_of(op.input(0).shape)
    return lattice([np.array(taken) * s for taken, s in zip(ranges(op), strides, strict=True)]).reshape(-1)


class StridedSlice(Operator):
    kind = "STRIDED_SLICE"
    attrs = StridedSliceAttrs
    options = "StridedSliceOptions"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 4)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        if not 1 <= len(shape) <= _MAX_RANK:
            self.refuse(op, f"input of {len(shape)} dimensions", f"1 to {_MAX_RANK}")
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

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.reshape(-1)[addresses(op)].reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        itemsize = op.output().dtype.itemsize
        return {(0, 0): overlap_distance(addresses(op) * itemsize, itemsize)}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        taken = addresses(op)
        if np.any(np.diff(taken) != 1):
            return {}
        return {0: (0, int(taken[0]) * op.output().dtype.itemsize)}
