"""PADV2: constant paddings of a constant value, up to five dimensions."""

from __future__ import annotations

from tinyops.graph import OpView
from tinyops.ops.movement import EIGHT_BITS
from tinyops.ops.pad import MAX_RANK, Pad, check_paddings


class PadV2(Pad):
    kind = "PADV2"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 3)
        check_paddings(self, op, MAX_RANK)
        value = op.input(2)
        self.expect_dtype(op, "the value", value.dtype, op.output().dtype)
        if self.constant(op, 2).size != 1:
            self.refuse(op, f"value of shape {list(value.shape)}", "one element")
        if op.output().dtype in EIGHT_BITS:
            self.expect_per_tensor(op, 0, 2)
            result = op.output()
            if (value.scale, value.zero_point) != (result.scale, result.zero_point):
                self.refuse(
                    op,
                    f"the value has scale {value.scale:g}, zero point {value.zero_point}",
                    f"scale {result.scale:g}, zero point {result.zero_point}, as the output",
                )
