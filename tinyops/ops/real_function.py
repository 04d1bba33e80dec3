"""Functions of one real value: of float32, and on int8, by float32 arithmetic when the table of 256 is made.

Source: LUTPopulate in TFLite's kernels/internal/common.h, which EXP, LOG and GELU of TFLite take for int8, and
TFLite Micro's ELU. It leaves results beyond int32 and NaN undefined; here they are clamped, and no function gives NaN.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.float32 import is_float
from tinyops.ops.unary import Unary

#: Below it the float32 reciprocal is infinite.
_MIN_SCALE = 2.0**-126


def _invertible(op: OpView) -> None:
    if op.output().scale < _MIN_SCALE:
        raise ValueError(f"output scale {op.output().scale:g}")


class RealFunction(Unary):
    """Base of such functions; it has no kind of its own."""

    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.FLOAT32)

    def function(self, op: OpView, x: Array) -> Array:
        """The results for float64 values, defined for all of them."""
        raise NotImplementedError

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, _invertible, "2**-126 or more")

    def compute_float(self, op: OpView, values: Array) -> Array:
        result: Array = self.function(op, values.astype(np.float64)).astype(np.float32)
        return result

    def compute(self, op: OpView, values: Array) -> Array:
        """The function's result is rounded to float32 once, as by a correctly rounded C library; ties away from 0."""
        tensor, result = op.input(0), op.output()
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            inverse_scale = np.float32(1) / np.float32(result.scale)
            x = np.float32(tensor.scale) * (values - tensor.zero_point).astype(np.float32)
            y = self.function(op, x.astype(np.float64)).astype(np.float32) * inverse_scale
            rounded = np.copysign(np.floor(np.abs(y).astype(np.float64) + 0.5), y).astype(np.float32)
            quantized = np.trunc(rounded + np.float32(result.zero_point))
        clamped: Array = np.clip(quantized, -128, 127)
        return clamped
