"""AVERAGE_POOL_2D: int8, int16 or float32; padding does not count, integer means are rounded half away from zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import activation_range
from tinyops.ops.float32 import activate, is_float
from tinyops.ops.pool import Pool, window


class AveragePool2D(Pool):
    kind = "AVERAGE_POOL_2D"

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image = inputs[0]
        assert image is not None
        w = window(op)
        total = np.zeros(op.output().shape, dtype=np.float32 if is_float(op) else np.int64)
        for _, _, tap in w.taps(image, 0):
            total += tap
        count = w.rows.inside().sum(axis=1)[:, None, None] * w.columns.inside().sum(axis=1)[:, None]
        if is_float(op):
            return [activate(total / count.astype(np.float32), op.attrs.fused_activation_function)]
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        low, high = activation_range(op.attrs.fused_activation_function, op.output())
        return [np.clip(mean, low, high).astype(image.dtype)]
