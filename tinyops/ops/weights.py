"""What operators with weights and an optional bias have in common.

With int8 activations accumulators and bias are int32; with int16 activations they are int64 and all zero points 0.
With float32 activations the weights are float32, or int8 that stand for float32 values (a hybrid model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import is_float


@dataclass(frozen=True, slots=True)
class Operands:
    """Which inputs of the operator are the activations, the weights and the optional bias."""

    values: int = 0
    weights: int = 1
    bias: int = 2


_USUAL = Operands()
#: TFLite's TensorType.INT32.
_TFLITE_INT32 = 2
_BIAS = {DType.INT8: DType.INT32, DType.INT16: DType.INT64, DType.FLOAT32: DType.FLOAT32}
#: Bounds of the arithmetic on int64 accumulators.
_MAX_INT64_SHIFT = 7
_MAX_INT64_BITS = 47


def check_weights(
    rules: Operator,
    op: OpView,
    channel_axis: int,
    rank: int,
    at: Operands = _USUAL,
    floats: bool = False,
    computed: bool = False,
    int4: bool = False,
) -> None:
    """int8 or int16 activations, constant symmetric int8 weights [rank dimensions], constant bias or none.

    With `floats` also float32 activations, weights and bias; with `computed` these weights and biases need not be
    constant. With `int4` also int4 weights of int8 activations.
    """
    rules.expect_arity(op, range(at.bias, at.bias + 2))
    rules.expect_dtype(op, "the input", op.input(at.values).dtype, *_dtypes(floats))
    rules.expect_dtype(op, "the output", op.output().dtype, op.input(at.values).dtype)
    weights = op.input(at.weights)
    free = computed and weights.dtype is DType.FLOAT32
    if not free:
        rules.constant(op, at.weights)
    if len(weights.shape) != rank or weights.elements == 0:
        rules.refuse(op, f"the weights have shape {list(weights.shape)}", f"{rank} dimensions, none of them 0")
    if is_float(op):
        rules.expect_dtype(op, "the weights", weights.dtype, DType.FLOAT32)
    else:
        packed = (DType.INT4,) if int4 and op.input(at.values).dtype is DType.INT8 else ()
        rules.expect_dtype(op, "the weights", weights.dtype, DType.INT8, *packed)
        rules.expect_per_tensor(op, at.values)
        _check_scales(rules, op, weights, channel_axis)
    bias = op.optional(at.bias)
    if bias is not None:
        rules.expect_dtype(op, "the bias", bias.dtype, _BIAS[op.input(at.values).dtype])
        if not free:
            rules.constant(op, at.bias)
        if bias.shape != (weights.shape[channel_axis],):
            rules.refuse(op, f"the bias has shape {list(bias.shape)}", f"[{weights.shape[channel_axis]}]")
    if op.input(at.values).dtype is DType.INT16:
        _check_int16(rules, op, channel_axis, at)


def _dtypes(floats: bool) -> tuple[DType, ...]:
    """Of the activations."""
    return (DType.INT8, DType.INT16, DType.FLOAT32) if floats else (DType.INT8, DType.INT16)


def _check_scales(rules: Operator, op: OpView, weights: Tensor, channel_axis: int) -> None:
    if weights.quantization is None:
        rules.refuse(op, "the weights have no quantization", "a scale per tensor or per channel")
    if any(weights.quantization.zero_points):
        rules.refuse(op, "the weights have a zero point other than 0", "symmetric weights")
    if weights.quantization.per_channel and (
        weights.quantization.axis != channel_axis or len(weights.quantization.scales) != weights.shape[channel_axis]
    ):
        rules.refuse(
            op,
            f"the weights are quantized per channel on axis {weights.quantization.axis}",
            f"one scale for each of the {weights.shape[channel_axis]} channels on axis {channel_axis}",
        )


def _check_int16(rules: Operator, op: OpView, channel_axis: int, at: Operands) -> None:
    """What int64 accumulators require."""
    if op.optional(at.bias) is None and getattr(op.attrs, "quantized_bias_type", 0) == _TFLITE_INT32:
        rules.refuse(op, "quantized_bias_type is INT32", "int64 accumulators")
    weights, bias = rules.constant(op, at.weights), op.optional(at.bias)
    reach = int64_reach(np.moveaxis(weights, channel_axis, 0), None if bias is None else bias.data)
    check_ratios(rules, op, at)
    found = scale_requantization(op, Activation.NONE, at)
    check_int64_requantization(rules, op, found, max(reach), (op.input(at.values), op.output()))


def int64_reach(weights: Array, bias: Array | None) -> list[int]:
    """The largest accumulator of each channel for int16 values; `weights` is int8[channels, ...]."""
    sums = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1)
    start = np.zeros(len(weights), np.int64) if bias is None else bias
    return [2**15 * int(taps) + abs(int(first)) for taps, first in zip(sums, start, strict=True)]


def check_int64_requantization(
    rules: Operator, op: OpView, requantization: Requantization, reach: int, tensors: Sequence[Tensor]
) -> None:
    """Zero points of 0, and accumulators (up to `reach`) and scale ratios that the arithmetic on int64 can hold."""
    for tensor in tensors:
        if tensor.zero_point != 0:
            rules.refuse(op, f"tensor {tensor.name} has zero point {tensor.zero_point}", "0, as it is int16")
    if reach >= 2**_MAX_INT64_BITS:
        rules.refuse(op, f"the accumulator can reach {reach:,}", f"below 2^{_MAX_INT64_BITS}")
    if requantization.shift.max() > _MAX_INT64_SHIFT:
        rules.refuse(op, "a scale ratio is too large", f"the inputs' scales / output scale under 2**{_MAX_INT64_SHIFT}")


def scale_requantization(op: OpView, activation: Activation, at: Operands = _USUAL) -> Requantization:
    """Ratios input scale * weight scale / output scale, each product in double precision."""
    quantization = op.input(at.weights).quantization
    assert quantization is not None
    ratios = [op.input(at.values).scale * scale / op.output().scale for scale in quantization.scales]
    return Requantization.of(ratios, activation, op.output())


def check_ratios(rules: Operator, op: OpView, at: Operands = _USUAL) -> None:
    """The scales give multipliers that fixed-point arithmetic can hold."""
    if is_float(op):
        return
    try:
        scale_requantization(op, Activation.NONE, at)
    except ValueError as error:
        rules.refuse(op, str(error), "input scale * weight scale / output scale under 2**30")


def requantize(op: OpView, requantization: Requantization, accumulator: Array) -> Array:
    """Outputs of the output's dtype for int64 accumulators of the output's elements, channels last."""
    wide = op.output().dtype is DType.INT16
    outputs = requantization.apply_int64(accumulator) if wide else requantization.apply(accumulator)
    return outputs.reshape(op.output().shape)


def exact_matmul(a: Array, b: Array, wide: bool = False) -> Array:
    """a @ b in int64 for b in int8 and a in -255..255, or int16 `wide`, by BLAS.

    Every partial sum is at most depth * 2**8 * 2**7 (2**15 * 2**7), which float32 holds exactly under 2**24 and
    float64 under 2**53.
    """
    depth = a.shape[-1]
    exact = np.float32 if depth * 255 * 128 < 2**24 and not wide else np.float64
    product: Array = (a.astype(exact) @ b.astype(exact)).astype(np.int64)
    return product
