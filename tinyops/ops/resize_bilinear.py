"""RESIZE_BILINEAR: int8 [n, h, w, c] to a constant size, by the integers of TFLite Micro, and float32.

Source: ResizeBilinearInteger and ResizeBilinear in reference/resize_bilinear.h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.float32 import is_float
from tinyops.ops.quantization import SHARED
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


@dataclass(frozen=True, slots=True)
class FloatAxis:
    """Output k lies at k * scale input pixels, or with `centers` at (k + 0.5) * scale - 0.5, in float32."""

    size: int
    out: int
    scale: float
    centers: bool

    @classmethod
    def of(cls, size: int, out: int, attrs: ResizeAttrs) -> FloatAxis:
        reach, steps = (size - 1, out - 1) if attrs.align_corners and out > 1 else (size, out)
        return cls(size, out, float(np.float32(reach) / np.float32(steps)), attrs.half_pixel_centers)

    def taps(self) -> tuple[Array, Array, Array]:
        """(lower input index, upper input index: int64[out] each, weight of the upper: float32[out])."""
        half, scale = np.float32(0.5 if self.centers else 0), np.float32(self.scale)
        place = (np.arange(self.out, dtype=np.float32) + half) * scale - half
        lower = np.clip(np.floor(place), 0, self.size - 1).astype(np.int64)
        upper = np.clip(np.ceil(place), 0, self.size - 1).astype(np.int64)
        return lower, upper, place - lower.astype(np.float32)


def float_axes(op: OpView) -> tuple[FloatAxis, FloatAxis]:
    """(rows, columns)."""
    (_, h, w, _), (_, out_h, out_w, _) = op.input(0).shape, op.output().shape
    return FloatAxis.of(h, out_h, op.attrs), FloatAxis.of(w, out_w, op.attrs)


def _interpolate(values: Array, rows: FloatAxis, columns: FloatAxis) -> Array:
    (top, bottom, y), (left, right, x) = rows.taps(), columns.taps()
    y, x = y[:, None, None], x[:, None]
    upper, lower = values[:, top], values[:, bottom]
    sides = [upper[:, :, k] * (1 - y) + lower[:, :, k] * y for k in (left, right)]
    result: Array = sides[0] * (1 - x) + sides[1] * x
    return result


class ResizeBilinear(Operator):
    kind = "RESIZE_BILINEAR"
    quantization = SHARED
    attrs = ResizeAttrs
    options = "ResizeBilinearOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.FLOAT32)
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype)
        check_resize(self, op)
        if op.attrs.align_corners and op.attrs.half_pixel_centers:
            self.refuse(op, "align_corners and half_pixel_centers", "one of them")
        for axis in () if is_float(op) else axes(op):
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
        if is_float(op):
            return [_interpolate(values, *float_axes(op))]
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
        if is_float(op):
            # A compiler that fuses the position's product and sum can place it one pixel lower.
            rows, columns = (np.maximum(axis.taps()[0] - 1, 0) for axis in float_axes(op))
        else:
            rows, columns = (axis.taps()[0] for axis in axes(op))
        steps = [
            np.arange(n, dtype=np.int64) * (h * w * c),
            rows * (w * c),
            columns * c,
            np.arange(c, dtype=np.int64),
        ]
        return {(0, 0): overlap_distance(lattice(steps), 1) * op.output().dtype.itemsize}
