"""UNPACK: the slices of the input along one axis, without that axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, part_views, resolved_axis
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class UnpackAttrs:
    """Fields of TFLite's UnpackOptions."""

    num: int
    axis: int = 0


def axis_of(op: OpView) -> int:
    return int(op.attrs.axis) % len(op.input(0).shape)


class Unpack(Operator):
    kind = "UNPACK"
    quantization = SHARED
    attrs = UnpackAttrs
    options = "UnpackOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        count = len(op.outputs)
        self.expect_arity(op, 1, outputs=max(count, 1))
        check_movement(self, op, 0)
        if op.attrs.num != count:
            self.refuse(op, f"num is {op.attrs.num}", f"{count}, as there are outputs")
        shape = op.input(0).shape
        axis = resolved_axis(self, op, op.attrs.axis, len(shape))
        if shape[axis] != count:
            self.refuse(op, f"{count} outputs", f"{shape[axis]}, the extent of axis {axis}")
        for o in range(count):
            self.expect_shape(op, (*shape[:axis], *shape[axis + 1 :]), o)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [np.take(values, o, axis=axis_of(op)) for o in range(len(op.outputs))]

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return part_views(op, 0, axis_of(op))
