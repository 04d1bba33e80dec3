"""MAX_POOL_2D: int8; padding never wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import activation_range
from tinyops.ops.pool import Pool, window


class MaxPool2D(Pool):
    kind = "MAX_POOL_2D"

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image = inputs[0]
        assert image is not None
        highest = np.full(op.output().shape, -128, dtype=np.int8)
        for _, _, tap in window(op).taps(image, -128):
            np.maximum(highest, tap, out=highest)
        low, high = activation_range(op.attrs.fused_activation_function, op.output())
        return [np.clip(highest, low, high).astype(np.int8)]
