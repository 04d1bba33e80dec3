"""What resizing operators have in common: [n, h, w, c] to a constant [n, h', w', c]."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.graph import OpView
from tinyops.ops.base import Operator
from tinyops.ops.movement import constant_ints, expect_rank

#: Positions in 1024ths of a pixel fit in int32.
MAX_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class ResizeAttrs:
    """Fields of TFLite's ResizeBilinearOptions and ResizeNearestNeighborOptions."""

    align_corners: bool = False
    half_pixel_centers: bool = False


def check_resize(rules: Operator, op: OpView) -> None:
    """The shapes of the image and of the constant size."""
    expect_rank(rules, op, range(4, 5))
    n, h, w, c = op.input(0).shape
    size = constant_ints(rules, op, 1, 2)
    if min(size) < 1 or max(*size, h, w) > MAX_SIZE:
        rules.refuse(op, f"from {h} x {w} to {size[0]} x {size[1]} pixels", f"1 to {MAX_SIZE:,} rows and columns")
    rules.expect_shape(op, (n, *size, c))
