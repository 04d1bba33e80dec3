"""What operators with int8 weights and an optional int32 bias have in common."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization


def check_weights(rules: Operator, op: OpView, channel_axis: int, rank: int) -> None:
    """int8 input and output, constant symmetric int8 weights [rank dimensions], constant int32 bias or none."""
    rules.expect_arity(op, range(2, 4))
    rules.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8)
    rules.expect_dtype(op, "the output", op.output().dtype, DType.INT8)
    rules.expect_dtype(op, "the weights", op.input(1).dtype, DType.INT8)
    rules.expect_per_tensor(op, 0)
    rules.constant(op, 1)
    weights = op.input(1)
    if len(weights.shape) != rank or weights.elements == 0:
        rules.refuse(op, f"the weights have shape {list(weights.shape)}", f"{rank} dimensions, none of them 0")
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
    bias = op.optional(2)
    if bias is not None:
        rules.expect_dtype(op, "the bias", bias.dtype, DType.INT32)
        rules.constant(op, 2)
        if bias.shape != (weights.shape[channel_axis],):
            rules.refuse(op, f"the bias has shape {list(bias.shape)}", f"[{weights.shape[channel_axis]}]")


def scale_requantization(op: OpView, activation: Activation) -> Requantization:
    """Ratios input scale * weight scale / output scale, each product in double precision."""
    quantization = op.input(1).quantization
    assert quantization is not None
    ratios = [op.input(0).scale * scale / op.output().scale for scale in quantization.scales]
    return Requantization.of(ratios, activation, op.output())


def check_ratios(rules: Operator, op: OpView) -> None:
    """The scales give multipliers that fixed-point arithmetic can hold."""
    try:
        scale_requantization(op, Activation.NONE)
    except ValueError as error:
        rules.refuse(op, str(error), "input scale * weight scale / output scale under 2**30")


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b in int64 for a in -255..255 and b in int8, by BLAS.

    Every partial sum is at most depth * 255 * 128, which float32 holds exactly under 2**24 and float64 under
    2**53.
    """
    depth = a.shape[-1]
    exact = np.float32 if depth * 255 * 128 < 2**24 else np.float64
    product: Array = (a.astype(exact) @ b.astype(exact)).astype(np.int64)
    return product
