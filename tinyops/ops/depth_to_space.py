"""DEPTH_TO_SPACE: channels become blocks of pixels; [n, h, w, b * b * c] to [n, h * b, w * b, c]."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement
from tinyops.ops.space_to_depth import BlockAttrs, check_block


class DepthToSpace(Rearrangement):
    kind = "DEPTH_TO_SPACE"
    attrs = BlockAttrs
    options = "DepthToSpaceOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        block = check_block(self, op)
        n, h, w, c = op.input(0).shape
        if c % (block * block):
            self.refuse(op, f"{c} channels in blocks of {block} x {block}", f"a multiple of {block * block}")
        self.expect_shape(op, (n, h * block, w * block, c // (block * block)))

    def offsets(self, op: OpView) -> list[Array]:
        n, h, w, c = op.input(0).shape
        block = op.attrs.block_size
        row = c // block
        extents = (n, h, block, w, row)
        steps = (h * w * c, w * c, row, c, 1)
        return [np.arange(e, dtype=np.int64) * step for e, step in zip(extents, steps, strict=True)]
