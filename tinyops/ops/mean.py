"""MEAN: int8 over any constant axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization


@dataclass(frozen=True, slots=True)
class ReducerAttrs:
    """Fields of TFLite's ReducerOptions."""

    keep_dims: bool = False


def axes(op: OpView) -> tuple[int, ...]:
    """The reduced axes, ascending, each once."""
    data = op.input(1).data
    assert data is not None
    rank = len(op.input(0).shape)
    return tuple(sorted({int(axis) % rank for axis in data.reshape(-1)}))


def requantization(op: OpView) -> Requantization:
    """From sum - count * zero point to the output: the scale ratio with 1 / count folded into the multiplier.

    The quotient is truncated, after scaling by the largest power of two that is at most `count`.
    """
    base = Requantization.of([op.input(0).scale / op.output().scale], Activation.NONE, op.output())
    count = math.prod(op.input(0).shape[axis] for axis in axes(op))
    multiplier, exponent = int(base.multiplier[0]), int(base.shift[0])
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return Requantization(
        np.array([(multiplier << shift) // count], dtype=np.int32),
        np.array([exponent - shift], dtype=np.int32),
        base.zero_point,
        base.low,
        base.high,
    )


class Mean(Operator):
    kind = "MEAN"
    attrs = ReducerAttrs
    options = "ReducerOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8)
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
        self.expect_dtype(op, "the axes", op.input(1).dtype, DType.INT32)
        self.expect_per_tensor(op, 0)
        shape = op.input(0).shape
        given = self.constant(op, 1).reshape(-1)
        if given.size == 0 or any(not -len(shape) <= axis < len(shape) for axis in given):
            self.refuse(op, f"axes {given.tolist()}", f"one or more of {-len(shape)} to {len(shape) - 1}")
        try:
            requantization(op)
        except ValueError as error:
            self.refuse(op, str(error), "input scale / output scale under 2**30")
        reduced = axes(op)
        kept = [1 if k in reduced else n for k, n in enumerate(shape)]
        self.expect_shape(op, kept if op.attrs.keep_dims else [n for k, n in enumerate(shape) if k not in reduced])

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        total = values.astype(np.int64) - op.input(0).zero_point
        return [requantization(op).apply(total.sum(axis=axes(op))).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        shape, reduced = op.input(0).shape, axes(op)
        steps = [
            np.arange(1 if k in reduced else n, dtype=np.int64) * stride
            for k, (n, stride) in enumerate(zip(shape, strides_of(shape), strict=True))
        ]
        return {(0, 0): overlap_distance(lattice(steps), 1)}
