"""FLOOR_DIV: of stored integers by a constant, or float32, rounded down, with broadcasting."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.division import FloorDivision, wrapped


class FloorDiv(FloorDivision):
    kind = "FLOOR_DIV"
    not_in_micro = (DType.INT8, DType.INT16, DType.INT32)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        quotient: Array = np.floor(a.astype(np.float64) / b).astype(np.float32)
        return quotient

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        return wrapped(a // b, op.output().dtype)
