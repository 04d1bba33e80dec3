"""CAST: of the stored integers; a narrower dtype keeps the low bits, as TFLite's conversion does. From and to float32,
and from uint8 to it.

What C leaves undefined, and TFLite to the compiler: floats beyond int32 become its nearest value, NaN 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.conversion import conversion_overlap

_INTEGERS = (DType.INT8, DType.INT16, DType.INT32)


def _truncated(values: Array) -> Array:
    """int32: without the fraction."""
    numbers = np.where(np.isnan(values), 0, values.astype(np.float64))
    whole: Array = np.clip(np.trunc(numbers), -(2**31), 2**31 - 1).astype(np.int32)
    return whole


class Cast(Operator):
    kind = "CAST"
    versions = range(1, 7)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        given = op.input(0).dtype
        self.expect_dtype(op, "the input", given, *_INTEGERS, DType.UINT8, DType.FLOAT32, DType.BOOL)
        wide = (DType.FLOAT32,) if given is DType.UINT8 else (*_INTEGERS, DType.FLOAT32)
        self.expect_dtype(op, "the output", op.output().dtype, *wide)
        self.expect_shape(op, op.input(0).shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if values.dtype == np.float32 and op.output().dtype is not DType.FLOAT32:
            values = _truncated(values)
        return [values.astype(op.output().dtype.numpy)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): conversion_overlap(op)}
