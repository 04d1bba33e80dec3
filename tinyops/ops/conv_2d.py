"""CONV_2D: int8, int16 or float32 convolution with weights [output channels, rows, columns, input channels of a group].

With g groups, output channel c of n reads the c * g // n-th of g equal parts of the input channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Activation, Array, Operator, Padding
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import convolution, is_float
from tinyops.ops.quantization import QuantizationRule, WeightRule
from tinyops.ops.weights import check_ratios, check_weights, exact_matmul, requantize, scale_requantization
from tinyops.ops.window import Axis, Window, check_image, check_positive


@dataclass(frozen=True, slots=True)
class Conv2DAttrs:
    """Fields of TFLite's Conv2DOptions; _h is along rows, _w along columns."""

    padding: Padding
    stride_w: int
    stride_h: int
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1
    quantized_bias_type: int = 0


def window(op: OpView) -> Window:
    """The windows of a CONV_2D or DEPTHWISE_CONV_2D, whose weights have rows on axis 1 and columns on axis 2."""
    a, image, weights = op.attrs, op.input(0).shape, op.input(1).shape
    return Window(
        batches=image[0],
        channels=image[3],
        rows=Axis.of(a.padding, image[1], weights[1], a.stride_h, a.dilation_h_factor),
        columns=Axis.of(a.padding, image[2], weights[2], a.stride_w, a.dilation_w_factor),
    )


def groups(op: OpView) -> int:
    """Into how many parts the input channels are divided; each output channel reads one of them."""
    return op.input(0).shape[3] // op.input(1).shape[3]


def is_pointwise(op: OpView) -> bool:
    """A 1x1 window over all channels that visits every pixel once."""
    a = op.attrs
    return op.input(1).shape[1:3] == (1, 1) and a.stride_h == 1 and a.stride_w == 1 and groups(op) == 1


def requantization(op: OpView) -> Requantization:
    """From the accumulators of a CONV_2D or DEPTHWISE_CONV_2D to its outputs."""
    return scale_requantization(op, op.attrs.fused_activation_function)


def check_convolution(rules: Operator, op: OpView, channel_axis: int) -> None:
    """What CONV_2D and DEPTHWISE_CONV_2D require alike; the input channels are theirs to check."""
    check_weights(rules, op, channel_axis, rank=4, floats=True, int4=True)
    check_image(rules, op)
    check_positive(rules, op, "stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor")
    check_ratios(rules, op)
    w = window(op)
    rules.expect_shape(op, (w.batches, w.rows.out, w.columns.out, op.input(1).shape[channel_axis]))


class Conv2D(Operator):
    kind = "CONV_2D"
    attrs = Conv2DAttrs
    options = "Conv2DOptions"
    versions = range(1, 9)
    quantization = QuantizationRule(weights=WeightRule())

    def check(self, op: OpView) -> None:
        check_convolution(self, op, channel_axis=0)
        channels, taken = op.input(0).shape[3], op.input(1).shape[3]
        if channels % taken:
            self.refuse(
                op,
                f"the input has {channels} channels and the weights {taken}",
                "equal counts, or a multiple of the weights' channels (groups)",
            )
        if op.output().shape[3] % groups(op):
            self.refuse(
                op, f"{op.output().shape[3]} output channels in {groups(op)} groups", "a multiple of the group count"
            )

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image, weights, bias = (*inputs, None)[:3]
        assert image is not None
        assert weights is not None
        if is_float(op):
            return [convolution(window(op), image, weights, groups(op), bias, op.attrs.fused_activation_function)]
        w, zero = window(op), op.input(0).zero_point
        filters = weights.reshape(len(weights), -1)
        taken = weights.shape[3]
        parts = []
        for first, own in zip(range(0, image.shape[3], taken), np.split(filters, groups(op)), strict=True):
            taps = w.taps(image[..., first : first + taken], zero)
            patches = np.concatenate([tap.astype(np.int16) - zero for _, _, tap in taps], axis=3, dtype=np.int16)
            parts.append(exact_matmul(patches.reshape(-1, filters.shape[1]), own.T, image.dtype == np.int16))
        accumulator = np.concatenate(parts, axis=1)
        if bias is not None:
            accumulator = accumulator + bias
        return [requantize(op, requantization(op), accumulator)]

    def macs(self, op: OpView) -> int:
        return op.output().elements * math.prod(op.input(1).shape[1:])

    def overlap_descending(self, op: OpView) -> Mapping[tuple[int, int], int]:
        if not is_pointwise(op) or op.output().dtype is not DType.INT8:
            return {}
        batches, rows, columns, outputs = op.output().shape
        pixels, inputs = batches * rows * columns, op.input(0).shape[3]
        return {(0, 0): max(inputs, pixels * inputs - (pixels - 1) * outputs)}

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        outputs, taken = op.output().shape[3], op.input(1).shape[3]
        channels = np.arange(outputs, dtype=np.int64) // (outputs // groups(op)) * taken
        distance = overlap_distance(window(op).lowest_channel_reads(channels), 1)
        return {(0, 0): distance * op.output().dtype.itemsize}
