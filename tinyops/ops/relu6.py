"""RELU6: int8, int16 and float32.

As in TFLite Micro the stored values are clamped by the input's quantization and not rescaled, so the output's scale
and zero point should equal the input's.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import activation_range
from tinyops.ops.float32 import activate
from tinyops.ops.quantization import CLAMPED
from tinyops.ops.unary import Unary


class Relu6(Unary):
    kind = "RELU6"
    quantization = CLAMPED
    versions = range(1, 4)
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def compute(self, op: OpView, values: Array) -> Array:
        clamped: Array = np.clip(values, *activation_range(Activation.RELU6, op.input(0)))
        return clamped

    def compute_float(self, op: OpView, values: Array) -> Array:
        return activate(values, Activation.RELU6)
