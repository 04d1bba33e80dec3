"""Elementwise operators of several tensors that broadcast against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import (
    dtype_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    wrap32,
)
from tinyops.ops.float32 import activate


def check_broadcast(rules: Operator, op: OpView) -> None:
    """The output has the shape that all inputs broadcast to."""
    shapes = [tensor.shape for tensor in op.inputs if tensor is not None]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        rules.refuse(op, f"shapes {' and '.join(str(list(s)) for s in shapes)}", "shapes that broadcast")
    rules.expect_shape(op, shape)


def broadcast_strides(tensor: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    """Element strides over the dimensions of the broadcast result, 0 where `tensor` is repeated."""
    strides = [0 if n == 1 else step for n, step in zip(tensor.shape, strides_of(tensor.shape), strict=True)]
    return (0,) * (len(shape) - len(strides)) + tuple(strides)


def broadcast_overlap(op: OpView, i: int) -> int:
    """How far in bytes output 0 must start below input `i`; a multiple of the output's item size."""
    tensor, result = op.input(i), op.output()
    steps = [
        np.arange(n, dtype=np.int64) * (stride * tensor.dtype.itemsize)
        for n, stride in zip(result.shape, broadcast_strides(tensor, result.shape), strict=True)
    ]
    return aligned(overlap_distance(lattice(steps), result.dtype.itemsize), result.dtype)


def aligned(distance: int, dtype: DType) -> int:
    """The smallest multiple of the item size that is not below `distance`."""
    return -(-distance // dtype.itemsize) * dtype.itemsize


@dataclass(frozen=True, slots=True)
class BinaryParameters:
    """(multiplier, shift) of both inputs and the output; inputs are scaled by 2**left_shift first."""

    left_shift: int
    inputs: tuple[tuple[int, int], tuple[int, int]]
    output: tuple[int, int]
    low: int
    high: int


class Binary(Operator):
    """Base of elementwise operators of two tensors; it has no kind of its own."""

    #: Of the operators that take float32 or int32 values as they are, before the fused activation.
    function: ClassVar[Callable[..., Any] | None] = None

    def compute(self, op: OpView, a: Array, b: Array) -> Array:
        """The int64 results for int64 values of both inputs, which broadcast."""
        raise NotImplementedError

    def compute_float(self, op: OpView, a: Array, b: Array) -> Array:
        """The results for float32 values of both inputs, where `check` takes them."""
        assert self.function is not None
        return activate(self.function(a, b), op.attrs.fused_activation_function)

    def is_unscaled(self, op: OpView) -> bool:
        """Whether the operator computes with values as they are, not with quantized ones: float32 and int32."""
        return op.output().dtype in (DType.INT32, DType.FLOAT32)

    def expect_same_dtype(self, op: OpView, *allowed: DType) -> None:
        """Inputs and output have one dtype of those allowed; quantized ones of 16 bits have zero point 0."""
        self.expect_arity(op, 2)
        dtype = op.input(0).dtype
        self.expect_dtype(op, "input 0", dtype, *allowed)
        self.expect_dtype(op, "input 1", op.input(1).dtype, dtype)
        self.expect_dtype(op, "the output", op.output().dtype, dtype)

    def expect_quantized(self, op: OpView) -> None:
        """Both inputs and the output are quantized per tensor, 16-bit ones with zero point 0."""
        self.expect_per_tensor(op, 0, 1)
        for tensor in (op.input(0), op.input(1), op.output()):
            if tensor.dtype is DType.INT16 and tensor.zero_point != 0:
                self.refuse(op, f"zero point {tensor.zero_point} of tensor {tensor.name}", "0 for int16")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        a, b = inputs
        assert a is not None
        assert b is not None
        if op.input(0).dtype is DType.FLOAT32:
            with np.errstate(all="ignore"):
                return [self.compute_float(op, a, b).reshape(op.output().shape)]
        a, b = a.astype(np.int64), b.astype(np.int64)
        if self.function is not None and self.is_unscaled(op):
            activation = getattr(op.attrs, "fused_activation_function", Activation.NONE)
            result: Array = np.clip(wrap32(self.function(a, b)), *integer_bounds(activation))
        else:
            result = self.compute(op, a, b)
        return [result.astype(op.output().dtype.numpy).reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(i, 0): broadcast_overlap(op, i) for i in range(2)}


def integer_bounds(activation: Activation) -> tuple[int, int]:
    """Lowest and highest int32 value under a fused activation, which is no quantized one."""
    low, high = dtype_range(DType.INT32)
    bounds = {Activation.RELU: (0, high), Activation.RELU_N1_TO_1: (-1, 1), Activation.RELU6: (0, 6)}
    return bounds.get(activation, (low, high))


def rescaled(tensor: Tensor, values: Array, left_shift: int, scale: tuple[int, int]) -> Array:
    """(values - zero point) * 2**left_shift, times `scale` = (multiplier, shift)."""
    return multiply_by_quantized_multiplier((values - tensor.zero_point) << left_shift, *scale)


def requantized(op: OpView, values: Array, scale: tuple[int, int], low: int, high: int) -> Array:
    """int32 `values` times `scale` = (multiplier, shift), plus the output's zero point, clamped."""
    scaled = multiply_by_quantized_multiplier(values, *scale)
    result: Array = np.clip(wrap32(scaled + op.output().zero_point), low, high)
    return result


def below_one(ratio: float, what: str) -> tuple[int, int]:
    """quantize_multiplier(ratio); ValueError unless the ratio is below 1, also when it is rounded."""
    multiplier, shift = quantize_multiplier(ratio)
    if ratio >= 1 or shift > 0:
        raise ValueError(f"{what} {ratio:g} is not below 1")
    return multiplier, shift
