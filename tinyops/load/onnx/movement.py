"""Values moved, cut and joined: at once where they are constant, else by operators."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinyops.graph import Quantization
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.value import Array, Stored, Value
from tinyops.ops.concatenation import ConcatenationAttrs
from tinyops.ops.gather import GatherAttrs
from tinyops.ops.split import SplitAttrs
from tinyops.ops.split_v import SplitVAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs


def ints(g: Builder, values: Sequence[int]) -> Value:
    """A constant int32 operand: axes, shapes, sizes."""
    return g.constant(np.array(values, dtype=np.int32))


def reshape(g: Builder, x: Value, shape: Sequence[int]) -> Value:
    """The same elements under another shape of as many."""
    shape = tuple(int(d) for d in shape)
    if math.prod(shape) != math.prod(x.shape):
        g.refuse(f"from shape {list(x.shape)} to {list(shape)}", f"{math.prod(x.shape)} elements")
    if shape == x.shape:
        return x
    if x.data is not None:
        g.bound(shape)
        return g.constant(x.data.reshape(shape), x.name, stored=_reshaped(x.stored, shape))
    return g.op("RESHAPE", [x, ints(g, shape)], shape)


def transpose(g: Builder, x: Value, permutation: Sequence[int]) -> Value:
    """Axis k of the result is axis permutation[k] of `x`."""
    order = tuple(permutation)
    if order == tuple(range(x.rank)):
        return x
    if x.data is not None:
        return g.constant(x.data.transpose(order), x.name, stored=_transposed(x.stored, order))
    return g.op("TRANSPOSE", [x, ints(g, order)], [x.shape[k] for k in order])


def _transposed(stored: Stored | None, order: tuple[int, ...]) -> Stored | None:
    if stored is None:
        return None
    q = stored.quantization
    axis = order.index(q.axis) if q.per_channel else 0
    return Stored(np.ascontiguousarray(stored.data.transpose(order)), Quantization(q.scales, q.zero_points, axis))


def _reshaped(stored: Stored | None, shape: tuple[int, ...]) -> Stored | None:
    """Where the first axis carries the scales it has to stay as it is."""
    if stored is None:
        return None
    q = stored.quantization
    if q.per_channel and (q.axis != 0 or shape[:1] != stored.data.shape[:1]):
        return None
    return Stored(stored.data.reshape(shape), q)


def concat(g: Builder, parts: Sequence[Value], axis: int) -> Value:
    if len(parts) == 1:
        return parts[0]
    first = parts[0].shape
    for part in parts:
        if part.rank != len(first) or any(
            a != b for k, (a, b) in enumerate(zip(part.shape, first, strict=True)) if k != axis
        ):
            g.refuse(f"shapes {list(first)} and {list(part.shape)}", f"equal shapes except on axis {axis}")
    shape = (*first[:axis], sum(p.shape[axis] for p in parts), *first[axis + 1 :])
    g.bound(shape)
    if all(p.is_constant for p in parts):
        return g.constant(np.concatenate([p.data for p in parts if p.data is not None], axis=axis))
    parts = [p for p in parts if p.shape[axis] > 0]
    if len(parts) == 1:
        return parts[0]
    return g.op("CONCATENATION", parts, shape, ConcatenationAttrs(axis))


def cut(g: Builder, x: Value, ranges: Sequence[range]) -> Value:
    """The indices ranges[k] of each axis k."""
    shape = [len(r) for r in ranges]
    if all(r == range(n) for r, n in zip(ranges, x.shape, strict=True)):
        return x
    if x.data is not None:
        return g.constant(x.data[np.ix_(*(np.array(r, dtype=np.int64) for r in ranges))] if x.rank else x.data, x.name)
    if 0 in shape:
        g.refuse(f"a slice of shape {shape} is empty", "at least one element")
    if all(r.step == 1 or len(r) == 1 for r in ranges):
        return g.op("SLICE", [x, ints(g, [r[0] for r in ranges]), ints(g, shape)], shape)
    begins = [r[0] for r in ranges]
    steps = [r.step if len(r) > 1 else 1 for r in ranges]
    # An end before the first element of a descending range can only be said by the mask.
    ends = [r[-1] + (1 if s > 0 else -1) for r, s in zip(ranges, steps, strict=True)]
    mask = sum(1 << k for k, end in enumerate(ends) if end < 0)
    operands = [x, ints(g, begins), ints(g, [max(e, 0) for e in ends]), ints(g, steps)]
    return g.op("STRIDED_SLICE", operands, shape, StridedSliceAttrs(end_mask=mask))


def split(g: Builder, x: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    """Consecutive parts along an axis."""
    if min(sizes, default=0) < 0 or sum(sizes) != x.shape[axis]:
        g.refuse(f"parts of {list(sizes)} on axis {axis}", f"sizes with the sum {x.shape[axis]}")
    if len(sizes) == 1:
        return [x]
    if x.data is not None:
        ends = np.cumsum(sizes)[:-1].tolist()
        return [g.constant(part) for part in np.split(x.data, ends, axis=axis)]
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    if len(set(sizes)) == 1:
        return g.op_many("SPLIT", [ints(g, [axis]), x], shapes, SplitAttrs(len(sizes)), dtype=x.dtype)
    return g.op_many("SPLIT_V", [x, ints(g, sizes), ints(g, [axis])], shapes, SplitVAttrs(len(sizes)))


def take(g: Builder, x: Value, axis: int, indices: Array) -> Value:
    """Slices at constant indices along an axis, which the indices' dimensions take the place of."""
    size = x.shape[axis]
    if indices.dtype.kind not in "iu":
        g.refuse(f"indices are {indices.dtype}", "integers")
    if indices.size and not -size <= int(indices.min()) <= int(indices.max()) < size:
        g.refuse(f"indices {int(indices.min())} to {int(indices.max())} on axis {axis}", f"{-size} to {size - 1}")
    flat = np.where(indices < 0, indices + size, indices).astype(np.int64).reshape(-1)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    g.bound(shape, 8)
    if x.data is not None:
        return g.constant(np.take(x.data, flat, axis=axis).reshape(shape))
    if flat.size and np.all(np.diff(flat) == 1):
        start = int(flat[0])
        ranges = [range(start, start + len(flat)) if k == axis else range(n) for k, n in enumerate(x.shape)]
        return reshape(g, cut(g, x, ranges), shape)
    part = g.op(
        "GATHER", [x, ints(g, flat.tolist())], (*x.shape[:axis], len(flat), *x.shape[axis + 1 :]), GatherAttrs(axis)
    )
    return reshape(g, part, shape)


def pad_zeros(g: Builder, x: Value, pairs: Sequence[tuple[int, int]]) -> Value:
    """(before, after) zeros on each axis."""
    if not any(before or after for before, after in pairs):
        return x
    shape = [n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True)]
    g.bound(shape)
    return g.op("PAD", [x, g.constant(np.array(pairs, dtype=np.int32))], shape)


def broadcast(g: Builder, x: Value, shape: Sequence[int]) -> Value:
    shape = tuple(shape)
    if shape == x.shape:
        return x
    g.bound(shape, 8)
    if x.data is not None:
        return g.constant(np.ascontiguousarray(np.broadcast_to(x.data, shape)))
    return g.op("BROADCAST_TO", [x, ints(g, shape)], shape)
