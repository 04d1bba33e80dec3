"""What convolutions and pooling have in common: images of one or two dimensions, strides and pads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import pad_zeros, reshape, transpose
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.value import Value
from tinyops.ops.base import Padding
from tinyops.ops.window import MAX_WINDOW, Axis

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def channels_last(g: Builder, x: Value) -> Value:
    """[n, channels, columns] or [n, channels, rows, columns] to [n, rows, columns, channels]."""
    if x.rank not in (3, 4):
        g.refuse(f"input of shape {list(x.shape)}", "[n, channels, columns] or [n, channels, rows, columns]")
    if x.rank == 3:
        x = reshape(g, x, (x.shape[0], x.shape[1], 1, x.shape[2]))
    return transpose(g, x, (0, 2, 3, 1))


def channels_first(g: Builder, x: Value, rank: int) -> Value:
    """The inverse of `channels_last`."""
    x = transpose(g, x, (0, 3, 1, 2))
    return reshape(g, x, (x.shape[0], x.shape[1], x.shape[3])) if rank == 3 else x


@dataclass(frozen=True, slots=True)
class Windows:
    """Per axis (rows, columns): window size, stride, dilation, pads before and after."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    def axis(self, k: int, size: int, padding: Padding = Padding.SAME) -> Axis:
        return Axis.of(padding, size, self.kernel[k], self.strides[k], self.dilations[k])

    def padding(self, sizes: Sequence[int]) -> Padding | None:
        """TFLite's padding of the same effect on an image of `sizes`, if there is one."""
        if self.pads == ((0, 0), (0, 0)):
            return Padding.VALID
        same = [self.axis(k, sizes[k]) for k in range(2)]
        return Padding.SAME if all((s.before, s.after) == p for s, p in zip(same, self.pads, strict=True)) else None


def read(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> Windows:
    """Of a node whose window is `kernel`, over an image of `sizes`; with one dimension each, rows are added."""
    count = len(kernel)
    strides = node.attr_ints("strides", [1] * count)
    dilations = node.attr_ints("dilations", [1] * count)
    flat = node.attr_ints("pads", [0] * (2 * count))
    for name, values in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations)):
        if any(not 1 <= v <= MAX_WINDOW for v in values):
            node.refuse(f"{name} {list(values)}", f"1 to {MAX_WINDOW:,} each")
    if any(not 0 <= p <= MAX_WINDOW for p in flat):
        node.refuse(f"pads {flat}", f"0 to {MAX_WINDOW:,} each")
    pads = list(zip(flat[:count], flat[count:], strict=True))
    auto = node.attr_text("auto_pad", "NOTSET") or "NOTSET"
    node.only("auto_pad", auto, *_AUTO_PADS)
    if auto == "VALID":
        pads = [(0, 0)] * count
    elif auto.startswith("SAME"):
        same = [Axis.of(Padding.SAME, *v) for v in zip(sizes, kernel, strides, dilations, strict=True)]
        total = [s.before + s.after for s in same]
        pads = [(t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in total]
    if count == 1:
        return Windows((1, kernel[0]), (1, strides[0]), (1, dilations[0]), ((0, 0), pads[0]))
    return Windows((kernel[0], kernel[1]), (strides[0], strides[1]), (dilations[0], dilations[1]), (pads[0], pads[1]))


def padded(g: Builder, x: Value, windows: Windows) -> tuple[Value, Padding]:
    """`x` [n, rows, columns, channels] and TFLite's padding; zeros are added where that has no such padding."""
    padding = windows.padding(x.shape[1:3])
    if padding is None:
        x, padding = pad_zeros(g, x, [(0, 0), *windows.pads, (0, 0)]), Padding.VALID
    return x, padding


def out_sizes(g: Builder, windows: Windows, sizes: Sequence[int], padding: Padding) -> tuple[int, int]:
    """Rows and columns of the result over an image of `sizes`."""
    rows, columns = (windows.axis(k, sizes[k], padding).out for k in range(2))
    if rows < 1 or columns < 1:
        g.refuse(f"the window is larger than the image of {sizes[0]} x {sizes[1]} with its pads", "a window that fits")
    return rows, columns
