"""Convolutions."""

from __future__ import annotations

import numpy as np

from tinyops.load.onnx import windows as w
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import cut, ints, reshape, transpose
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value
from tinyops.load.onnx.weights import bias_of, weights_operand
from tinyops.ops.base import Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.transpose_conv import TransposeConvAttrs
from tinyops.ops.window import Axis


def _filters(g: Builder, node: Node) -> tuple[Value, list[int]]:
    """Weights of four dimensions, and the window that they span."""
    x, weights = node.input(0), node.input(1)
    if weights.data is None:
        node.refuse(f"the weights ({weights.name}) are computed at run time", "constant weights")
    if weights.rank != x.rank or x.rank not in (3, 4):
        node.refuse(f"input of shape {list(x.shape)}, weights of {list(weights.shape)}", "3 or 4 dimensions each")
    kernel = list(weights.shape[2:])
    given = node.attr_ints("kernel_shape") if "kernel_shape" in node.attributes else kernel
    if given != kernel or 0 in weights.shape:
        node.refuse(f"kernel_shape {given} for weights of shape {list(weights.shape)}", f"{kernel}")
    if weights.rank == 3:
        weights = reshape(g, weights, (*weights.shape[:2], 1, weights.shape[2]))
    return weights, kernel


@importer("Conv")
def conv(g: Builder, node: Node) -> Value:
    """1-D and 2-D, grouped, depthwise and dilated, any pads; constant weights and bias."""
    weights, kernel = _filters(g, node)
    given = node.input(0)
    groups, channels, units = node.attr_int("group", 1), given.shape[1], weights.shape[0]
    if groups < 1 or channels != groups * weights.shape[1] or units % groups:
        node.refuse(
            f"{channels} channels in {groups} groups, weights of shape {list(node.input(1).shape)}",
            "weights [units, channels / groups, ...], units a multiple of the groups",
        )
    windows = w.read(node, kernel, given.shape[2:])
    image, padding = w.padded(g, w.channels_last(g, given), windows)
    shape = (image.shape[0], *w.out_sizes(g, windows, image.shape[1:3], padding), units)
    (stride_h, stride_w), (dilation_h, dilation_w) = windows.strides, windows.dilations
    bias = bias_of(node, 2, units)
    if groups == channels and channels > 1:
        attrs = DepthwiseConv2DAttrs(
            padding,
            stride_w,
            stride_h,
            units // channels,
            dilation_w_factor=dilation_w,
            dilation_h_factor=dilation_h,
        )
        filters = weights_operand(g, transpose(g, weights, (1, 2, 3, 0)))
        result = g.op("DEPTHWISE_CONV_2D", [image, filters, bias], shape, attrs)
    else:
        plain = Conv2DAttrs(padding, stride_w, stride_h, dilation_w_factor=dilation_w, dilation_h_factor=dilation_h)
        filters = weights_operand(g, transpose(g, weights, (0, 2, 3, 1)))
        result = g.op("CONV_2D", [image, filters, bias], shape, plain)
    return w.channels_first(g, result, given.rank)


@importer("ConvTranspose")
def conv_transpose(g: Builder, node: Node) -> Value:
    """1-D and 2-D, grouped, dilated, any pads and output padding; constant weights and bias."""
    weights, kernel = _filters(g, node)
    given = node.input(0)
    groups = node.attr_int("group", 1)
    if weights.shape[0] != given.shape[1] or groups < 1 or given.shape[1] % groups:
        node.refuse(
            f"{given.shape[1]} channels, weights of shape {list(node.input(1).shape)}", "weights [channels, ...]"
        )
    sizes = given.shape[2:]
    windows = w.read(node, kernel, sizes)
    extra, wanted = _output(node, len(kernel))
    auto = node.attr_text("auto_pad", "NOTSET") or "NOTSET"
    image = w.channels_last(g, given)
    weights = _dilated(g, _ungrouped(g, weights, groups), windows.dilations)
    taps = weights.shape[2:]
    plan = []
    for k in range(2):
        full = (image.shape[1 + k] - 1) * windows.strides[k] + taps[k] + extra[k]
        before, after = windows.pads[k]
        size = full - before - after
        if wanted is not None:
            size = wanted[k]
        elif auto.startswith("SAME"):
            size = image.shape[1 + k] * windows.strides[k]
        if wanted is not None or auto.startswith("SAME"):
            total = max(0, full - size)
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
        if not size >= 1 or before + size > full:
            node.refuse(f"an output of {size} from {full} computed pixels", "pads and sizes that fit")
        plan.append((full, before, size))
    filters = transpose(g, weights, (1, 2, 3, 0))
    return w.channels_first(g, _spread(g, node, image, filters, windows, plan), given.rank)


def _spread(
    g: Builder, node: Node, image: Value, filters: Value, windows: w.Windows, plan: list[tuple[int, int, int]]
) -> Value:
    """TRANSPOSE_CONV, with SAME padding where that gives what `plan` says, else in full and cut."""
    units, taps, n = filters.shape[0], filters.shape[1:3], image.shape[0]
    bias = bias_of(node, 2, units)
    same = [Axis.of(Padding.SAME, size, taps[k], windows.strides[k]) for k, (_, _, size) in enumerate(plan)]
    fits = all((s.out, s.before) == (image.shape[1 + k], plan[k][1]) for k, s in enumerate(same))
    rows, columns = (size if fits else full for full, _, size in plan)
    shape = (n, rows, columns, units)
    attrs = TransposeConvAttrs(Padding.SAME if fits else Padding.VALID, windows.strides[1], windows.strides[0])
    operands = [ints(g, shape), weights_operand(g, filters), image, *([] if bias is None else [bias])]
    result = g.op("TRANSPOSE_CONV", operands, shape, attrs, dtype=image.dtype)
    if fits:
        return result
    ranges = [range(before, before + size) for _, before, size in plan]
    return cut(g, result, [range(n), *ranges, range(units)])


def _output(node: Node, count: int) -> tuple[list[int], list[int] | None]:
    """output_padding and output_shape for rows and columns."""
    extra = node.attr_ints("output_padding", [0] * count)
    wanted = node.attr_ints("output_shape", [0] * count) if "output_shape" in node.attributes else None
    if any(e < 0 for e in extra):
        node.refuse(f"output_padding {extra}", "0 or more")
    if count == 1:
        return [0, *extra], None if wanted is None else [1, *wanted]
    return extra, wanted


def _ungrouped(g: Builder, weights: Value, groups: int) -> Value:
    """[channels, units, ...] for weights [channels, units / groups, ...]: zeros between the groups."""
    if groups == 1:
        return weights
    channels, own = weights.shape[:2]
    shape = (channels, own * groups, *weights.shape[2:])
    g.bound(shape)
    assert weights.data is not None
    data = np.zeros(shape, dtype=weights.data.dtype)
    for k in range(groups):
        part = slice(k * channels // groups, (k + 1) * channels // groups)
        data[part, k * own : (k + 1) * own] = weights.data[part]
    return g.constant(data, weights.name)


def _dilated(g: Builder, weights: Value, dilations: tuple[int, int]) -> Value:
    """The filters with zeros between their taps."""
    if dilations == (1, 1):
        return weights
    assert weights.data is not None
    shape = [(n - 1) * d + 1 for n, d in zip(weights.shape[2:], dilations, strict=True)]
    g.bound([*weights.shape[:2], *shape])
    data = np.zeros((*weights.shape[:2], *shape), dtype=weights.data.dtype)
    data[:, :, :: dilations[0], :: dilations[1]] = weights.data
    return g.constant(data, weights.name)
