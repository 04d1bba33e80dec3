"""LOG_SOFTMAX: over the last axis; int8 by gemmlowp's fixed-point exp and TFLite's fixed-point logarithm; float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier, rounding_divide_by_pot
from tinyops.ops.float32 import is_float
from tinyops.ops.logarithm import logarithm
from tinyops.ops.quantization import QuantizationRule
from tinyops.ops.softmax import (
    MAX_DEPTH,
    SUM_INTEGER_BITS,
    SoftmaxParameters,
    difference_parameters,
    exps_of_differences,
)
from tinyops.ops.unary import SameShape

#: From Q5.26 to the output's scale of 1/16.
OUTPUT_SHIFT = 22


def parameters(op: OpView) -> tuple[SoftmaxParameters, tuple[int, int]]:
    """How differences are scaled to Q5.26, and (multiplier, shift) of the way back; ValueError for tiny scales."""
    p = difference_parameters(1.0, op.input(0).scale)
    divisor = 2.0 ** (31 - p.left_shift) / p.multiplier
    if p.left_shift < 1 or divisor >= 1:
        raise ValueError(f"input scale {op.input(0).scale:g}")
    return p, quantize_multiplier(divisor)


def rounded_exps(op: OpView) -> Array:
    """int32[256]: entry k is exp(-k * input scale) in Q12.19, and 0 where TFLite leaves the term out."""
    return rounding_divide_by_pot(exps_of_differences(parameters(op)[0]), SUM_INTEGER_BITS).astype(np.int32)


def _log_softmax(values: Array) -> Array:
    """Of float32 values, in double precision."""
    steps = (values - values.max(axis=-1, keepdims=True)).astype(np.float64)
    result: Array = (steps - np.log(np.exp(steps).sum(axis=-1, keepdims=True))).astype(np.float32)
    return result


class LogSoftmax(SameShape):
    kind = "LOG_SOFTMAX"
    quantization = QuantizationRule(outputs={DType.INT8: (16 / 256, 127)})
    versions = range(1, 3)
    dtypes = (DType.INT8, DType.FLOAT32)

    def check(self, op: OpView) -> None:
        super().check(op)
        shape = op.input(0).shape
        if not shape or shape[-1] > MAX_DEPTH:
            self.refuse(op, f"input of shape {list(shape)}", f"a last dimension of 1 to {MAX_DEPTH}")
        if not is_float(op):
            self.expect_output(op, 1 / 16, 127)
            self.expect_ratio(op, parameters, "over 2**-26")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if is_float(op):
            return [_log_softmax(values)]
        p, back = parameters(op)
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64)
        steps = rows - rows.max(axis=1, keepdims=True)
        logs = logarithm(rounded_exps(op)[-steps].astype(np.int64).sum(axis=1, keepdims=True))
        lowest = np.maximum(-p.radius - 1, multiply_by_quantized_multiplier(logs - 2**31, *back))
        scaled = multiply_by_quantized_multiplier(steps, p.multiplier, p.left_shift)
        result = rounding_divide_by_pot(scaled - logs, OUTPUT_SHIFT) + 127
        return [np.where(steps > lowest, np.clip(result, -128, 127), -128).astype(np.int8).reshape(values.shape)]
