"""ADD: int8 with broadcasting of up to four dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import (
    activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)

LEFT_SHIFT = 20
_MAX_RANK = 4


@dataclass(frozen=True, slots=True)
class AddAttrs:
    """Fields of TFLite's AddOptions."""

    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class AddParameters:
    """(multiplier, shift) of both inputs and the output; inputs are scaled by 2**LEFT_SHIFT first."""

    inputs: tuple[tuple[int, int], tuple[int, int]]
    output: tuple[int, int]
    low: int
    high: int


def parameters(op: OpView) -> AddParameters:
    """Raises ValueError where the output scale is too small for the inputs' scales."""
    scales = op.input(0).scale, op.input(1).scale
    twice = 2 * max(scales)
    output = twice / (2**LEFT_SHIFT * op.output().scale)
    multiplier, shift = quantize_multiplier(output)
    if output >= 1 or shift > 0:
        raise ValueError(f"output scale {op.output().scale:g} for input scales {scales[0]:g} and {scales[1]:g}")
    low, high = activation_range(op.attrs.fused_activation_function, op.output())
    first, second = (quantize_multiplier(scale / twice) for scale in scales)
    return AddParameters((first, second), (multiplier, shift), low, high)


class Add(Operator):
    kind = "ADD"
    attrs = AddAttrs
    options = "AddOptions"
    versions = range(1, 3)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        for i in range(2):
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT8)
            if len(op.input(i).shape) > _MAX_RANK:
                self.refuse(op, f"input {i} has {len(op.input(i).shape)} dimensions", f"up to {_MAX_RANK}")
        self.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
        self.expect_per_tensor(op, 0, 1)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), "2 * the larger input scale / output scale under 2**20")
        try:
            shape = np.broadcast_shapes(op.input(0).shape, op.input(1).shape)
        except ValueError:
            self.refuse(op, f"shapes {list(op.input(0).shape)} and {list(op.input(1).shape)}", "shapes that broadcast")
        self.expect_shape(op, shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        p = parameters(op)
        total: Array = np.zeros((), dtype=np.int64)
        for i, (multiplier, shift) in enumerate(p.inputs):
            values = inputs[i]
            assert values is not None
            raised = (values.astype(np.int64) - op.input(i).zero_point) << LEFT_SHIFT
            total = total + multiply_by_quantized_multiplier(raised, multiplier, shift)
        scaled = multiply_by_quantized_multiplier(total, *p.output) + op.output().zero_point
        return [np.clip(scaled, p.low, p.high).astype(np.int8).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(i, 0): overlap_distance(_reads(op.input(i), op.output().shape), 1) for i in range(2)}


def _reads(tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Offset in `tensor` that each element of the broadcast result reads."""
    missing = len(shape) - len(tensor.shape)
    sizes = (1,) * missing + tensor.shape
    strides = (0,) * missing + strides_of(tensor.shape)
    steps = [
        np.arange(n, dtype=np.int64) * (stride if size > 1 else 0)
        for n, size, stride in zip(shape, sizes, strides, strict=True)
    ]
    return lattice(steps)
