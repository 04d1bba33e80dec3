"""SPLIT_V: parts of given sizes along one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints, ints, part_views
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class SplitVAttrs:
    """Fields of TFLite's SplitVOptions."""

    num_splits: int = 0


def axis_of(op: OpView) -> int:
    return ints(op.input(2))[0] % len(op.input(0).shape)


class SplitV(Operator):
    kind = "SPLIT_V"
    quantization = SHARED
    attrs = SplitVAttrs
    options = "SplitVOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        count = len(op.outputs)
        self.expect_arity(op, 3, outputs=max(count, 1))
        if op.attrs.num_splits != count:
            self.refuse(op, f"num_splits is {op.attrs.num_splits}", f"{count}, as there are outputs")
        check_movement(self, op, 0)
        shape = op.input(0).shape
        axis = constant_ints(self, op, 2, 1)[0]
        if not -len(shape) <= axis < len(shape):
            self.refuse(op, f"axis {axis}", f"{-len(shape)} to {len(shape) - 1}")
        axis = axis_of(op)
        sizes = constant_ints(self, op, 1, count)
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = shape[axis] - sum(sizes) - 1
        if min(sizes) < 1 or sum(sizes) != shape[axis]:
            self.refuse(op, f"sizes {ints(op.input(1))}", f"positive sizes with the sum {shape[axis]}")
        for i, size in enumerate(sizes):
            self.expect_shape(op, (*shape[:axis], size, *shape[axis + 1 :]), i)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        axis = axis_of(op)
        ends = np.cumsum([tensor.shape[axis] for tensor in op.outputs])[:-1]
        return [part.copy() for part in np.split(values, ends, axis=axis)]

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return part_views(op, 0, axis_of(op))
