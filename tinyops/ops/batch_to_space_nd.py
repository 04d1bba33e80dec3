"""BATCH_TO_SPACE_ND: images become pixels of larger ones, one per place in a constant block, then cropped."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement
from tinyops.ops.space_to_batch_nd import blocks, borders, check_space, image, restored


class BatchToSpaceNd(Rearrangement):
    kind = "BATCH_TO_SPACE_ND"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        check_space(self, op)
        n, h, w, c = image(op.input(0).shape)
        (block_h, block_w), (rows, columns) = blocks(op), borders(op)
        if n % (block_h * block_w):
            self.refuse(op, f"batch of {n}", f"a multiple of the block {block_h} x {block_w}")
        h, w = h * block_h - sum(rows), w * block_w - sum(columns)
        if h < 1 or w < 1:
            self.refuse(op, f"crops {[*rows, *columns]}", "crops that leave a pixel")
        self.expect_shape(op, restored(op, n // (block_h * block_w), h, w, c))

    def offsets(self, op: OpView) -> list[Array]:
        _, h, w, c = image(op.input(0).shape)
        (block_h, block_w), ((top, _), (left, _)) = blocks(op), borders(op)
        batches, out_h, out_w, _ = image(op.output().shape)
        place = batches * h * w * c
        y = np.arange(top, top + out_h, dtype=np.int64)
        x = np.arange(left, left + out_w, dtype=np.int64)
        return [
            np.arange(batches, dtype=np.int64) * (h * w * c),
            y % block_h * (block_w * place) + y // block_h * (w * c),
            x % block_w * place + x // block_w * c,
            np.arange(c, dtype=np.int64),
        ]
