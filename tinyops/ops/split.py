"""SPLIT: parts of equal size along one constant axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints, ints, part_views, resolved_axis
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class SplitAttrs:
    """Fields of TFLite's SplitOptions."""

    num_splits: int


def axis_of(op: OpView) -> int:
    return ints(op.input(0))[0] % len(op.input(1).shape)


class Split(Operator):
    kind = "SPLIT"
    quantization = SHARED
    attrs = SplitAttrs
    options = "SplitOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        count = len(op.outputs)
        self.expect_arity(op, 2, outputs=max(count, 1))
        check_movement(self, op, 1, name="the value")
        if op.attrs.num_splits != count:
            self.refuse(op, f"num_splits is {op.attrs.num_splits}", f"{count}, as there are outputs")
        shape = op.input(1).shape
        axis = resolved_axis(self, op, constant_ints(self, op, 0, 1)[0], len(shape))
        if shape[axis] % count:
            self.refuse(op, f"{count} parts of axis {axis}", f"a divisor of its extent {shape[axis]}")
        for o in range(count):
            self.expect_shape(op, (*shape[:axis], shape[axis] // count, *shape[axis + 1 :]), o)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[1]
        assert values is not None
        return [part.copy() for part in np.split(values, len(op.outputs), axis=axis_of(op))]

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return part_views(op, 1, axis_of(op))
