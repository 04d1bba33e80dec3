"""DEQUANTIZE: from int8, uint8 or int16 to float32, bit-exact; of constants also from int4, float16 and per channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.conversion import conversion_overlap
from tinyops.ops.float32 import real_values


class Dequantize(Operator):
    kind = "DEQUANTIZE"
    versions = range(1, 7)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        given = op.input(0)
        constants = (DType.INT4, DType.FLOAT16) if given.is_constant else ()
        self.expect_dtype(op, "the input", given.dtype, DType.INT8, DType.UINT8, DType.INT16, *constants)
        self.expect_dtype(op, "the output", op.output().dtype, DType.FLOAT32)
        self.expect_shape(op, given.shape)
        if not given.is_constant or (given.quantization is None and given.dtype is not DType.FLOAT16):
            self.expect_scale(op, given)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [real_values(op.input(0), values)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): conversion_overlap(op)}
