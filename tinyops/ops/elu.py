"""ELU: int8 and float32; int8 by float32 arithmetic when the table is made."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.float32 import is_float
from tinyops.ops.real_function import RealFunction

#: Beyond it the float32 result does not fit int32, which TFLite Micro converts to.
_MAX_RATIO = 2.0**22


def _ratio(op: OpView) -> None:
    ratio = op.input(0).scale / op.output().scale
    if not ratio < _MAX_RATIO:
        raise ValueError(f"scale ratio {ratio:g}")


class Elu(RealFunction):
    kind = "ELU"

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
            self.expect_ratio(op, _ratio, "input scale / output scale under 2**22")

    def function(self, op: OpView, x: Array) -> Array:
        """The exp is rounded to float32 before 1 is subtracted."""
        exp = np.exp(np.minimum(x, 0)).astype(np.float32)
        result: Array = np.where(x < 0, exp - np.float32(1), x)
        return result
