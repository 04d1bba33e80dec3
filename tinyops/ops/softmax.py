"""SOFTMAX over the last axis: int8 to int8 or int16 by gemmlowp's fixed-point exp, int16 by TFLite's tables; float32.

TFLite Micro stops with an assertion where a row's sum of exponentials is 512 or more (a final shift over 31);
here the shift goes on, and every output of such a row is 0. With an int16 output no shift is that large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops import softmax_int16
from tinyops.ops.base import Array, Operator
from tinyops.ops.exponential import exp_on_negative_values, reciprocal
from tinyops.ops.fixed_point import (
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinyops.ops.float32 import is_float
from tinyops.ops.quantization import QuantizationRule

DIFFERENCE_INTEGER_BITS = 5
SUM_INTEGER_BITS = 12
#: The sum of this many exponentials of 0 is the last that fits SUM_INTEGER_BITS.
MAX_DEPTH = 2**SUM_INTEGER_BITS - 1
#: What TFLite Micro allows an int16 output's scale to be off from 1/65536, relative.
INT16_SCALE_TOLERANCE = 0.001


@dataclass(frozen=True, slots=True)
class SoftmaxAttrs:
    """Fields of TFLite's SoftmaxOptions."""

    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class SoftmaxParameters:
    """Differences x - max in [-radius, 0] are scaled by multiplier and left shift; lower ones count as exp = 0."""

    multiplier: int
    left_shift: int
    radius: int


def parameters(op: OpView) -> SoftmaxParameters:
    """Raises ValueError where beta * input scale is too small."""
    return difference_parameters(op.attrs.beta, op.input(0).scale)


def difference_parameters(beta: float, scale: float) -> SoftmaxParameters:
    """Raises ValueError where beta * scale is too small."""
    ratio = min(beta * scale * 2 ** (31 - DIFFERENCE_INTEGER_BITS), 2**31 - 1.0)
    if not ratio > 1:
        raise ValueError(f"beta {beta:g} with input scale {scale:g}")
    fraction, shift = math.frexp(ratio)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    highest = (2**DIFFERENCE_INTEGER_BITS - 1) << (31 - DIFFERENCE_INTEGER_BITS)
    return SoftmaxParameters(multiplier, shift, highest >> shift)


def output_bits(op: OpView) -> int:
    """8 or 16: the bits of a quantized output's elements."""
    return 8 * op.output().dtype.itemsize


def exp_table(op: OpView) -> Array:
    """int32[256]: entry k is exp(-k * beta * input scale) in Q0.31, and 0 from radius + 1 on."""
    return exps_of_differences(parameters(op))


def exps_of_differences(p: SoftmaxParameters) -> Array:
    """int32[256]: entry k is the exp of -k in Q0.31, and 0 from radius + 1 on."""
    steps = np.arange(256, dtype=np.int64)
    scaled = multiply_by_quantized_multiplier(-np.minimum(steps, p.radius), p.multiplier, p.left_shift)
    exps = exp_on_negative_values(scaled, DIFFERENCE_INTEGER_BITS)
    return np.where(steps <= p.radius, exps, 0).astype(np.int32)


def _softmax(values: Array, beta: float) -> Array:
    """Of float32 values, in double precision."""
    exps = np.exp((values - values.max(axis=-1, keepdims=True)).astype(np.float64) * np.float32(beta))
    result: Array = (exps / exps.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


class Softmax(Operator):
    kind = "SOFTMAX"
    attrs = SoftmaxAttrs
    options = "SoftmaxOptions"
    versions = range(1, 4)
    quantization = QuantizationRule(outputs={DType.INT8: (1 / 256, -128), DType.INT16: (2.0**-15, 0)})

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        wide = (DType.INT16,) if op.input(0).dtype is DType.INT8 else ()
        self.expect_dtype(op, "the output", op.output().dtype, op.input(0).dtype, *wide)
        self.expect_shape(op, op.input(0).shape)
        shape, is_int16 = op.input(0).shape, op.input(0).dtype is DType.INT16
        largest = softmax_int16.MAX_DEPTH if is_int16 else MAX_DEPTH
        if not shape or shape[-1] > largest:
            self.refuse(op, f"input of shape {list(shape)}", f"a last dimension of 1 to {largest}")
        if not is_float(op):
            self._check_quantization(op)

    def _check_quantization(self, op: OpView) -> None:
        self.expect_per_tensor(op, 0)
        if op.input(0).dtype is DType.INT16:
            self._check_int16(op)
            return
        steps, lowest = 2 ** output_bits(op), -(2 ** (output_bits(op) - 1))
        tolerance = INT16_SCALE_TOLERANCE if output_bits(op) == 16 else 0.0
        if abs(op.output().scale * steps - 1) > tolerance or op.output().zero_point != lowest:
            self.refuse(
                op,
                f"output scale {op.output().scale:g}, zero point {op.output().zero_point}",
                f"scale 1/{steps}, zero point {lowest}",
            )
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "beta * input scale over 2**-26")

    def _check_int16(self, op: OpView) -> None:
        if op.output().scale != 2.0**-15 or op.input(0).zero_point != 0 or op.output().zero_point != 0:
            zeros = f"zero points {op.input(0).zero_point} and {op.output().zero_point}"
            self.refuse(op, f"output scale {op.output().scale:g}, {zeros}", "scale 1/32768, zero points 0")
        try:
            softmax_int16.difference_multiplier(op.attrs.beta, op.input(0).scale)
        except ValueError as error:
            self.refuse(op, str(error), "beta * input scale up to 5")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        if is_float(op):
            return [_softmax(values, op.attrs.beta)]
        if op.input(0).dtype is DType.INT16:
            scaling = softmax_int16.difference_multiplier(op.attrs.beta, op.input(0).scale)
            flat = values.reshape(-1, values.shape[-1])
            return [softmax_int16.softmax_int16(flat, *scaling).reshape(values.shape)]
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64)
        exps = exp_table(op)[rows.max(axis=1, keepdims=True) - rows].astype(np.int64)
        total = rounding_divide_by_pot(exps, SUM_INTEGER_BITS).sum(axis=1, keepdims=True)
        scale, bits = reciprocal(total, SUM_INTEGER_BITS)
        shift = bits + 31 - output_bits(op)
        result = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(scale, exps), shift)
        info = np.iinfo(op.output().dtype.numpy)
        return [np.minimum(result + info.min, info.max).astype(info.dtype).reshape(values.shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        # A row is read three times: for the maximum, the sum and the result, each element before it is written.
        return {(0, 0): 0} if op.output().dtype is op.input(0).dtype else {}
