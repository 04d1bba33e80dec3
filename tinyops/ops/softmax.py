"""SOFTMAX: int8 over the last axis, by gemmlowp's fixed-point exp and reciprocal.

TFLite Micro stops with an assertion where a row's sum of exponentials is 512 or more (a final shift over 31);
here the shift goes on, and every output of such a row is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.exponential import exp_on_negative_values, reciprocal
from tinyops.ops.fixed_point import (
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

DIFFERENCE_INTEGER_BITS = 5
SUM_INTEGER_BITS = 12
#: The sum of this many exponentials of 0 is the last that fits SUM_INTEGER_BITS.
MAX_DEPTH = 2**SUM_INTEGER_BITS - 1


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
    ratio = min(op.attrs.beta * op.input(0).scale * 2 ** (31 - DIFFERENCE_INTEGER_BITS), 2**31 - 1.0)
    if not ratio > 1:
        raise ValueError(f"beta {op.attrs.beta:g} with input scale {op.input(0).scale:g}")
    fraction, shift = math.frexp(ratio)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    highest = (2**DIFFERENCE_INTEGER_BITS - 1) << (31 - DIFFERENCE_INTEGER_BITS)
    return SoftmaxParameters(multiplier, shift, highest >> shift)


def exp_table(op: OpView) -> Array:
    """int32[256]: entry k is exp(-k * beta * input scale) in Q0.31, and 0 from radius + 1 on."""
    p = parameters(op)
    steps = np.arange(256, dtype=np.int64)
    scaled = multiply_by_quantized_multiplier(-np.minimum(steps, p.radius), p.multiplier, p.left_shift)
    exps = exp_on_negative_values(scaled, DIFFERENCE_INTEGER_BITS)
    return np.where(steps <= p.radius, exps, 0).astype(np.int32)


class Softmax(Operator):
    kind = "SOFTMAX"
    attrs = SoftmaxAttrs
    options = "SoftmaxOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
        self.expect_per_tensor(op, 0)
        self.expect_shape(op, op.input(0).shape)
        shape = op.input(0).shape
        if not shape or shape[-1] > MAX_DEPTH:
            self.refuse(op, f"input of shape {list(shape)}", f"a last dimension of 1 to {MAX_DEPTH}")
        if op.output().scale != 1 / 256 or op.output().zero_point != -128:
            self.refuse(
                op,
                f"output scale {op.output().scale:g}, zero point {op.output().zero_point}",
                "scale 1/256, zero point -128",
            )
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "beta * input scale over 2**-26")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64)
        exps = exp_table(op)[rows.max(axis=1, keepdims=True) - rows].astype(np.int64)
        total = rounding_divide_by_pot(exps, SUM_INTEGER_BITS).sum(axis=1, keepdims=True)
        scale, bits = reciprocal(total, SUM_INTEGER_BITS)
        result = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(scale, exps), bits + 31 - 8) - 128
        return [np.clip(result, -128, 127).astype(np.int8).reshape(values.shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        # A row is read three times: for the maximum, the sum and the result, each element before it is written.
        return {(0, 0): 0}
