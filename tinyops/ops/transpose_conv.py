"""TRANSPOSE_CONV: int8, int16 or float32 activations, weights [output channels, rows, columns, input channels].

Input pixel i of an axis adds to output pixels i * stride - before .. i * stride - before + taps - 1. Input 0 is the
output's shape, which the output tensor repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import NEVER, overlap_distance
from tinyops.ops.base import Activation, Array, Operator, Padding
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import activate, is_float, matmul
from tinyops.ops.quantization import QuantizationRule, WeightRule
from tinyops.ops.weights import Operands, check_ratios, check_weights, exact_matmul, requantize, scale_requantization
from tinyops.ops.window import Axis, check_image, check_positive

#: Inputs: the output's shape, the weights, the image, the bias.
OPERANDS = Operands(values=2, weights=1, bias=3)


@dataclass(frozen=True, slots=True)
class TransposeConvAttrs:
    """Fields of TFLite's TransposeConvOptions; _h is along rows, _w along columns."""

    padding: Padding
    stride_w: int
    stride_h: int
    fused_activation_function: Activation = Activation.NONE


def axes(op: OpView) -> tuple[Axis, Axis]:
    """Rows and columns of the convolution whose gradient this is: `size` is the output's, `out` the input's."""
    a, weights, output = op.attrs, op.input(1).shape, op.output().shape
    return (
        Axis.of(a.padding, output[1], weights[1], a.stride_h),
        Axis.of(a.padding, output[2], weights[2], a.stride_w),
    )


def requantization(op: OpView) -> Requantization:
    return scale_requantization(op, op.attrs.fused_activation_function, OPERANDS)


def _lowest_reads(axis: Axis) -> Array:
    """int64[axis.size]: the lowest input position that adds to each output position, NEVER where none does."""
    lowest = np.full(axis.size, NEVER)
    for i in reversed(range(axis.out)):
        start = i * axis.stride - axis.before
        lowest[max(start, 0) : max(start + axis.taps, 0)] = i
    return lowest


def _spread(op: OpView, dtype: type, products: Callable[[int, int], Array]) -> Array:
    """[batches, rows, columns, channels] of the output: the sum of all taps; `products` of one are the input's size."""
    rows, columns = axes(op)
    batches, height, width, _ = op.input(OPERANDS.values).shape
    channels = op.output().shape[3]
    spread: Array = np.zeros((batches, rows.size + 2 * rows.taps, columns.size + 2 * columns.taps, channels), dtype)
    for i in range(rows.taps):
        for j in range(columns.taps):
            # One border of `taps` on each side takes what falls outside of the output.
            top, left = rows.taps - rows.before + i, columns.taps - columns.before + j
            bottom, right = top + (height - 1) * rows.stride + 1, left + (width - 1) * columns.stride + 1
            spread[:, top : bottom : rows.stride, left : right : columns.stride] += products(i, j)
    return spread[:, rows.taps : rows.taps + rows.size, columns.taps : columns.taps + columns.size]


class TransposeConv(Operator):
    kind = "TRANSPOSE_CONV"
    attrs = TransposeConvAttrs
    options = "TransposeConvOptions"
    versions = range(1, 6)
    quantization = QuantizationRule(weights=WeightRule(values=2, weights=1, bias=3))

    def check(self, op: OpView) -> None:
        check_weights(self, op, channel_axis=0, rank=4, at=OPERANDS, floats=True)
        check_image(self, op, OPERANDS.values)
        check_positive(self, op, "stride_w", "stride_h")
        check_ratios(self, op, OPERANDS)
        image, weights, output = op.input(OPERANDS.values).shape, op.input(OPERANDS.weights).shape, op.output().shape
        if image[3] != weights[3]:
            self.refuse(op, f"the input has {image[3]} channels and the weights {weights[3]}", "equal counts")
        if len(output) != 4 or (output[0], output[3]) != (image[0], weights[0]):
            self.refuse(
                op, f"output 0 has shape {list(output)}", f"[{image[0]}, rows, columns, {weights[0]}], by the inputs"
            )
        given = op.input(0).data
        if given is not None and tuple(given.reshape(-1).tolist()) != output:
            self.refuse(op, f"input 0 asks for shape {given.reshape(-1).tolist()}", f"{list(output)}, the output's")
        rows, columns = axes(op)
        if (rows.out, columns.out) != image[1:3]:
            self.refuse(
                op,
                f"an output of {output[1]} x {output[2]} pixels from {image[1]} x {image[2]}",
                f"an output whose convolution has {image[1]} x {image[2]} pixels, not {rows.out} x {columns.out}",
            )

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        _, weights, image, bias = (*inputs, None)[:4]
        assert weights is not None
        assert image is not None
        if is_float(op):
            total = _spread(op, np.float32, lambda i, j: matmul(image, weights[:, i, j].T))
            return [activate(total if bias is None else total + bias, op.attrs.fused_activation_function)]
        values = (image.astype(np.int16) - op.input(OPERANDS.values).zero_point).reshape(-1, image.shape[3])

        def products(i: int, j: int) -> Array:
            exact = exact_matmul(values, weights[:, i, j].T, image.dtype == np.int16)
            return exact.reshape(*image.shape[:3], -1)

        inner = _spread(op, np.int64, products)
        return [requantize(op, requantization(op), inner if bias is None else inner + bias)]

    def macs(self, op: OpView) -> int:
        """Of all taps, those that fall outside of the output among them."""
        return op.input(OPERANDS.values).elements * op.input(OPERANDS.weights).elements // op.input(1).shape[3]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        batches, height, width, depth = op.input(OPERANDS.values).shape
        row, column = (_lowest_reads(axis) for axis in axes(op))
        empty = (row == NEVER)[:, None] | (column == NEVER)
        pixel = np.where(row == NEVER, 0, row)[:, None] * width + np.where(column == NEVER, 0, column)
        images = np.arange(batches, dtype=np.int64)[:, None, None] * (height * width)
        reads = np.where(empty, NEVER, (images + pixel) * depth).reshape(-1)
        distance = overlap_distance(np.repeat(reads, op.output().shape[3]), 1)
        return {(OPERANDS.values, 0): distance * op.output().dtype.itemsize}
