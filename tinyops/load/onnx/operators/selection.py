"""Operators that move, cut and join elements."""

from __future__ import annotations

import numpy as np

from tinyops.load.onnx import movement as m
from tinyops.load.onnx.arithmetic import binary
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value
from tinyops.ops.gather import GatherAttrs
from tinyops.ops.mirror_pad import MirrorPadAttrs, MirrorPadMode
from tinyops.ops.space_to_depth import BlockAttrs


@importer("Transpose")
def transpose(g: Builder, node: Node) -> Value:
    """By the attribute perm."""
    x = node.input()
    order = node.attr_ints("perm") if "perm" in node.attributes else list(reversed(range(x.rank)))
    if sorted(order) != list(range(x.rank)):
        node.refuse(f"perm {order}", f"each of 0 to {x.rank - 1} once")
    return m.transpose(g, x, order)


@importer("Concat")
def concat(g: Builder, node: Node) -> Value:
    """Along any axis."""
    parts = [node.input(i) for i in range(max(1, len(node.inputs)))]
    return m.concat(g, parts, node.axis(node.attr_int("axis"), parts[0].rank))


@importer("Split")
def split(g: Builder, node: Node) -> list[Value]:
    """Into parts of constant sizes."""
    x, count = node.input(), len(node.outputs)
    axis = node.axis(node.attr_int("axis", 0), x.rank)
    if node.opset >= 13:
        sizes = node.ints(1) if node.optional(1) is not None else None
    else:
        sizes = node.attr_ints("split") if "split" in node.attributes else None
    if sizes is None:
        part = -(-x.shape[axis] // count)
        sizes = [part] * (count - 1) + [x.shape[axis] - part * (count - 1)]
    if len(sizes) != count:
        node.refuse(f"{len(sizes)} sizes", f"{count}, as there are outputs")
    return m.split(g, x, axis, sizes)


@importer("Slice")
def slice_(g: Builder, node: Node) -> Value:
    """Constant starts, ends, axes and steps."""
    x = node.input()
    starts, ends = node.ints(1), node.ints(2)
    axes = node.ints(3) if node.optional(3) is not None else list(range(len(starts)))
    steps = node.ints(4) if node.optional(4) is not None else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        node.refuse("starts, ends, axes and steps differ in length")
    ranges = [range(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            node.refuse("a step is 0")
        k = node.axis(axis, x.rank)
        ranges[k] = range(*slice(start, end, step).indices(x.shape[k]))
    return m.cut(g, x, ranges)


@importer("Gather")
def gather(g: Builder, node: Node) -> Value:
    """Any axis; indices constant, or int32 computed at run time (an embedding)."""
    x, indices = node.input(0), node.input(1)
    axis = node.axis(node.attr_int("axis", 0), x.rank)
    if indices.data is not None:
        return m.take(g, x, axis, indices.data)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return g.op("GATHER", [x, indices], shape, GatherAttrs(axis))


@importer("ai.onnx.ml::ArrayFeatureExtractor")
def array_feature_extractor(g: Builder, node: Node) -> Value:
    """Slices along the last axis, of a constant of numbers at computed indices (class labels)."""
    x, indices = node.input(0), node.input(1)
    flat = m.reshape(g, indices, (max(1, int(np.prod(indices.shape))),))
    x = m.reshape(g, x, (1, *x.shape)) if x.rank == 1 else x
    if flat.data is not None:
        return m.take(g, x, x.rank - 1, flat.data)
    return g.op("GATHER", [x, flat], (*x.shape[:-1], *flat.shape), GatherAttrs(x.rank - 1))


@importer("Tile")
def tile(g: Builder, node: Node) -> Value:
    """A constant number of times along each axis."""
    x, times = node.input(), node.ints(1)
    if len(times) != x.rank or any(t < 0 for t in times):
        node.refuse(f"repeats {times}", f"{x.rank} numbers of 0 or more")
    shape = [n * t for n, t in zip(x.shape, times, strict=True)]
    g.bound(shape, 8)
    if x.data is not None:
        return g.constant(np.tile(x.data, times))
    return x if all(t == 1 for t in times) else g.op("TILE", [x, m.ints(g, times)], shape)


@importer("Pad")
def pad(g: Builder, node: Node) -> Value:
    """Constant pads; modes constant, reflect, and edge by single steps of up to 8; negative pads cut."""
    x = node.input()
    flat = node.ints(1)
    axes = [node.axis(a, x.rank) for a in node.ints(3)] if node.optional(3) is not None else list(range(x.rank))
    if len(flat) != 2 * len(axes):
        node.refuse(f"{len(flat)} pads", f"{2 * len(axes)}, for {len(axes)} axes")
    pairs = [(0, 0)] * x.rank
    for k, axis in enumerate(axes):
        pairs[axis] = (flat[k], flat[k + len(axes)])
    if any(abs(p) > 2**20 for pair in pairs for p in pair):
        node.refuse(f"pads {flat}", "up to 1,048,576 each")
    ranges = [range(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, pairs, strict=True)]
    x = m.cut(g, x, ranges)
    pairs = [(max(0, b), max(0, a)) for b, a in pairs]
    mode = node.attr_text("mode", "constant")
    node.only("mode", mode, "constant", "reflect", "edge")
    shape = [n + b + a for n, (b, a) in zip(x.shape, pairs, strict=True)]
    g.bound(shape, 8)
    fill = node.constant(2).reshape(-1)[:1] if node.optional(2) is not None else np.zeros(1, np.float32)
    if x.data is not None:
        if mode == "constant":
            return g.constant(np.pad(x.data, pairs, constant_values=fill[0] if fill.size else 0))
        return g.constant(np.pad(x.data, pairs, mode="reflect" if mode == "reflect" else "edge"))
    if shape == list(x.shape):
        return x
    if mode == "edge":
        return _edges(g, node, x, pairs)
    operand = g.constant(np.array(pairs, dtype=np.int32))
    if mode == "reflect":
        return g.op("MIRROR_PAD", [x, operand], shape, MirrorPadAttrs(MirrorPadMode.REFLECT))
    if fill.size == 0 or fill[0] == 0:
        return m.pad_zeros(g, x, pairs)
    return g.op("PADV2", [x, operand, g.constant(fill.astype(x.dtype.numpy))], shape)


def _edges(g: Builder, node: Node, x: Value, pairs: list[tuple[int, int]]) -> Value:
    """Mirroring one element, its edge included, repeats it."""
    if max(max(pair) for pair in pairs) > 8:
        node.refuse("mode edge with pads over 8", "up to 8")
    while any(max(pair) for pair in pairs):
        step = [(min(1, b), min(1, a)) for b, a in pairs]
        shape = [n + b + a for n, (b, a) in zip(x.shape, step, strict=True)]
        operand = g.constant(np.array(step, dtype=np.int32))
        x = g.op("MIRROR_PAD", [x, operand], shape, MirrorPadAttrs(MirrorPadMode.SYMMETRIC))
        pairs = [(b - p, a - q) for (b, a), (p, q) in zip(pairs, step, strict=True)]
    return x


@importer("DepthToSpace")
def depth_to_space(g: Builder, node: Node) -> Value:
    """Modes DCR and CRD."""
    x, block = _image(node), node.attr_int("blocksize")
    n, c, h, w = x.shape
    if block < 1 or c % (block * block):
        node.refuse(f"{c} channels in blocks of {block} x {block}")
    mode = node.attr_text("mode", "DCR")
    node.only("mode", mode, "DCR", "CRD")
    rest = c // (block * block)
    if mode == "DCR":
        shape = (n, h * block, w * block, rest)
        return _last(g, g.op("DEPTH_TO_SPACE", [_first(g, x)], shape, BlockAttrs(block)))
    parts = m.transpose(g, m.reshape(g, x, (n * rest, block, block, h, w)), (0, 3, 1, 4, 2))
    return m.reshape(g, parts, (n, rest, h * block, w * block))


@importer("SpaceToDepth")
def space_to_depth(g: Builder, node: Node) -> Value:
    """Images."""
    x, block = _image(node), node.attr_int("blocksize")
    n, c, h, w = x.shape
    if block < 1 or h % block or w % block:
        node.refuse(f"{h} x {w} pixels in blocks of {block} x {block}")
    shape = (n, h // block, w // block, c * block * block)
    return _last(g, g.op("SPACE_TO_DEPTH", [_first(g, x)], shape, BlockAttrs(block)))


def _image(node: Node) -> Value:
    x = node.input()
    if x.rank != 4:
        node.refuse(f"input of shape {list(x.shape)}", "[n, channels, rows, columns]")
    return x


def _first(g: Builder, x: Value) -> Value:
    return m.transpose(g, x, (0, 2, 3, 1))


def _last(g: Builder, x: Value) -> Value:
    return m.transpose(g, x, (0, 3, 1, 2))


@importer("Where")
def where(g: Builder, node: Node) -> Value:
    """Any shapes that broadcast; a constant mask of very low numbers becomes an ADD."""
    c, a, b = (node.input(i) for i in range(3))
    try:
        shape = np.broadcast_shapes(c.shape, a.shape, b.shape)
    except ValueError:
        node.refuse(f"shapes {list(c.shape)}, {list(a.shape)} and {list(b.shape)}", "shapes that broadcast")
    g.bound(shape, 8)
    if c.data is not None and a.data is not None and b.data is not None:
        return g.constant(np.where(c.data, a.data, b.data))
    if c.data is not None and (c.data.all() or not c.data.any()):
        return m.broadcast(g, a if c.data.all() else b, shape)
    if c.data is not None and b.data is not None and np.all(c.data | (np.broadcast_to(b.data, shape) < -1e9)):
        # An attention mask: adding the lowest number does the same to the softmax after it.
        return binary(g, "ADD", a, g.constant(np.where(c.data, 0, b.data).astype(np.float32)))
    if c.data is not None and a.data is not None and np.all(~c.data | (np.broadcast_to(a.data, shape) < -1e9)):
        return binary(g, "ADD", b, g.constant(np.where(c.data, a.data, 0).astype(np.float32)))
    return g.op("SELECT_V2", [c, a, b], shape, dtype=a.dtype)


@importer("ArgMax", "ArgMin")
def arg_extreme(g: Builder, node: Node) -> Value:
    """The first of equal values; the result is held as int32."""
    x = node.input()
    axis = node.axis(node.attr_int("axis", 0), x.rank)
    node.only("select_last_index", node.attr_int("select_last_index", 0), 0)
    kept = [1 if k == axis else n for k, n in enumerate(x.shape)]
    found = g.op(
        "ARG_MAX" if node.kind == "ArgMax" else "ARG_MIN",
        [x, m.ints(g, [axis])],
        [n for k, n in enumerate(x.shape) if k != axis],
        dtype=g.constant(np.zeros(1, np.int32)).dtype,
    )
    return m.reshape(g, found, kept) if node.attr_int("keepdims", 1) else found


@importer("CumSum")
def cumulative_sum(g: Builder, node: Node) -> Value:
    """Of a constant."""
    axis = node.axis(int(node.constant(1).reshape(-1)[0]), node.input().rank)
    if node.attr_int("exclusive", 0) or node.attr_int("reverse", 0):
        node.refuse("exclusive or reverse is set", "0")
    return g.constant(np.cumsum(node.constant(0), axis=axis, dtype=node.constant(0).dtype))
