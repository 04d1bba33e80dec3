"""Sliding windows over NHWC images, shared by convolutions and pooling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import NEVER
from tinyops.ops.base import Array, Operator, Padding

#: Bounds of window attributes: larger values are errors of the file, not of a model.
MAX_WINDOW = 2**15


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis: `taps` window positions `dilation` apart, moved by `stride`; `before` padding."""

    size: int
    taps: int
    stride: int
    dilation: int
    out: int
    before: int

    @classmethod
    def of(cls, padding: Padding, size: int, taps: int, stride: int, dilation: int = 1) -> Axis:
        """TFLite's padding rule: SAME pads the odd element at the end; out is 0 where the window does not fit."""
        extent = (taps - 1) * dilation + 1
        span = size if padding is Padding.SAME else size - extent + 1
        out = max(0, -(-span // stride))
        before = max(0, (out - 1) * stride + extent - size) // 2
        return cls(size, taps, stride, dilation, out, before)

    @property
    def after(self) -> int:
        """Elements past the end that the last window covers."""
        extent = (self.taps - 1) * self.dilation + 1
        return max(0, (self.out - 1) * self.stride + extent - self.before - self.size)

    def positions(self) -> Array:
        """int64[out, taps]: input positions, out of range in the padding."""
        start = np.arange(self.out, dtype=np.int64) * self.stride - self.before
        return start[:, None] + np.arange(self.taps, dtype=np.int64) * self.dilation

    def inside(self) -> Array:
        """bool[out, taps]: where `positions` is not padding."""
        positions = self.positions()
        return (positions >= 0) & (positions < self.size)

    def first(self) -> Array:
        """int64[out]: the lowest position of each window that is not padding; NEVER where all is."""
        lowest: Array = np.where(self.inside(), self.positions(), NEVER).min(axis=1)
        return lowest


@dataclass(frozen=True, slots=True)
class Window:
    """The windows of one operator over an input of shape [batches, rows.size, columns.size, channels]."""

    batches: int
    channels: int
    rows: Axis
    columns: Axis

    def lowest_reads(self) -> Array:
        """int64[batches, rows.out, columns.out]: offset of channel 0 of the first element read, or NEVER."""
        row, column = self.rows.first(), self.columns.first()
        empty = (row == NEVER)[:, None] | (column == NEVER)
        pixel = np.where(row == NEVER, 0, row)[:, None] * self.columns.size + np.where(column == NEVER, 0, column)
        image = self.rows.size * self.columns.size
        starts = (np.arange(self.batches, dtype=np.int64) * image)[:, None, None] + pixel
        return np.where(empty, NEVER, starts * self.channels)

    def lowest_channel_reads(self, channels: Array) -> Array:
        """int64[pixels, len(channels)]: as `lowest_reads` where output k reads from input channel channels[k] on."""
        pixels = self.lowest_reads().reshape(-1, 1)
        return np.where(pixels == NEVER, NEVER, np.where(pixels == NEVER, 0, pixels) + channels)

    def taps(self, image: Array, fill: float) -> Iterator[tuple[int, int, Array]]:
        """(tap row, tap column, [batches, rows.out, columns.out, channels]) of `image`, with `fill` as padding."""
        rows, columns = self.rows, self.columns
        padded = np.pad(
            image,
            ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0)),
            constant_values=fill,
        )
        for i in range(rows.taps):
            for j in range(columns.taps):
                top, left = i * rows.dilation, j * columns.dilation
                yield (
                    i,
                    j,
                    padded[
                        :,
                        top : top + (rows.out - 1) * rows.stride + 1 : rows.stride,
                        left : left + (columns.out - 1) * columns.stride + 1 : columns.stride,
                    ],
                )


def check_image(rules: Operator, op: OpView, i: int = 0) -> None:
    """Input `i` must be a four-dimensional image."""
    if len(op.input(i).shape) != 4:
        rules.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", "[batches, rows, columns, channels]")


def check_positive(rules: Operator, op: OpView, *names: str) -> None:
    """The attributes `names` are within 1..MAX_WINDOW."""
    for name in names:
        value = getattr(op.attrs, name)
        if not 1 <= value <= MAX_WINDOW:
            rules.refuse(op, f"{name} is {value}", f"1 to {MAX_WINDOW}")
