"""QUANTIZE: from one quantization of int8 or uint8 to another; a function of one byte, so a table of 256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization, dtype_range


def requantization(op: OpView) -> Requantization:
    """From input - input zero point to the output."""
    return Requantization.of([op.input(0).scale / op.output().scale], Activation.NONE, op.output())


def table(op: OpView) -> Array:
    """The output for each input, lowest input first: int8[256] or uint8[256]."""
    low, high = dtype_range(op.input(0).dtype)
    values = np.arange(low, high + 1, dtype=np.int64) - op.input(0).zero_point
    return requantization(op).apply(values, op.output().dtype)


class Quantize(Operator):
    kind = "QUANTIZE"
    versions = range(1, 2)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.UINT8)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8, DType.UINT8)
        self.expect_per_tensor(op, 0)
        self.expect_shape(op, op.input(0).shape)
        try:
            requantization(op)
        except ValueError as error:
            self.refuse(op, str(error), "input scale / output scale under 2**30")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [table(op)[values.astype(np.int16) - dtype_range(op.input(0).dtype)[0]]]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): 0}
