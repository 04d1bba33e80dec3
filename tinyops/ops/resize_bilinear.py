"""RESIZE_BILINEAR: int8 [n, h, w, c] to a constant size, by the integers of TFLite Micro.

Source: ResizeBilinearInteger in reference/resize_bilinear.h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.resize import ResizeAttrs, check_resize

_ONE = 1 << 10


@dataclass(frozen=True, slots=True)
class Axis:
    """Output k lies at (k * scale + offset) / 1024 input pixels."""

    size: int
    out: int
    scale: int
    offset: int

    @classmethod
    def of(cls, size: int, out: int, attrs: ResizeAttrs) -> Axis:
        """The scale is rounded to 1024ths."""
        reach, steps = (size - 1, out - 1) if attrs.align_corners and out > 1 else (size, out)
        scale = (_ONE * reach + steps // 2) // steps
        return cls(size, out, scale, scale // 2 - _ONE // 2 if attrs.half_pixel_centers else 0)

    def taps(self) -> tuple[Array, Array, Array]:
        """(lower input index, upper input index, weight of the upper in 1024ths), int64[out] each."""
        place = np.arange(self.out, dtype=np.int64) * self.scale + self.offset
        lower = np.maximum(place // _ONE, 0)
        upper = np.minimum((place + _ONE - 1) // _ONE, self.size - 1)
        return lower, upper, place - _ONE * lower


def axes(op: OpView) -> tuple[Axis, Axis]:
    """(rows, columns)."""
    (_, h, w, _), (_, out_h, out_w, _) = op.input(0).shape, op.output().shape
    return Axis.of(h, out_h, op.attrs), Axis.of(w, out_w, op.attrs)


class ResizeBilinear(Operator):
    kind = "RESIZE_BILINEAR"
    attrs = ResizeAttrs
    options = "ResizeBilinearOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
        check_resize(self, op)
        if op.attrs.align_corners and op.attrs.half_pixel_centers:
            self.refuse(op, "align_corners and half_pixel_centers", "one of them")
        for axis in axes(op):
            if axis.taps()[0][-1] >= axis.size:
                self.refuse(
                    op,
                    f"from {axis.size} to {axis.out} pixels reads beyond the image: the scale rounds up to "
                    f"{axis.scale}/{_ONE}",
                    "another size",
                )

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        (top, bottom, y), (left, right, x) = (axis.taps() for axis in axes(op))
        y, x = y[:, None, None], x[:, None]
        wide = values.astype(np.int64)
        upper, lower = wide[:, top], wide[:, bottom]
        sides = [(upper[:, :, k] * (_ONE - y) + lower[:, :, k] * y) for k in (left, right)]
        total = sides[0] * (_ONE - x) + sides[1] * x
        half = _ONE * _ONE // 2
        magnitude = (np.abs(total) + half) // (_ONE * _ONE)  # ties away from zero
        return [(np.sign(total) * magnitude).astype(np.int8)]

    def macs(self, op: OpView) -> int:
        return 6 * op.output().elements

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        n, h, w, c = op.input(0).shape
        rows, columns = axes(op)
        steps = [
            np.arange(n, dtype=np.int64) * (h * w * c),
            rows.taps()[0] * (w * c),
            columns.taps()[0] * c,
            np.arange(c, dtype=np.int64),
        ]
        return {(0, 0): overlap_distance(lattice(steps), 1)}
