"""SQRT: int8, rounded towards zero as TFLite has it, of negative inputs, which TFLite stops at, as of 0; float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.unary import Unary


class Sqrt(Unary):
    kind = "SQRT"
    not_in_micro = (DType.INT8,)
    versions = range(1, 3)
    dtypes = (DType.INT8, DType.FLOAT32)

    def compute_float(self, op: OpView, values: Array) -> Array:
        return np.sqrt(values)

    def compute(self, op: OpView, values: Array) -> Array:
        """float32 arithmetic; source: SqrtEvalQuantized in TFLite's kernels/elementwise.cc. Clamped beyond int32."""
        tensor, result = op.input(0), op.output()
        x = np.float32(tensor.scale) * np.maximum(values - tensor.zero_point, 0).astype(np.float32)
        with np.errstate(over="ignore"):
            quotient = np.trunc(np.sqrt(x) / np.float32(result.scale)).astype(np.float64)
        clamped: Array = np.clip(quotient + result.zero_point, -128, 127)
        return clamped
