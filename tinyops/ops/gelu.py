"""GELU: x times the normal distribution's cumulative function of x, or its approximation with tanh; float32, and int8
by a table that float32 arithmetic makes.

TFLite Micro has no GELU; source of both: kernels/internal/reference/gelu.h of TensorFlow Lite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.real_function import RealFunction

_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, slots=True)
class GeluAttrs:
    """Fields of TFLite's GeluOptions."""

    approximate: bool = False


class Gelu(RealFunction):
    kind = "GELU"
    not_in_micro = (DType.INT8, DType.FLOAT32)
    attrs = GeluAttrs
    options = "GeluOptions"
    versions = range(1, 3)

    def function(self, op: OpView, x: Array) -> Array:
        if op.attrs.approximate:
            factor = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            factor = 1 + np.asarray(_erf(x / math.sqrt(2)), np.float64)
        result: Array = 0.5 * x * factor
        return result
