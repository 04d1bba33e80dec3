"""MAX_POOL_2D: int8, int16 or float32; padding never wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import activation_range, dtype_range
from tinyops.ops.float32 import activate, is_float
from tinyops.ops.pool import Pool, window


class MaxPool2D(Pool):
    kind = "MAX_POOL_2D"

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image = inputs[0]
        assert image is not None
        lowest = -np.inf if is_float(op) else dtype_range(op.output().dtype)[0]
        highest = np.full(op.output().shape, lowest, dtype=image.dtype)
        for _, _, tap in window(op).taps(image, lowest):
            np.maximum(highest, tap, out=highest)
        if is_float(op):
            return [activate(highest, op.attrs.fused_activation_function)]
        low, high = activation_range(op.attrs.fused_activation_function, op.output())
        return [np.clip(highest, low, high).astype(image.dtype)]
