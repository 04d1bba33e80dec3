"""SPACE_TO_BATCH_ND: pixels of an image padded with the real value 0 become images, one per place in a constant block.

TFLite Micro leaves the padding's value unset; here it is the zero point, as in TensorFlow Lite
(kernels/space_to_batch_nd.cc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import lattice, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import EIGHT_BITS, check_movement, constant_ints, expect_rank, ints
from tinyops.ops.pad import zero
from tinyops.ops.quantization import SHARED


def image(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Shape [n, h, w, c]; three dimensions are [n, h, c] with w = 1."""
    n, h, *w, c = shape
    return n, h, w[0] if w else 1, c


def blocks(op: OpView) -> tuple[int, int]:
    """(height, width) of a block."""
    size = ints(op.input(1))
    return size[0], size[1] if len(size) > 1 else 1


def borders(op: OpView) -> tuple[tuple[int, int], tuple[int, int]]:
    """Paddings or crops: (top, bottom), (left, right)."""
    flat = ints(op.input(2))
    return (flat[0], flat[1]), (flat[2], flat[3]) if len(flat) > 2 else (0, 0)


def check_space(rules: Operator, op: OpView) -> None:
    """Image, block and borders are sound by themselves."""
    rules.expect_arity(op, 3)
    check_movement(rules, op, 0)
    expect_rank(rules, op, range(3, 5))
    spatial = len(op.input(0).shape) - 2
    if min(constant_ints(rules, op, 1, spatial)) < 1:
        rules.refuse(op, f"block {ints(op.input(1))}", "1 or more")
    if min(constant_ints(rules, op, 2, 2 * spatial)) < 0:
        rules.refuse(op, f"paddings or crops {ints(op.input(2))}", "0 or more")


def restored(op: OpView, n: int, h: int, w: int, c: int) -> tuple[int, ...]:
    """[n, h, w, c] with as many dimensions as the input has."""
    return (n, h, w, c) if len(op.input(0).shape) == 4 else (n, h, c)


class SpaceToBatchNd(Operator):
    kind = "SPACE_TO_BATCH_ND"
    quantization = SHARED
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        check_space(self, op)
        if op.output().dtype in EIGHT_BITS:
            self.expect_per_tensor(op, 0)
        n, h, w, c = image(op.input(0).shape)
        (block_h, block_w), (rows, columns) = blocks(op), borders(op)
        h, w = h + sum(rows), w + sum(columns)
        if h % block_h or w % block_w:
            self.refuse(op, f"padded image of {h} x {w} pixels", f"multiples of the block {block_h} x {block_w}")
        self.expect_shape(op, restored(op, n * block_h * block_w, h // block_h, w // block_w, c))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        n, _, _, c = image(values.shape)
        (block_h, block_w), (_, out_h, out_w, _) = blocks(op), image(op.output().shape)
        padded = np.pad(values.reshape(image(values.shape)), ((0, 0), *borders(op), (0, 0)), constant_values=zero(op))
        parts = padded.reshape(n, out_h, block_h, out_w, block_w, c)
        return [parts.transpose(2, 4, 0, 1, 3, 5).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        if any(map(any, borders(op))):  # the padding is written first
            return {}
        itemsize = op.output().dtype.itemsize
        return {(0, 0): overlap_distance(lattice(pixels(op)) * itemsize, itemsize)}


def pixels(op: OpView) -> list[Array]:
    """Without paddings, as Rearrangement.offsets: per block row, block column, image, row, column and channel."""
    n, h, w, c = image(op.input(0).shape)
    (block_h, block_w), (_, out_h, out_w, _) = blocks(op), image(op.output().shape)
    extents = (block_h, block_w, n, out_h, out_w, c)
    steps = (w * c, c, h * w * c, block_h * w * c, block_w * c, 1)
    return [np.arange(e, dtype=np.int64) * step for e, step in zip(extents, steps, strict=True)]
