"""SHAPE: the extents of the input, a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator


class Shape(Operator):
    kind = "SHAPE"
    reads_shapes_only = True

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT32)
        self.expect_shape(op, (len(op.input(0).shape),))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.array(op.input(0).shape, dtype=np.int32)]
