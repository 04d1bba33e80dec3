"""SQUEEZE: the same bytes without axes of extent 1: those listed, or all of them."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.graph import OpView
from tinyops.ops.movement import SameBytes, check_movement, resolved_axis


@dataclass(frozen=True, slots=True)
class SqueezeAttrs:
    """Fields of TFLite's SqueezeOptions."""

    squeeze_dims: tuple[int, ...] = ()


class Squeeze(SameBytes):
    kind = "SQUEEZE"
    attrs = SqueezeAttrs
    options = "SqueezeOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        dropped = {resolved_axis(self, op, axis, len(shape)) for axis in op.attrs.squeeze_dims}
        for axis in dropped:
            if shape[axis] != 1:
                self.refuse(op, f"axis {axis} of extent {shape[axis]}", "axes of extent 1")
        if not dropped:
            dropped = {axis for axis, n in enumerate(shape) if n == 1}
        self.expect_shape(op, [n for axis, n in enumerate(shape) if axis not in dropped])
