"""Small models of operators that rearrange, join and part tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.kernels.cases import Draw
from tests.ops.test_movement import value
from tests.support.compare import SEEDS, ZERO_POINTS, random_values
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.gather import GatherAttrs
from tinyops.ops.mirror_pad import MirrorPadAttrs, MirrorPadMode
from tinyops.ops.pack import PackAttrs
from tinyops.ops.space_to_depth import BlockAttrs
from tinyops.ops.split import SplitAttrs
from tinyops.ops.squeeze import SqueezeAttrs
from tinyops.ops.unpack import UnpackAttrs

Shape = tuple[int, ...]
INT8 = DType.INT8
REFLECT, SYMMETRIC = MirrorPadMode.REFLECT, MirrorPadMode.SYMMETRIC


def build(
    kind: str,
    shape: Shape,
    results: Sequence[Shape],
    constants: Sequence[Any] = (),
    attrs: Any = None,
    dtype: DType = INT8,
    zero_point: int = 0,
    integers: DType = DType.INT32,
) -> ModelBuilder:
    """One operator: a computed input, then constant integers; one output per result."""
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype, zero_point)
    outputs = [value(g, result, dtype, zero_point) for result in results]
    g.op(kind, [x, *(g.constant(c, integers) for c in constants)], outputs, attrs)
    g.inputs, g.outputs = (x,), tuple(outputs)
    return builder


def transpose(shape: Shape, permutation: Sequence[int], dtype: DType = INT8) -> ModelBuilder:
    return build("TRANSPOSE", shape, [tuple(shape[a] for a in permutation)], [permutation], dtype=dtype)


def slice_(
    shape: Shape, begin: Sequence[int], size: Sequence[int], dtype: DType = INT8, integers: DType = DType.INT32
) -> ModelBuilder:
    result = tuple(n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True))
    return build("SLICE", shape, [result], [begin, size], dtype=dtype, integers=integers)


def broadcast_to(shape: Shape, to: Shape, dtype: DType = INT8) -> ModelBuilder:
    return build("BROADCAST_TO", shape, [to], [to], dtype=dtype)


def tile(shape: Shape, multiples: Sequence[int], dtype: DType = INT8) -> ModelBuilder:
    return build("TILE", shape, [tuple(n * m for n, m in zip(shape, multiples, strict=True))], [multiples], dtype=dtype)


def squeeze(shape: Shape, axes: Sequence[int], dtype: DType = INT8) -> ModelBuilder:
    dropped = {a % len(shape) for a in axes} or {a for a, n in enumerate(shape) if n == 1}
    result = tuple(n for a, n in enumerate(shape) if a not in dropped)
    return build("SQUEEZE", shape, [result], attrs=SqueezeAttrs(tuple(axes)), dtype=dtype)


def expand_dims(shape: Shape, axis: int, dtype: DType = INT8) -> ModelBuilder:
    return build("EXPAND_DIMS", shape, [np.expand_dims(np.zeros(shape), axis).shape], [axis], dtype=dtype)


def mirror_pad(
    shape: Shape, paddings: Sequence[tuple[int, int]], mode: MirrorPadMode, dtype: DType = INT8
) -> ModelBuilder:
    result = tuple(n + a + b for n, (a, b) in zip(shape, paddings, strict=True))
    return build("MIRROR_PAD", shape, [result], [paddings], MirrorPadAttrs(mode), dtype)


def padv2(
    shape: Shape, paddings: Sequence[tuple[int, int]], fill: int, dtype: DType = INT8, zero_point: int = 0
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype, zero_point)
    y = value(g, tuple(n + a + b for n, (a, b) in zip(shape, paddings, strict=True)), dtype, zero_point)
    zero = zero_point if dtype is INT8 else 0
    g.op("PADV2", [x, g.constant(paddings), g.tensor((), dtype, scale=0.5, zero_point=zero, data=fill)], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def space_to_depth(shape: Shape, block: int, dtype: DType = INT8) -> ModelBuilder:
    n, h, w, c = shape
    result = (n, h // block, w // block, c * block * block)
    return build("SPACE_TO_DEPTH", shape, [result], attrs=BlockAttrs(block), dtype=dtype)


def depth_to_space(shape: Shape, block: int, dtype: DType = INT8) -> ModelBuilder:
    n, h, w, c = shape
    result = (n, h * block, w * block, c // (block * block))
    return build("DEPTH_TO_SPACE", shape, [result], attrs=BlockAttrs(block), dtype=dtype)


def space_to_batch(
    shape: Shape, block: Sequence[int], paddings: Sequence[tuple[int, int]], dtype: DType = INT8, zero_point: int = 0
) -> ModelBuilder:
    spatial = [(n + a + b) // s for n, (a, b), s in zip(shape[1:-1], paddings, block, strict=True)]
    result = (shape[0] * math.prod(block), *spatial, shape[-1])
    return build("SPACE_TO_BATCH_ND", shape, [result], [block, paddings], dtype=dtype, zero_point=zero_point)


def batch_to_space(
    shape: Shape, block: Sequence[int], crops: Sequence[tuple[int, int]], dtype: DType = INT8
) -> ModelBuilder:
    spatial = [n * s - a - b for n, (a, b), s in zip(shape[1:-1], crops, block, strict=True)]
    result = (shape[0] // math.prod(block), *spatial, shape[-1])
    return build("BATCH_TO_SPACE_ND", shape, [result], [block, crops], dtype=dtype)


def split(shape: Shape, parts: int, axis: int, dtype: DType = INT8) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    place = axis % len(shape)
    outputs = [value(g, (*shape[:place], shape[place] // parts, *shape[place + 1 :]), dtype) for _ in range(parts)]
    g.op("SPLIT", [g.constant(axis), x], outputs, SplitAttrs(parts))
    g.inputs, g.outputs = (x,), tuple(outputs)
    return builder


def pack(shape: Shape, count: int, axis: int, dtype: DType = INT8) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    parts = [value(g, shape, dtype) for _ in range(count)]
    place = axis % (len(shape) + 1)
    y = value(g, (*shape[:place], count, *shape[place:]), dtype)
    g.op("PACK", parts, [y], PackAttrs(count, axis))
    g.inputs, g.outputs = tuple(parts), (y,)
    return builder


def unpack(shape: Shape, axis: int, dtype: DType = INT8) -> ModelBuilder:
    place = axis % len(shape)
    results = [(*shape[:place], *shape[place + 1 :])] * shape[place]
    return build("UNPACK", shape, results, attrs=UnpackAttrs(shape[place], axis), dtype=dtype)


def gather(
    shape: Shape, indices: Any, axis: int, batch_dims: int = 0, dtype: DType = INT8, computed: bool = False
) -> ModelBuilder:
    """`indices` are constant, or their shape where they are computed."""
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    taken = g.tensor(indices, DType.INT32) if computed else g.constant(indices)
    extents = g.tensors[taken].shape
    place = axis % len(shape)
    batch = batch_dims % max(len(extents), 1) if batch_dims < 0 else batch_dims
    y = value(g, (*shape[:place], *extents[batch:], *shape[place + 1 :]), dtype)
    g.op("GATHER", [x, taken], [y], GatherAttrs(axis, batch_dims))
    g.inputs, g.outputs = (x, taken) if computed else (x,), (y,)
    return builder


def embedding_lookup(table: Shape, count: int, dtype: DType = INT8, seed: int = 0) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    taken = g.tensor((count,), DType.INT32)
    rows = g.tensor(table, dtype, scale=0.5, data=random_values(seed, table, dtype))
    y = value(g, (count, *table[1:]), dtype)
    g.op("EMBEDDING_LOOKUP", [taken, rows], [y])
    g.inputs, g.outputs = (taken,), (y,)
    return builder


def reverse(shape: Shape, axes: Sequence[int], dtype: DType = INT8) -> ModelBuilder:
    return build("REVERSE_V2", shape, [shape], [axes], dtype=dtype)


def gather_nd(shape: Shape, indices: Any, dtype: DType = INT8, computed: bool = False) -> ModelBuilder:
    """`indices` are constant, or their shape where they are computed."""
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    taken = g.tensor(indices, DType.INT32) if computed else g.constant(indices)
    extents = g.tensors[taken].shape
    y = value(g, (*extents[:-1], *shape[extents[-1] :]), dtype)
    g.op("GATHER_ND", [x, taken], [y])
    g.inputs, g.outputs = (x, taken) if computed else (x,), (y,)
    return builder


def update_slice(shape: Shape, box: Shape, start: Sequence[int] | None, dtype: DType = INT8) -> ModelBuilder:
    """`start` is None where it is computed."""
    builder = ModelBuilder()
    g = builder.graph()
    x, part, y = (value(g, s, dtype) for s in (shape, box, shape))
    place = g.tensor((len(shape),), DType.INT32) if start is None else g.constant(start)
    g.op("DYNAMIC_UPDATE_SLICE", [x, part, place], [y])
    g.inputs, g.outputs = (x, part, place) if start is None else (x, part), (y,)
    return builder


def fill(shape: Shape, dtype: DType = INT8) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = value(g, (), dtype), value(g, shape, dtype)
    g.op("FILL", [g.constant(shape), x], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def some_shape(draw: Draw, low: int = 1, high: int = 5, most: int = 5) -> Shape:
    return tuple(draw(st.lists(st.integers(low, high), min_size=1, max_size=most)))


def _transpose(draw: Draw, dtype: DType) -> ModelBuilder:
    shape = some_shape(draw)
    return transpose(shape, draw(st.permutations(range(len(shape)))), dtype)


def _slice(draw: Draw, dtype: DType) -> ModelBuilder:
    shape = some_shape(draw)
    begin = [draw(st.integers(0, n - 1)) for n in shape]
    size = [draw(st.one_of(st.just(-1), st.integers(1, n - b))) for n, b in zip(shape, begin, strict=True)]
    return slice_(shape, begin, size, dtype, draw(st.sampled_from([DType.INT32, DType.INT64])))


def _broadcast_to(draw: Draw, dtype: DType) -> ModelBuilder:
    to = some_shape(draw, high=4)
    own = to[draw(st.integers(0, len(to) - 1)) :]
    return broadcast_to(tuple(draw(st.sampled_from([1, n])) for n in own), to, dtype)


def _mirror_pad(draw: Draw, dtype: DType) -> ModelBuilder:
    mode = draw(st.sampled_from([REFLECT, SYMMETRIC]))
    shape = some_shape(draw, high=4, most=4)
    most = [n - (mode is REFLECT) for n in shape]
    return mirror_pad(shape, [(draw(st.integers(0, m)), draw(st.integers(0, m))) for m in most], mode, dtype)


def _space_to_depth(draw: Draw, dtype: DType) -> ModelBuilder:
    block, (n, h, w, c) = draw(st.integers(1, 3)), (draw(st.integers(1, 3)) for _ in range(4))
    return space_to_depth((n, h * block, w * block, c), block, dtype)


def _depth_to_space(draw: Draw, dtype: DType) -> ModelBuilder:
    block, (n, h, w, c) = draw(st.integers(1, 3)), (draw(st.integers(1, 3)) for _ in range(4))
    return depth_to_space((n, h, w, c * block * block), block, dtype)


def _batch_to_space(draw: Draw, dtype: DType) -> ModelBuilder:
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 3)) for _ in range(spatial)]
    inner = [draw(st.integers(1, 4)) for _ in range(spatial)]
    crops = []
    for n, s in zip(inner, block, strict=True):
        before = draw(st.integers(0, n * s - 1))
        crops.append((before, draw(st.integers(0, n * s - 1 - before))))
    if draw(st.booleans()):
        crops = [(0, 0)] * spatial
    shape = (draw(st.integers(1, 2)) * math.prod(block), *inner, draw(st.integers(1, 3)))
    return batch_to_space(shape, block, crops, dtype)


def _tile(draw: Draw, dtype: DType) -> ModelBuilder:
    shape = some_shape(draw, high=3, most=4)
    return tile(shape, [draw(st.integers(1, 3)) for _ in shape], dtype)


def _reverse(draw: Draw, dtype: DType) -> ModelBuilder:
    """Neighbouring axes, as TFLite Micro wants them."""
    shape = some_shape(draw)
    first = draw(st.integers(0, len(shape) - 1))
    return reverse(shape, range(first, draw(st.integers(first + 1, len(shape)))), dtype)


REARRANGEMENTS = {
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BROADCAST_TO": _broadcast_to,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MIRROR_PAD": _mirror_pad,
    "REVERSE_V2": _reverse,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _space_to_depth,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}


@st.composite
def gathers(draw: st.DrawFn, computed: bool, dtypes: Sequence[DType] = (INT8,)) -> tuple[ModelBuilder, int]:
    shape = some_shape(draw, high=4, most=4)
    axis = draw(st.integers(0, len(shape) - 1))
    batch = draw(st.integers(0, axis))
    extents = (*shape[:batch], *draw(st.lists(st.integers(1, 3), max_size=2)))
    if math.prod((*shape[:axis], *extents[batch:], *shape[axis + 1 :])) == 0:
        assume(False)
    seed = draw(SEEDS)
    indices = np.random.default_rng(seed).integers(0, shape[axis], extents)
    negative = draw(st.booleans())
    if negative and batch < len(extents):
        batch -= len(extents)
    dtype = draw(st.sampled_from(list(dtypes)))
    return gather(shape, extents if computed else indices, axis - negative * len(shape), batch, dtype, computed), seed


@st.composite
def coordinates(draw: st.DrawFn, computed: bool, dtypes: Sequence[DType] = (INT8,)) -> tuple[ModelBuilder, int]:
    """GATHER_ND."""
    shape = some_shape(draw, high=4, most=5)
    extents = (*draw(st.lists(st.integers(1, 3), max_size=2)), draw(st.integers(1, len(shape))))
    seed = draw(SEEDS)
    indices = np.random.default_rng(seed).integers(0, shape[: extents[-1]], extents)
    return gather_nd(shape, extents if computed else indices, draw(st.sampled_from(list(dtypes))), computed), seed


@st.composite
def updates(draw: st.DrawFn, dtypes: Sequence[DType] = (INT8,)) -> tuple[ModelBuilder, int]:
    """DYNAMIC_UPDATE_SLICE, at places inside and outside."""
    shape = some_shape(draw, high=4)
    box = tuple(draw(st.integers(1, n)) for n in shape)
    start = draw(st.one_of(st.none(), st.tuples(*(st.integers(-2, n + 1) for n in shape))))
    return update_slice(shape, box, start, draw(st.sampled_from(list(dtypes)))), draw(SEEDS)


@st.composite
def batched(draw: st.DrawFn, dtypes: Sequence[DType] = (INT8,)) -> tuple[ModelBuilder, int]:
    """SPACE_TO_BATCH_ND, with paddings mostly."""
    spatial = draw(st.integers(1, 2))
    block = [draw(st.integers(1, 4)) for _ in range(spatial)]
    sizes, paddings = [], []
    for s in block:
        n, before = draw(st.integers(1, 6)), draw(st.sampled_from([0, 1, s, 2 * s + 1]))
        sizes.append(n)
        paddings.append((before, -(n + before) % s + s * draw(st.integers(0, 1))))
    if draw(st.integers(0, 3)) == 0:
        sizes, paddings = [n * s for n, s in zip(sizes, block, strict=True)], [(0, 0)] * spatial
    shape = (draw(st.integers(1, 2)), *sizes, draw(st.integers(1, 3)))
    dtype = draw(st.sampled_from(list(dtypes)))
    return space_to_batch(shape, block, paddings, dtype, draw(ZERO_POINTS)), draw(SEEDS)
