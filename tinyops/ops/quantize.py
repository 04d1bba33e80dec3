"""QUANTIZE: from one integer quantization to another, of one byte to one byte by a table of 256; or from float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.conversion import conversion_overlap
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import quantized
from tinyops.ops.unary import all_values

#: The pairs of dtypes that TFLite Micro has, input -> outputs; and uint8 to uint8.
PAIRS = {
    DType.INT8: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
    DType.UINT8: (DType.INT8, DType.UINT8),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT32: (DType.INT8, DType.INT16),
    DType.FLOAT32: (DType.INT8, DType.UINT8, DType.INT16),
}


def requantization(op: OpView) -> Requantization:
    """From input - input zero point to the output."""
    return Requantization.of([op.input(0).scale / op.output().scale], Activation.NONE, op.output())


def table(op: OpView) -> Array:
    """The output for each 8-bit input, lowest input first: int8[256] or uint8[256]."""
    values = all_values(op.input(0).dtype) - op.input(0).zero_point
    return requantization(op).apply(values, op.output().dtype)


class Quantize(Operator):
    kind = "QUANTIZE"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, *PAIRS)
        self.expect_dtype(op, "the output", op.output().dtype, *PAIRS[op.input(0).dtype])
        self.expect_shape(op, op.input(0).shape)
        if op.input(0).dtype is DType.FLOAT32:
            self.expect_scale(op, op.output())
            return
        self.expect_per_tensor(op, 0)
        try:
            requantization(op)
        except ValueError as error:
            self.refuse(op, str(error), "input scale / output scale under 2**30")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if values.dtype == np.float32:
            return [quantized(values, op.output())]
        difference = values.astype(np.int64) - op.input(0).zero_point
        return [requantization(op).apply(difference, op.output().dtype)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): conversion_overlap(op)}
