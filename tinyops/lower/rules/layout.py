"""Operators that rearrange elements: a strided copy where places follow a pattern, else a table of places."""

from __future__ import annotations

import math

import numpy as np

from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Ref, Role, Value
from tinyops.lower.rules.movement import at, contiguous, copy
from tinyops.lower.strides import contiguous_strides
from tinyops.ops import space_to_batch_nd as space
from tinyops.ops.base import Array, operator
from tinyops.ops.dynamic_update_slice import first_places
from tinyops.ops.embedding_lookup import lookup as embedding_lookup
from tinyops.ops.gather import Lookup
from tinyops.ops.gather import lookup as gather_lookup
from tinyops.ops.gather_nd import MAX_DEPTH
from tinyops.ops.movement import Rearrangement
from tinyops.ops.pad import zero

_TAKE_DIMS = 6


def rearrange(op: Lowering) -> list[Call]:
    rules = operator(op.view.kind)
    assert isinstance(rules, Rearrangement)
    if not op.output_needs_copy():
        return []
    return move(op, rules.offsets(op.view))


for _kind in (
    "BATCH_TO_SPACE_ND",
    "BROADCAST_TO",
    "DEPTH_TO_SPACE",
    "MIRROR_PAD",
    "RESIZE_NEAREST_NEIGHBOR",
    "REVERSE_V2",
    "SLICE",
    "SPACE_TO_DEPTH",
    "STRIDED_SLICE",
    "TILE",
    "TRANSPOSE",
):
    rule(_kind)(rearrange)


def move(op: Lowering, offsets: list[Array]) -> list[Call]:
    """Output 0 from input 0 by element offsets as of Rearrangement.offsets."""
    size = op.view.output().dtype.itemsize
    source = at(op.input(), sum(int(table[0]) for table in offsets) * size)
    tables = [(table - table[0]) * size for table in offsets]
    found = [_progressions(table) for table in tables]
    steps = [step for progressions in found for step in progressions or ()]
    if None in found:
        return _take(op, source, tables)
    extents = [n for n, _ in steps]
    return copy(source, op.output(), extents, [s for _, s in steps], contiguous_strides(extents, size), size)


def _progressions(table: Array) -> list[tuple[int, int]] | None:
    """(extent, step) of one or two arithmetic progressions, outermost first, whose sums are `table`; or None.

    `table` starts with 0.
    """
    steps = np.diff(table)
    if (steps == steps[:1]).all():
        return [(len(table), int(steps[0]) if len(steps) else 0)]
    inner = int(np.argmax(steps != steps[0])) + 1
    if len(table) % inner:
        return None
    rows = table.reshape(-1, inner)
    outer = np.diff(rows[:, 0])
    if (outer != outer[0]).any() or (rows != rows[:, :1] + rows[0]).any():
        return None
    return [(len(rows), int(outer[0])), (inner, int(steps[0]))]


def _take(op: Lowering, source: Ref, tables: list[Array]) -> list[Call]:
    run = op.view.output().dtype.itemsize
    kept = [table for table in tables if len(table) > 1]
    while np.array_equal(kept[-1], np.arange(len(kept[-1])) * run):
        run *= len(kept.pop())
    params: dict[str, Value] = {
        "dims": len(kept),
        "extents": tuple(len(table) for table in kept) + (1,) * (_TAKE_DIMS - len(kept)),
        "run": run,
    }
    offsets = op.constant("offsets", Role.TABLE, np.concatenate(kept).astype(np.int32))
    return [Call("to_take_any_b_c", params, (source, offsets, op.output()))]


