"""Resizing of images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import ints, reshape, take, transpose
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Array, Value
from tinyops.ops.resize import MAX_SIZE, ResizeAttrs
from tinyops.ops.resize_nearest_neighbor import nearest

_COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@importer("Resize")
def resize(g: Builder, node: Node) -> Value:
    """Rows and columns to a constant size; modes nearest, and linear where the scales are the ratios of the sizes."""
    x = node.input()
    if x.rank not in (3, 4):
        node.refuse(f"input of shape {list(x.shape)}", "[n, channels, columns] or [n, channels, rows, columns]")
    for name in ("antialias", "exclude_outside"):
        node.only(name, node.attr_int(name, 0), 0)
    mode = node.attr_text("mode", "nearest")
    node.only("mode", mode, "nearest", "linear")
    coordinates = node.attr_text("coordinate_transformation_mode", "half_pixel")
    node.only("coordinate_transformation_mode", coordinates, *_COORDINATES)
    sizes, scales = _target(node, x)
    g.bound(sizes)
    if mode == "nearest":
        rounding = node.attr_text("nearest_mode", "round_prefer_floor")
        node.only("nearest_mode", rounding, *_ROUNDINGS)
        taken = [_positions(n, m, s, coordinates) for n, m, s in zip(x.shape, sizes, scales, strict=True)]
        indices = [
            np.clip(_ROUNDINGS[rounding](p), 0, n - 1).astype(np.int64) for p, n in zip(taken, x.shape, strict=True)
        ]
        return _nearest(g, x, indices)
    return _linear(g, node, x, sizes, scales, coordinates)


def _target(node: Node, x: Value) -> tuple[list[int], list[float]]:
    """Sizes and scales of all axes; the batch and the channels stay as they are."""
    axes = node.attr_ints("axes") if "axes" in node.attributes else list(range(x.rank))
    axes = [node.axis(axis, x.rank) for axis in axes]
    sizes, scales = list(x.shape), [1.0] * x.rank
    given = node.optional(2)
    if given is not None and 0 not in given.shape:
        factors = node.constant(2).astype(np.float32).reshape(-1)
        if len(factors) != len(axes) or not np.isfinite(factors).all() or (factors <= 0).any():
            node.refuse(f"scales {factors.tolist()}", f"{len(axes)} positive numbers")
        for axis, factor in zip(axes, factors, strict=True):
            sizes[axis] = min(math.floor(x.shape[axis] * float(factor)), MAX_SIZE + 1)
            scales[axis] = float(factor)
    else:
        node.only("keep_aspect_ratio_policy", node.attr_text("keep_aspect_ratio_policy", "stretch"), "stretch")
        wanted = node.ints(3)
        if len(wanted) != len(axes):
            node.refuse(f"sizes {wanted}", f"{len(axes)} sizes")
        for axis, size in zip(axes, wanted, strict=True):
            sizes[axis], scales[axis] = size, size / x.shape[axis]
    if sizes[:2] != list(x.shape[:2]) or any(not 1 <= s <= MAX_SIZE for s in sizes):
        node.refuse(f"from shape {list(x.shape)} to {sizes}", "rows and columns alone change")
    return sizes, scales


def _positions(size: int, out: int, scale: float, coordinates: str) -> Array:
    """The input coordinate of each output, float64."""
    k = np.arange(out, dtype=np.float64)
    if coordinates == "align_corners":
        return k * ((size - 1) / (out - 1)) if out > 1 else np.zeros(out)
    if coordinates == "asymmetric":
        return k / scale
    if coordinates == "pytorch_half_pixel" and out == 1:
        return np.zeros(out)
    return (k + 0.5) / scale - 0.5


def _nearest(g: Builder, x: Value, indices: list[Array]) -> Value:
    """RESIZE_NEAREST_NEIGHBOR where one of its variants takes these pixels, else GATHER for each axis."""
    shape = x.shape if x.rank == 4 else (*x.shape[:2], 1, x.shape[2])
    rows = np.zeros(1, dtype=np.int64) if x.rank == 3 else indices[2]
    columns = indices[-1]
    if (
        len(rows) == shape[2]
        and len(columns) == shape[3]
        and np.all(np.diff(rows) == 1)
        and np.all(np.diff(columns) == 1)
    ):
        return x
    for aligned, half in ((False, False), (False, True), (True, False), (True, True)):
        if all(
            np.array_equal(nearest(n, len(p), aligned, half), p) for n, p in ((shape[2], rows), (shape[3], columns))
        ):
            image = transpose(g, reshape(g, x, shape), (0, 2, 3, 1))
            size = (len(rows), len(columns))
            target = (shape[0], *size, shape[1])
            result = g.op("RESIZE_NEAREST_NEIGHBOR", [image, ints(g, size)], target, ResizeAttrs(aligned, half))
            back = transpose(g, result, (0, 3, 1, 2))
            return back if x.rank == 4 else reshape(g, back, (shape[0], shape[1], size[1]))
    for axis, taken in enumerate(indices):
        if len(taken) != x.shape[axis] or np.any(np.diff(taken) != 1):
            x = take(g, x, axis, taken)
    return x


def _linear(g: Builder, node: Node, x: Value, sizes: list[int], scales: list[float], coordinates: str) -> Value:
    if sizes == list(x.shape):
        return x
    if coordinates != "align_corners":
        for n, m, s in zip(x.shape, sizes, scales, strict=True):
            if not math.isclose(s, m / n, rel_tol=1e-6):
                node.refuse(f"a scale of {s:g} from {n} to {m} pixels", f"{m / n:g}, the ratio of the sizes")
    if coordinates == "pytorch_half_pixel" and any(m == 1 < n for n, m in zip(x.shape[2:], sizes[2:], strict=True)):
        node.refuse("to one pixel with pytorch_half_pixel", "half_pixel")
    attrs = ResizeAttrs(coordinates == "align_corners", coordinates.endswith("half_pixel"))
    shape = x.shape if x.rank == 4 else (*x.shape[:2], 1, x.shape[2])
    image = transpose(g, reshape(g, x, shape), (0, 2, 3, 1))
    size = (1, sizes[2]) if x.rank == 3 else (sizes[2], sizes[3])
    result = g.op("RESIZE_BILINEAR", [image, ints(g, size)], (shape[0], *size, shape[1]), attrs)
    return reshape(g, transpose(g, result, (0, 3, 1, 2)), sizes)
