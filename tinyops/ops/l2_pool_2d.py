"""L2_POOL_2D: root of the mean square of each window and channel, float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.float32 import activate
from tinyops.ops.pool import Pool, window


class L2Pool2D(Pool):
    kind = "L2_POOL_2D"
    versions = range(1, 2)

    def check(self, op: OpView) -> None:
        if op.optional(0) is not None:
            self.expect_dtype(op, "the input", op.input(0).dtype, DType.FLOAT32)
        super().check(op)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image = inputs[0]
        assert image is not None
        w = window(op)
        total = np.zeros(op.output().shape, np.float32)
        for _, _, tap in w.taps(image * image, 0):
            total += tap
        count = w.rows.inside().sum(axis=1)[:, None, None] * w.columns.inside().sum(axis=1)[:, None]
        return [activate(np.sqrt(total / count.astype(np.float32)), op.attrs.fused_activation_function)]