@rule("SPACE_TO_BATCH_ND")
def space_to_batch(op: Lowering) -> list[Call]:
    view = op.view
    rows, columns = space.borders(view)
    if not any((*rows, *columns)):
        return move(op, space.pixels(view))
    (n, h, w, c), (_, out_h, out_w, _) = space.image(view.input(0).shape), space.image(view.output().shape)
    block_h, block_w = space.blocks(view)
    pixel = c * view.output().dtype.itemsize
    fill = op.constant("fill", Role.DATA, np.full(c, zero(view), dtype=view.output().dtype.numpy))
    calls = copy(fill, op.output(), (view.output().nbytes // pixel,), (0,), (pixel,), pixel)
    places = n * out_h * out_w
    in_stride = [step * pixel for step in (w, 1, h * w, block_h * w, block_w)]
    out_stride = [step * pixel for step in (block_w * places, places, out_h * out_w, out_w, 1)]
    for y, tall, top, bottom in _inside(block_h, rows[0], h):
        for x, wide, left, right in _inside(block_w, columns[0], w):
            start = (top * block_h + y - rows[0]) * w + left * block_w + x - columns[0]
            target = (y * block_w + x) * places + top * out_w + left
            extents = (tall, wide, n, bottom - top, right - left)
            calls += copy(
                at(op.input(), start * pixel), at(op.output(), target * pixel), extents, in_stride, out_stride, pixel
            )
    return calls


def _inside(block: int, before: int, size: int) -> list[tuple[int, int, int, int]]:
    """Neighbouring places in a block that see the same part of an axis: (first place, count, start, end).

    Place s of output k lies on the image where before <= k * block + s < before + size.
    """
    groups: list[tuple[int, int, int, int]] = []
    for place in range(block):
        start, end = -((place - before) // block), -((place - before - size) // block)
        if groups and groups[-1][2:] == (start, end):
            groups[-1] = (groups[-1][0], groups[-1][1] + 1, start, end)
        elif start < end:
            groups.append((place, 1, start, end))
    return groups


@rule("FILL")
def fill(op: Lowering) -> list[Call]:
    tensor = op.view.output()
    size = tensor.dtype.itemsize
    return copy(op.input(1), op.output(), (tensor.elements,), (0,), (size,), size)


@rule("GATHER")
def gather(op: Lowering) -> list[Call]:
    return _look_up(op, gather_lookup(op.view), 0, 1) if op.output_needs_copy() else []


@rule("EMBEDDING_LOOKUP")
def embedding(op: Lowering) -> list[Call]:
    return _look_up(op, embedding_lookup(op.view), 1, 0)


@rule("DYNAMIC_UPDATE_SLICE")
def update_slice(op: Lowering) -> list[Call]:
    """Input 0 is moved, unless it lies there already, then the box stored."""
    tensor, box, start = op.view.input(0), op.view.input(1), op.view.input(2)
    size = tensor.dtype.itemsize
    strides = contiguous_strides(tensor.shape, size)
    moved = contiguous(op.input(), op.output(), tensor.nbytes)
    if start.data is not None:
        places = first_places(op.view, start.data)
        offset = sum(place * step for place, step in zip(places, strides, strict=True))
        packed = contiguous_strides(box.shape, size)
        return [*moved, *copy(op.input(1), at(op.output(), offset), box.shape, packed, strides, size)]
    most = [n - part for n, part in zip(tensor.shape, box.shape, strict=True)]
    params: dict[str, Value] = {
        "dims": len(box.shape),
        "extents": (*box.shape, *(1,) * (_TAKE_DIMS - len(box.shape))),
        "most": (*most, *(0,) * (_TAKE_DIMS - len(most))),
        "stride": (*strides, *(0,) * (_TAKE_DIMS - len(strides))),
    }
    return [*moved, Call("to_update_any_b_c", params, (op.input(1), op.input(2), op.output()))]


@rule("GATHER_ND")
def gather_nd(op: Lowering) -> list[Call]:
    shape, indices = op.view.input(0).shape, op.view.input(1).shape
    depth = indices[-1]
    return _gather(op, 0, 1, (1, 1, math.prod(indices[:-1]), math.prod(shape[depth:])), shape[:depth])


def _look_up(op: Lowering, lookup: Lookup, values: int, indices: int) -> list[Call]:
    return _gather(op, values, indices, (lookup.batches, lookup.outer, lookup.count, lookup.inner), (lookup.size,))


def _gather(
    op: Lowering, values: int, indices: int, loops: tuple[int, int, int, int], extents: tuple[int, ...]
) -> list[Call]:
    """`loops`: batches, outer, count and elements of a slice; `extents`: of the axes that the coordinates count."""
    batches, outer, count, inner = loops
    params: dict[str, Value] = {
        "batches": batches,
        "outer": outer,
        "count": count,
        "size": math.prod(extents),
        "depth": len(extents),
        "extents": extents + (1,) * (MAX_DEPTH - len(extents)),
        "run": inner * op.view.output().dtype.itemsize,
    }
    return [Call("to_gather_any_b_c", params, (op.input(values), op.input(indices), op.output()))]
