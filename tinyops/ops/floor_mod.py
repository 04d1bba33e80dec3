"""FLOOR_MOD: of stored integers by a constant, or float32, with the divisor's sign and broadcasting."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.division import FloorDivision


class FloorMod(FloorDivision):
    kind = "FLOOR_MOD"
    not_in_micro = (DType.INT8, DType.INT16, DType.INT32)

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        return np.mod(a, b)

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        result: Array = a % b
        return result
