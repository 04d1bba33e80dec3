"""TANH: int8 by gemmlowp's fixed-point tanh, a table of 256; int16 by TFLite's table with interpolation; float32."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.exponential import tanh
from tinyops.ops.logistic import Sigmoid, saturating
from tinyops.ops.quantization import QuantizationRule
from tinyops.ops.sigmoid_int16 import tanh_int16


class Tanh(Sigmoid):
    kind = "TANH"
    int8_output = (1 / 128, 0)
    quantization = QuantizationRule(outputs={DType.INT8: int8_output, DType.INT16: (2.0**-15, 0)})
    power_of_two_shifts = 2

    def compute(self, op: OpView, values: Array) -> Array:
        if op.input(0).dtype is DType.INT16:
            return tanh_int16(self.scaling(op).apply(values))
        return saturating(op.input(0), values, tanh, 7, 0)

    def compute_float(self, op: OpView, values: Array) -> Array:
        result: Array = np.tanh(values.astype(np.float64)).astype(np.float32)
        return result
