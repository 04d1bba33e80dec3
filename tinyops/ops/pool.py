"""What AVERAGE_POOL_2D and MAX_POOL_2D have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Activation, Operator, Padding
from tinyops.ops.float32 import is_float
from tinyops.ops.quantization import SHARED
from tinyops.ops.window import Axis, Window, check_image, check_positive

#: TFLite Micro's bound of the difference between input and output scale.
_SCALE_TOLERANCE = 1e-6
#: Sums of that many int16 values, and half their count, stay below 2**31.
_MAX_TAPS = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Pool2DAttrs:
    """Fields of TFLite's Pool2DOptions."""

    padding: Padding
    stride_w: int
    stride_h: int
    filter_width: int
    filter_height: int
    fused_activation_function: Activation = Activation.NONE


def window(op: OpView) -> Window:
    a, image = op.attrs, op.input(0).shape
    return Window(
        batches=image[0],
        channels=image[3],
        rows=Axis.of(a.padding, image[1], a.filter_height, a.stride_h),
        columns=Axis.of(a.padding, image[2], a.filter_width, a.stride_w),
    )


class Pool(Operator):
    """Base of the pooling operators; it has no kind of its own."""

    attrs = Pool2DAttrs
    options = "Pool2DOptions"
    versions = range(1, 4)
    quantization = SHARED

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype)
        check_image(self, op)
        check_positive(self, op, "stride_w", "stride_h", "filter_width", "filter_height")
        if not is_float(op):
            self._check_quantization(op)
        w = window(op)
        self.expect_shape(op, (w.batches, w.rows.out, w.columns.out, w.channels))
        if min(w.rows.taps, w.rows.size) * min(w.columns.taps, w.columns.size) >= _MAX_TAPS:
            self.refuse(op, "a window is too large for int32 sums", f"under {_MAX_TAPS:,} elements")

    def _check_quantization(self, op: OpView) -> None:
        self.expect_per_tensor(op, 0)
        given, result = op.input(0), op.output()
        difference = float(abs(np.float32(given.scale) - np.float32(result.scale)))
        if difference > _SCALE_TOLERANCE or given.zero_point != result.zero_point:
            self.refuse(op, "input and output are quantized differently", "equal scales and zero points")

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        w = window(op)
        reads = w.lowest_reads().reshape(-1, 1) + np.arange(w.channels, dtype=np.int64)
        return {(0, 0): overlap_distance(reads, 1) * op.output().dtype.itemsize}
