"""LOGISTIC: int8 sigmoid by gemmlowp's fixed-point logistic; a function of one byte, so a table of 256."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.exponential import logistic
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, rounding_divide_by_pot

INPUT_INTEGER_BITS = 4
_MIN_SCALE = 2.0**-27
_MAX_SCALE = 2.0**30


def table(op: OpView) -> Array:
    """int8[256]: the output for each input -128..127."""
    tensor = op.input(0)
    fraction, shift = math.frexp(tensor.scale * 2 ** (31 - INPUT_INTEGER_BITS))
    multiplier = math.floor(fraction * 2**31 + 0.5)
    radius = ((2**INPUT_INTEGER_BITS - 1) << (31 - INPUT_INTEGER_BITS)) >> shift
    values = np.arange(-128, 128, dtype=np.int64) - tensor.zero_point
    # Within the radius a shift over 30 only ever meets 0.
    scaled = multiply_by_quantized_multiplier(np.where(abs(values) < radius, values, 0), multiplier, shift)
    inner = rounding_divide_by_pot(logistic(scaled, INPUT_INTEGER_BITS), 31 - 8) - 128
    result = np.where(values <= -radius, -128, np.where(values >= radius, 127, inner))
    return np.clip(result, -128, 127).astype(np.int8)


class Logistic(Operator):
    kind = "LOGISTIC"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
        self.expect_per_tensor(op, 0)
        self.expect_shape(op, op.input(0).shape)
        if op.output().scale != 1 / 256 or op.output().zero_point != -128:
            self.refuse(
                op,
                f"output scale {op.output().scale:g}, zero point {op.output().zero_point}",
                "scale 1/256, zero point -128",
            )
        if not _MIN_SCALE <= op.input(0).scale < _MAX_SCALE:
            self.refuse(op, f"input scale {op.input(0).scale:g}", "2**-27 to 2**30")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [table(op)[values.astype(np.int16) + 128]]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): 0}
