"""RESIZE_NEAREST_NEIGHBOR: [n, h, w, c] to a constant size, at TFLite Micro's float32 positions."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement, check_movement
from tinyops.ops.resize import ResizeAttrs, check_resize


def nearest(size: int, out: int, align_corners: bool, half_pixel_centers: bool) -> Array:
    """The input index of each of `out` outputs, int64; float32 arithmetic as in reference/resize_nearest_neighbor.h."""
    if align_corners and out > 1:
        scale = np.float32(size - 1) / np.float32(out - 1)
    else:
        scale = np.float32(size) / np.float32(out)
    offset = np.float32(0.5 if half_pixel_centers else 0.0)
    position = (np.arange(out, dtype=np.float32) + offset) * scale
    if align_corners:  # std::round: positions are not negative, ties go up
        whole = np.floor(position)
        position = whole + (position - whole >= np.float32(0.5))
    indices: Array = np.minimum(np.floor(position).astype(np.int64), size - 1)
    return indices


class ResizeNearestNeighbor(Rearrangement):
    kind = "RESIZE_NEAREST_NEIGHBOR"
    attrs = ResizeAttrs
    options = "ResizeNearestNeighborOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        check_resize(self, op)

    def offsets(self, op: OpView) -> list[Array]:
        n, h, w, c = op.input(0).shape
        _, out_h, out_w, _ = op.output().shape
        a = op.attrs
        indices = (
            np.arange(n, dtype=np.int64),
            nearest(h, out_h, a.align_corners, a.half_pixel_centers),
            nearest(w, out_w, a.align_corners, a.half_pixel_centers),
            np.arange(c, dtype=np.int64),
        )
        return [taken * step for taken, step in zip(indices, strides_of((n, h, w, c)), strict=True)]
