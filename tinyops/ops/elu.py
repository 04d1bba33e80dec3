"""ELU: int8, by float32 arithmetic when the table is made."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.unary import Unary

#: Beyond it the float32 result does not fit int32, which TFLite Micro converts to.
_MAX_RATIO = 2.0**22
#: Below it the float32 reciprocal is infinite.
_MIN_SCALE = 2.0**-126


def _ratio(op: OpView) -> None:
    ratio = op.input(0).scale / op.output().scale
    if not ratio < _MAX_RATIO:
        raise ValueError(f"scale ratio {ratio:g}")
    if op.output().scale < _MIN_SCALE:
        raise ValueError(f"output scale {op.output().scale:g}")


class Elu(Unary):
    kind = "ELU"

    def check(self, op: OpView) -> None:
        super().check(op)
        self.expect_ratio(op, _ratio, "input scale / output scale under 2**22, output scale of 2**-126 or more")

    def compute(self, op: OpView, values: Array) -> Array:
        """The exp is rounded to float32 once, as a correctly rounded expf."""
        tensor, result = op.input(0), op.output()
        with np.errstate(over="ignore", under="ignore"):
            inverse_scale = np.float32(1) / np.float32(result.scale)
            x = np.float32(tensor.scale) * (values - tensor.zero_point).astype(np.float32)
            exp = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32)
            y = np.where(x < 0, exp - np.float32(1), x) * inverse_scale
            rounded = np.copysign(np.floor(np.abs(y).astype(np.float64) + 0.5), y).astype(np.float32)
            quantized = np.trunc(rounded + np.float32(result.zero_point))
        clamped: Array = np.clip(quantized, -128, 127)
        return clamped
