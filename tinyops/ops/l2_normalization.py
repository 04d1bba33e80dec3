"""L2_NORMALIZATION: int8 over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier
from tinyops.ops.inverse_sqrt import inverse_sqrt
from tinyops.ops.unary import SameShape

#: So many squares of 255 fit int32.
MAX_DEPTH = (2**31 - 1) // 255**2
_MAX_RANK = 4
_OUTPUT_BITS = 7


@dataclass(frozen=True, slots=True)
class L2NormAttrs:
    """Fields of TFLite's L2NormOptions."""

    fused_activation_function: Activation = Activation.NONE


class L2Normalization(SameShape):
    kind = "L2_NORMALIZATION"
    attrs = L2NormAttrs
    options = "L2NormOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        super().check(op)
        self.expect_output(op, 1 / 128, 0)
        shape = op.input(0).shape
        if not 1 <= len(shape) <= _MAX_RANK or shape[-1] > MAX_DEPTH:
            self.refuse(
                op, f"input of shape {list(shape)}", f"1 to {_MAX_RANK} dimensions, the last one of 1 to {MAX_DEPTH}"
            )
        if op.attrs.fused_activation_function is not Activation.NONE:
            self.refuse(op, "a fused activation", "none")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64) - op.input(0).zero_point
        inverse, right_shift = inverse_sqrt((rows * rows).sum(axis=1, keepdims=True))
        result = multiply_by_quantized_multiplier(rows, inverse, _OUTPUT_BITS - right_shift)
        return [np.clip(result, -128, 127).astype(np.int8).reshape(values.shape)]
