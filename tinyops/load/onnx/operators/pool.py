"""Pooling."""

from __future__ import annotations

import dataclasses

import numpy as np

from tinyops.load.onnx import windows as w
from tinyops.load.onnx.arithmetic import binary, reduce
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import pad_zeros
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Array, Value
from tinyops.ops.base import Padding
from tinyops.ops.mirror_pad import MirrorPadAttrs, MirrorPadMode
from tinyops.ops.pool import Pool2DAttrs

_NOT_NEGATIVE = ("RELU", "RELU6", "LOGISTIC", "SOFTMAX")


def _window(node: Node) -> w.Windows:
    x = node.input()
    if x.rank not in (3, 4):
        node.refuse(f"input of shape {list(x.shape)}", "[n, channels, columns] or [n, channels, rows, columns]")
    count = x.rank - 2
    return _ceiled(node, w.read(node, node.attr_ints("kernel_shape", [0] * count), x.shape[2:]), x)


def _ceiled(node: Node, windows: w.Windows, x: Value) -> w.Windows:
    """With ceil_mode the last window may reach beyond the end, unless it lies there as a whole."""
    if not node.attr_int("ceil_mode", 0):
        return windows
    sizes = (1, *x.shape[2:])[-2:]
    pads = []
    for k, (size, (before, after)) in enumerate(zip(sizes, windows.pads, strict=True)):
        extent, stride = (windows.kernel[k] - 1) * windows.dilations[k] + 1, windows.strides[k]
        out = -(-(size + before + after - extent) // stride) + 1
        if (out - 1) * stride >= size + before:
            out -= 1
        pads.append((before, max(after, (out - 1) * stride + extent - size - before)))
    return dataclasses.replace(windows, pads=(pads[0], pads[1]))


def _pool(g: Builder, kind: str, image: Value, windows: w.Windows, padding: Padding) -> Value:
    shape = (image.shape[0], *w.out_sizes(g, windows, image.shape[1:3], padding), image.shape[3])
    attrs = Pool2DAttrs(padding, windows.strides[1], windows.strides[0], windows.kernel[1], windows.kernel[0])
    return g.op(kind, [image], shape, attrs)


@importer("MaxPool")
def max_pool(g: Builder, node: Node) -> Value:
    """1-D and 2-D, any pads, ceil_mode; not dilated, and without the indices."""
    windows = _window(node)
    node.only("dilations", list(windows.dilations), [1, 1])
    image = w.channels_last(g, node.input())
    padding = windows.padding(image.shape[1:3])
    if padding is None:
        image, padding = _never_highest(g, node.input(), image, windows), Padding.VALID
    return w.channels_first(g, _pool(g, "MAX_POOL_2D", image, windows, padding), node.input().rank)


def _never_highest(g: Builder, given: Value, image: Value, windows: w.Windows) -> Value:
    """The image with borders that change no maximum: zeros, a mirror of what the window sees, or the lowest number."""
    pairs = [(0, 0), *windows.pads, (0, 0)]
    producer = g.source(given)
    if producer is not None and producer.kind in _NOT_NEGATIVE:
        return pad_zeros(g, image, pairs)
    shape = [n + b + a for n, (b, a) in zip(image.shape, pairs, strict=True)]
    operand = g.constant(np.array(pairs, dtype=np.int32))
    halves = [(windows.kernel[k] // 2, image.shape[1 + k]) for k in range(2)]
    if all(max(pair) <= min(half) for pair, half in zip(windows.pads, halves, strict=True)):
        return g.op("MIRROR_PAD", [image, operand], shape, MirrorPadAttrs(MirrorPadMode.SYMMETRIC))
    lowest = g.constant(np.array([np.finfo(np.float32).min], dtype=np.float32))
    return g.op("PADV2", [image, operand, lowest], shape)


@importer("AveragePool")
def average_pool(g: Builder, node: Node) -> Value:
    """1-D and 2-D, any pads, ceil_mode, count_include_pad; not dilated."""
    windows = _window(node)
    node.only("dilations", list(windows.dilations), [1, 1])
    include = node.attr_int("count_include_pad", 0) != 0
    image = w.channels_last(g, node.input())
    padding = windows.padding(image.shape[1:3])
    if padding is Padding.VALID or (padding is Padding.SAME and not include):
        return w.channels_first(g, _pool(g, "AVERAGE_POOL_2D", image, windows, padding), node.input().rank)
    counts = _counts(node, windows, image, include)
    image = pad_zeros(g, image, [(0, 0), *windows.pads, (0, 0)])
    result = _pool(g, "AVERAGE_POOL_2D", image, windows, Padding.VALID)
    correction = windows.kernel[0] * windows.kernel[1] / counts
    if np.any(correction != 1):
        result = binary(g, "MUL", result, g.constant(correction[None, :, :, None].astype(np.float32)))
    return w.channels_first(g, result, node.input().rank)


def _counts(node: Node, windows: w.Windows, image: Value, include: bool) -> Array:
    """How many elements each window of the padded image averages; what ceil_mode adds never counts."""
    given = w.read(node, list(windows.kernel[4 - node.input().rank :]), node.input().shape[2:]).pads
    found = []
    for k in range(2):
        size, before = image.shape[1 + k], windows.pads[k][0]
        low, high = (0, before + size + given[k][1]) if include else (before, before + size)
        out = windows.axis(k, size + sum(windows.pads[k]), Padding.VALID).out
        start = np.arange(out) * windows.strides[k]
        found.append(np.minimum(start + windows.kernel[k], high) - np.maximum(start, low))
    if min(found[0].min(initial=1), found[1].min(initial=1)) < 1:
        node.refuse("a window lies in the pads as a whole", "windows that see the image")
    counts: Array = found[0][:, None] * found[1]
    return counts


@importer("GlobalAveragePool", "GlobalMaxPool")
def global_pool(g: Builder, node: Node) -> Value:
    """Any number of spatial dimensions."""
    x = node.input()
    if x.rank < 3:
        node.refuse(f"input of shape {list(x.shape)}", "[n, channels, ...]")
    kind = "MEAN" if node.kind == "GlobalAveragePool" else "REDUCE_MAX"
    return reduce(g, kind, x, list(range(2, x.rank)), keep=True)
