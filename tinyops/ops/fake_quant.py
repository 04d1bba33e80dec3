"""FAKE_QUANT: float32 values rounded to the steps of a quantization of 2 to 16 bits, as training puts it in.

A model that has it is to be quantized: the quantizer takes its ranges over; there is no generated code of it. Source:
NudgeQuantizationRange and FakeQuantizeArray of TFLite's quantization_util.cc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator

_BITS = range(2, 17)


@dataclass(frozen=True, slots=True)
class FakeQuantAttrs:
    """Fields of TFLite's FakeQuantOptions; narrow_range leaves out the lowest step."""

    min: float
    max: float
    num_bits: int = 8
    narrow_range: bool = False


@dataclass(frozen=True, slots=True)
class Nudged:
    """The range in float32, moved so that 0 is one of the steps: low + k * scale."""

    low: np.float32
    high: np.float32
    scale: np.float32


def nudged(attrs: FakeQuantAttrs) -> Nudged:
    """Every operation rounded to float32, as TFLite computes it."""
    first, last = np.float32(int(attrs.narrow_range)), np.float32(2**attrs.num_bits - 1)
    low, high = np.float32(attrs.min), np.float32(attrs.max)
    scale = (high - low) / (last - first)
    zero = first - low / scale
    zero_point = np.float32(math.floor(float(min(max(zero, first), last)) + 0.5))
    return Nudged((first - zero_point) * scale, (last - zero_point) * scale, scale)


class FakeQuant(Operator):
    kind = "FAKE_QUANT"
    attrs = FakeQuantAttrs
    options = "FakeQuantOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.FLOAT32)
        self.expect_dtype(op, "the output", op.output().dtype, DType.FLOAT32)
        self.expect_shape(op, op.input(0).shape)
        a = op.attrs
        if a.num_bits not in _BITS:
            self.refuse(op, f"num_bits is {a.num_bits}", f"{_BITS[0]} to {_BITS[-1]}")
        if not (math.isfinite(a.min) and math.isfinite(a.max) and a.min <= 0 <= a.max and a.min < a.max):
            self.refuse(op, f"the range is {a.min:g} to {a.max:g}", "a range that contains 0")
        with np.errstate(all="ignore"):
            scale = nudged(a).scale
        if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
            self.refuse(op, f"the range is {a.min:g} to {a.max:g}", "one whose steps are float32 numbers")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        n = nudged(op.attrs)
        inverse = np.float32(1) / n.scale
        # NaN gives the lowest step. Steps are not negative: halves are rounded up.
        steps = (np.fmin(n.high, np.fmax(n.low, values)) - n.low) * inverse
        below = np.floor(steps)
        rounded = below + (steps - below >= np.float32(0.5))
        return [(rounded * n.scale + n.low).astype(np.float32)]
