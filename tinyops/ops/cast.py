"""CAST: of the stored integers; a narrower dtype keeps the low bits, as TFLite's conversion does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.conversion import conversion_overlap


class Cast(Operator):
    kind = "CAST"
    versions = range(1, 7)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.INT16, DType.INT32, DType.BOOL)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8, DType.INT16, DType.INT32)
        self.expect_shape(op, op.input(0).shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.astype(op.output().dtype.numpy)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): conversion_overlap(op)}
