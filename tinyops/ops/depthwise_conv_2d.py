"""DEPTHWISE_CONV_2D: int8, int16 or float32 activations, weights [1, rows, columns, channels].

Output channel c reads input channel c // depth_multiplier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Activation, Array, Operator, Padding
from tinyops.ops.conv_2d import check_convolution, requantization, window
from tinyops.ops.float32 import convolution, is_float
from tinyops.ops.quantization import QuantizationRule, WeightRule
from tinyops.ops.weights import requantize


@dataclass(frozen=True, slots=True)
class DepthwiseConv2DAttrs:
    """Fields of TFLite's DepthwiseConv2DOptions."""

    padding: Padding
    stride_w: int
    stride_h: int
    depth_multiplier: int = 1
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1


class DepthwiseConv2D(Operator):
    kind = "DEPTHWISE_CONV_2D"
    attrs = DepthwiseConv2DAttrs
    options = "DepthwiseConv2DOptions"
    versions = range(1, 8)
    quantization = QuantizationRule(weights=WeightRule(axis=3))

    def check(self, op: OpView) -> None:
        check_convolution(self, op, channel_axis=3)
        weights = op.input(1).shape
        if weights[0] != 1:
            self.refuse(op, f"the weights have shape {list(weights)}", "[1, rows, columns, channels]")
        if op.attrs.depth_multiplier < 1 or weights[3] != op.input(0).shape[3] * op.attrs.depth_multiplier:
            self.refuse(
                op,
                f"depth_multiplier is {op.attrs.depth_multiplier} for {op.input(0).shape[3]} input channels "
                f"and {weights[3]} output channels",
                "output channels = input channels * depth_multiplier",
            )

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        image, weights, bias = (*inputs, None)[:3]
        assert image is not None
        assert weights is not None
        if is_float(op):
            filters = weights.transpose(3, 1, 2, 0)
            return [convolution(window(op), image, filters, image.shape[3], bias, op.attrs.fused_activation_function)]
        zero, multiplier = op.input(0).zero_point, op.attrs.depth_multiplier
        fits = weights[0, :, :, 0].size * 2 ** (8 * image.itemsize + 7) < 2**31
        accumulator = np.zeros(op.output().shape, dtype=np.int32 if fits else np.int64)
        for i, j, tap in window(op).taps(image, zero):
            values = np.repeat(tap.astype(np.int32) - zero, multiplier, axis=3)
            accumulator += values * weights[0, i, j].astype(np.int32)
        wide = accumulator.astype(np.int64)
        if bias is not None:
            wide = wide + bias
        return [requantize(op, requantization(op), wide)]

    def macs(self, op: OpView) -> int:
        return op.output().elements * op.input(1).shape[1] * op.input(1).shape[2]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        channels = np.arange(op.output().shape[3], dtype=np.int64) // op.attrs.depth_multiplier
        distance = overlap_distance(window(op).lowest_channel_reads(channels), 1)
        return {(0, 0): distance * op.output().dtype.itemsize}
