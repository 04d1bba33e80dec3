"""L2_NORMALIZATION: int8 and float32 over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier
from tinyops.ops.float32 import is_float
from tinyops.ops.inverse_sqrt import inverse_sqrt
from tinyops.ops.quantization import QuantizationRule
from tinyops.ops.unary import SameShape

#: So many squares of 255 fit int32.
MAX_DEPTH = (2**31 - 1) // 255**2
_MAX_RANK = 4
_OUTPUT_BITS = 7
#: What a float32 row is divided by where its norm is below it.
_LEAST_NORM = 1e-6


@dataclass(frozen=True, slots=True)
class L2NormAttrs:
    """Fields of TFLite's L2NormOptions."""

    fused_activation_function: Activation = Activation.NONE


class L2Normalization(SameShape):
    kind = "L2_NORMALIZATION"
    quantization = QuantizationRule(outputs={DType.INT8: (1 / 128, 0)})
    attrs = L2NormAttrs
    options = "L2NormOptions"
    versions = range(1, 3)
    dtypes = (DType.INT8, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        if not is_float(op):
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
        if is_float(op):
            norm = np.sqrt((values.astype(np.float64) ** 2).sum(axis=-1, keepdims=True))
            return [(values / np.maximum(norm, _LEAST_NORM)).astype(np.float32)]
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64) - op.input(0).zero_point
        inverse, right_shift = inverse_sqrt((rows * rows).sum(axis=1, keepdims=True))
        result = multiply_by_quantized_multiplier(rows, inverse, _OUTPUT_BITS - right_shift)
        return [np.clip(result, -128, 127).astype(np.int8).reshape(values.shape)]
