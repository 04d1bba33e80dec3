"""ZEROS_LIKE: stored zeros in the shape of the input, a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement


class ZerosLike(Operator):
    kind = "ZEROS_LIKE"
    reads_shapes_only = True

    def check(self, op: OpView) -> None:
        """Of quantized tensors TFLite stores 0 too, whatever the zero point."""
        self.expect_arity(op, 1)
        check_movement(self, op, 0)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.INT32, DType.FLOAT32)
        self.expect_shape(op, op.input(0).shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.zeros(op.output().shape, dtype=op.output().dtype.numpy)]
