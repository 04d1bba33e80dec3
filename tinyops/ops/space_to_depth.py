"""SPACE_TO_DEPTH: blocks of pixels become channels; [n, h, w, c] to [n, h / b, w / b, b * b * c]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import Rearrangement, check_movement, expect_rank


@dataclass(frozen=True, slots=True)
class BlockAttrs:
    """Fields of TFLite's SpaceToDepthOptions and DepthToSpaceOptions."""

    block_size: int


def check_block(rules: Operator, op: OpView) -> int:
    """One input of four dimensions; returns the block size, which is 1 or more."""
    rules.expect_arity(op, 1)
    check_movement(rules, op, 0)
    expect_rank(rules, op, range(4, 5))
    block = int(op.attrs.block_size)
    if block < 1:
        rules.refuse(op, f"block_size {block}", "1 or more")
    return block


class SpaceToDepth(Rearrangement):
    kind = "SPACE_TO_DEPTH"
    attrs = BlockAttrs
    options = "SpaceToDepthOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        block = check_block(self, op)
        n, h, w, c = op.input(0).shape
        if h % block or w % block:
            self.refuse(op, f"image of {h} x {w} pixels in blocks of {block}", f"multiples of {block}")
        self.expect_shape(op, (n, h // block, w // block, c * block * block))

    def offsets(self, op: OpView) -> list[Array]:
        n, h, w, c = op.input(0).shape
        block = op.attrs.block_size
        extents = (n, h // block, w // block, block, block, c)
        steps = (h * w * c, block * w * c, block * c, w * c, c, 1)
        return [np.arange(e, dtype=np.int64) * step for e, step in zip(extents, steps, strict=True)]
