"""Operators that move, pad, join, part and resize, and variables.

Not here, for TFLite Micro has no kernel: uint8.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.cases.case import Case
from tests.ops import layout
from tests.ops import test_movement as movement
from tests.ops import test_resize as resize
from tests.ops import test_shape as shapes
from tests.ops import test_state as state
from tests.support.compare import random_values
from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tinyops.graph import DType
from tinyops.ops.concatenation import ConcatenationAttrs
from tinyops.ops.div import DivAttrs
from tinyops.ops.gather import GatherAttrs
from tinyops.ops.pack import PackAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs
from tinyops.ops.var_handle import VarHandleAttrs

_Named = Iterator[tuple[str, ModelBuilder]]
_INT16, _INT32 = DType.INT16, DType.INT32


def cases() -> Iterator[Case]:
    groups = (_shapes(), _pads(), _joins(), _parts(), _rearranged(), _blocks(), _lookups(), _resized(), _variables())
    for group in groups:
        for name, builder in group:
            yield Case(name, builder.build()[1], numpy=name.startswith("tile"))


def _shapes() -> _Named:
    yield "reshape", movement.reshape((2, 3, 4), (4, 6))
    yield "reshape_int16", movement.reshape((5, 7), (1, 35), _INT16, given=False)
    yield "reshape_int32", movement.reshape((1,), (1, 1, 1), _INT32)
    yield "squeeze_all", layout.squeeze((1, 3, 1, 5), [])
    yield "squeeze_some", layout.squeeze((1, 3, 1, 5), [-2], _INT16)
    yield "squeeze_first", layout.squeeze((1, 1, 7), [0])
    yield "expand_dims_first", layout.expand_dims((3, 5), 0)
    yield "expand_dims_last", layout.expand_dims((3, 5), -1, _INT16)
    yield "expand_dims_middle", layout.expand_dims((2, 3, 5), 1)
    yield "shape", _extents("SHAPE")
    yield "zeros_like", _extents("ZEROS_LIKE")
    yield "reshape_by_shape", shapes.dynamic_batch()
    yield "fill", layout.fill((2, 3, 5))
    yield "fill_int32", layout.fill((7,), _INT32)


def _extents(kind: str) -> ModelBuilder:
    """What is made of the first input's shape, times the second input."""
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor((3, 5), _INT32), g.tensor((2,) if kind == "SHAPE" else (3, 5), _INT32)
    made, z = (g.tensor(g.tensors[y].shape, _INT32) for _ in range(2))
    g.op(kind, [x], [made])
    g.op("MUL" if kind == "SHAPE" else "MAXIMUM", [made, y], [z])
    g.inputs, g.outputs = (x, y), (z,)
    return builder


def _pads() -> _Named:
    yield "pad_image", movement.pad((1, 3, 5, 2), [(0, 0), (1, 2), (2, 1), (0, 0)], DType.INT8, -7)
    yield "pad_batch_and_channels", movement.pad((2, 2, 3, 3), [(1, 0), (0, 0), (0, 1), (2, 1)], DType.INT8, 100)
    yield "pad_int16", movement.pad((3, 5), [(1, 1), (0, 3)], _INT16)
    yield "pad_five_axes", movement.pad((1, 2, 1, 3, 2), [(1, 1), (0, 1), (2, 0), (0, 0), (1, 0)], _INT32)
    yield "padv2_image", layout.padv2((1, 3, 5, 2), [(0, 0), (1, 2), (2, 1), (0, 0)], -128, zero_point=3)
    yield "padv2_vector", layout.padv2((7,), [(3, 2)], 55)
    yield "padv2_int16", layout.padv2((2, 3), [(1, 0), (0, 1)], -30000, _INT16)
    yield "padv2_int32", layout.padv2((2, 3), [(0, 2), (1, 1)], 2**31 - 1, _INT32)
    yield "mirror_pad_reflect", layout.mirror_pad((1, 4, 5, 3), [(0, 0), (2, 3), (4, 1), (0, 0)], layout.REFLECT)
    yield "mirror_pad_symmetric", layout.mirror_pad((1, 4, 5, 3), [(0, 0), (4, 1), (2, 5), (0, 0)], layout.SYMMETRIC)
    yield "mirror_pad_channels", layout.mirror_pad((2, 3, 4), [(1, 0), (0, 0), (3, 2)], layout.REFLECT)
    yield "mirror_pad_vector", layout.mirror_pad((6,), [(6, 6)], layout.SYMMETRIC)


def _joins() -> _Named:
    yield "concatenation_first", movement.concatenation([(2, 3), (1, 3), (4, 3)], 0)
    yield "concatenation_channels", movement.concatenation([(1, 3, 2, 2), (1, 3, 2, 5)], -1, zero=9)
    yield "concatenation_middle", movement.concatenation([(2, 1, 3), (2, 4, 3)], 1, _INT16)
    yield "concatenation_many", movement.concatenation([(1, n) for n in range(1, 7)], 1, _INT32)
    yield "pack_first", layout.pack((3, 5), 3, 0)
    yield "pack_last", layout.pack((3, 5), 2, -1)
    yield "pack_middle", layout.pack((2, 3, 2), 4, 1, _INT16)
    yield "pack_int32", layout.pack((5,), 2, 1, _INT32)
    yield "pack_in_place", _pack_in_place()


def _pack_in_place() -> ModelBuilder:
    """The packed tensors are computed where they belong in the output."""
    builder = ModelBuilder()
    g = builder.graph()
    parts = []
    for _ in range(2):
        x, y = movement.value(g, (4, 3), DType.INT8), movement.value(g, (3, 4), DType.INT8)
        g.op("TRANSPOSE", [x, g.constant([1, 0])], [y])
        g.inputs += (x,)
        parts.append(y)
    packed = movement.value(g, (2, 3, 4), DType.INT8)
    g.op("PACK", parts, [packed], PackAttrs(2, 0))
    g.outputs = (packed,)
    return builder


def _parts() -> _Named:
    yield "split_first", layout.split((6, 5), 3, 0)
    yield "split_channels", layout.split((1, 3, 2, 8), 2, -1)
    yield "split_int16", layout.split((2, 9, 2), 3, 1, _INT16)
    yield "split_int32", layout.split((4, 4), 4, 1, _INT32)
    yield "split_v_first", movement.split_v((7, 3), [1, 4, 2], 0)
    yield "split_v_channels", movement.split_v((2, 3, 9), [2, 6, 1], -1)
    yield "split_v_int16", movement.split_v((2, 5, 3), [3, 2], 1, _INT16)
    yield "unpack_first", layout.unpack((3, 5), 0)
    yield "unpack_last", layout.unpack((3, 4), -1)
    yield "unpack_int16", layout.unpack((2, 3, 4), 1, _INT16)
    yield "unpack_int32", layout.unpack((4, 3), 0, _INT32)
    none = StridedSliceAttrs()
    yield "strided_slice_rows", movement.strided_slice((8, 5), [2, 0], [7, 5], [1, 1], none)
    yield "strided_slice_steps", movement.strided_slice((9, 8), [1, 7], [9, 0], [3, -2], none)
    yield (
        "strided_slice_masks",
        movement.strided_slice((4, 5, 6), [1, 2, 3], [3, 4, 5], [1, 2, 1], StridedSliceAttrs(1, 4), _INT16),
    )
    yield (
        "strided_slice_shrink",
        movement.strided_slice((3, 4, 2, 3), [0, -1, 0, 0], [3, 9, 2, 3], [1] * 4, StridedSliceAttrs(0, 0, 0, 0, 2)),
    )
    yield "slice_rows", layout.slice_((6, 5), [2, 0], [3, -1])
    yield "slice_box", layout.slice_((3, 4, 5, 2), [1, 0, 2, 1], [-1, 3, 2, 1])
    yield "slice_int64_sizes", layout.slice_((7, 3), [4, 1], [2, -1], _INT16, DType.INT64)
    yield "slice_five_axes", layout.slice_((2, 3, 2, 3, 2), [1, 0, 0, 2, 0], [1, 2, 2, 1, 1], _INT32)


def _rearranged() -> _Named:
    yield "transpose_matrix", layout.transpose((7, 5), [1, 0])
    yield "transpose_to_channels_first", layout.transpose((2, 3, 4, 5), [0, 3, 1, 2])
    yield "transpose_reversed", layout.transpose((2, 3, 4), [2, 1, 0], _INT16)
    yield "transpose_five_axes", layout.transpose((2, 1, 3, 2, 4), [4, 0, 2, 1, 3])
    yield "transpose_outer", layout.transpose((3, 4, 8), [1, 0, 2])
    yield "transpose_free", layout.transpose((1, 6, 1, 4), [0, 2, 1, 3])
    yield "broadcast_to_rows", layout.broadcast_to((1, 5), (4, 5))
    yield "broadcast_to_columns", layout.broadcast_to((3, 1), (2, 3, 7))
    yield "broadcast_to_five_axes", layout.broadcast_to((2, 1, 3, 1), (3, 2, 4, 3, 2), _INT16)
    yield "broadcast_to_int32", layout.broadcast_to((1,), (3, 3), _INT32)


def _blocks() -> _Named:
    yield "space_to_depth", layout.space_to_depth((1, 4, 6, 3), 2)
    yield "space_to_depth_batch", layout.space_to_depth((2, 6, 6, 1), 3)
    yield "space_to_depth_channels", layout.space_to_depth((1, 8, 8, 5), 4)
    yield "depth_to_space", layout.depth_to_space((1, 2, 3, 12), 2)
    yield "depth_to_space_batch", layout.depth_to_space((2, 1, 2, 9), 3)
    yield "depth_to_space_channels", layout.depth_to_space((1, 3, 2, 20), 2)
    yield "space_to_batch", layout.space_to_batch((2, 4, 6, 3), [2, 3], [(0, 0), (0, 0)])
    yield "update_slice_constant", layout.update_slice((1, 6, 4), (1, 2, 4), [0, 3, 0])
    yield "update_slice_computed", layout.update_slice((3, 5), (2, 2), None)
    yield "update_slice_int16", layout.update_slice((4, 3), (1, 3), None, _INT16)
    yield "update_slice_cache", _cache()
    yield "reverse_v2_last", layout.reverse((3, 4, 5), [2])
    yield "reverse_v2_rows", layout.reverse((2, 4, 3), [0, 1], _INT32)
    yield "reverse_v2_int16", layout.reverse((2, 3, 3, 2), [1, 2], _INT16)
    yield "tile_rows", layout.tile((2, 3), [3, 1])
    yield "tile_all", layout.tile((2, 1, 3), [2, 3, 2], _INT16)
    yield "space_to_batch_one_axis", layout.space_to_batch((1, 8, 5), [4], [(0, 0)])
    yield "space_to_batch_padded", _there_and_back((1, 5, 6, 3), (2, 3), ((2, 1), (3, 0)))
    yield "space_to_batch_uneven", _there_and_back((2, 7, 5, 1), (4, 2), ((5, 8), (1, 2)))
    yield "batch_to_space", layout.batch_to_space((6, 2, 3, 2), [2, 3], [(0, 0), (0, 0)])
    yield "batch_to_space_cropped", layout.batch_to_space((8, 3, 2, 3), [2, 2], [(1, 2), (0, 1)])
    yield "batch_to_space_one_axis", layout.batch_to_space((3, 4, 2), [3], [(2, 1)])


def _there_and_back(
    shape: tuple[int, int, int, int], block: tuple[int, int], borders: tuple[tuple[int, int], tuple[int, int]]
) -> ModelBuilder:
    """Padded, divided and put together again without the padding, whose value TFLite Micro leaves open."""
    n, h, w, c = shape
    padded = (h + sum(borders[0]), w + sum(borders[1]))
    divided = (n * block[0] * block[1], padded[0] // block[0], padded[1] // block[1], c)
    builder = ModelBuilder()
    g = builder.graph()
    x, parts, y = (movement.value(g, s, DType.INT8, 5) for s in (shape, divided, shape))
    g.op("SPACE_TO_BATCH_ND", [x, g.constant(block), g.constant(borders)], [parts])
    g.op("BATCH_TO_SPACE_ND", [parts, g.constant(block), g.constant(borders)], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def _lookups() -> _Named:
    yield "gather_rows", layout.gather((5, 4), [3, 0, 0, 4], 0)
    yield "gather_columns", layout.gather((3, 5, 2), [[4, 1], [1, 0]], 1)
    yield "gather_one", layout.gather((2, 3, 4), 2, -1)
    yield "gather_batches", layout.gather((2, 3, 4), [[0, 2], [1, 1]], 1, 1)
    yield "gather_nd_pixels", layout.gather_nd((3, 4, 5), [[2, 0], [0, 3], [1, 1]])
    yield "gather_nd_elements", layout.gather_nd((3, 2, 2), [[[2, 0, 1], [0, 1, 1]]])
    yield "gather_nd_computed", _computed_coordinates()
    yield "gather_computed", _computed_lookup("GATHER")
    yield "embedding_lookup_computed", _computed_lookup("EMBEDDING_LOOKUP")
    yield "embedding_lookup_wide", _computed_lookup("EMBEDDING_LOOKUP", (3, 2, 5))


def _computed_lookup(kind: str, table: tuple[int, ...] = (6, 7)) -> ModelBuilder:
    """Rows of a constant table at the places of the largest elements of the input's rows."""
    builder = ModelBuilder()
    g = builder.graph()
    x, indices = movement.value(g, (4, table[0]), DType.INT8), g.tensor((4,), _INT32)
    rows = g.tensor(table, scale=0.5, data=random_values(1, table))
    y = movement.value(g, (4, *table[1:]), DType.INT8)
    g.op("ARG_MAX", [x, g.constant(1)], [indices])
    if kind == "GATHER":
        g.op(kind, [rows, indices], [y], GatherAttrs(0))
    else:
        g.op(kind, [indices, rows], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def _cache() -> ModelBuilder:
    """A variable of eight rows of which each invocation replaces one, at a computed place."""
    builder = ModelBuilder()
    g = builder.graph()
    x, place = movement.value(g, (1, 5), DType.INT8), g.tensor((2,), _INT32)
    scores, best = movement.value(g, (8,), DType.INT8), g.tensor((), _INT32)
    g.op("ARG_MAX", [scores, g.constant(0)], [best])
    g.op("PACK", [best, g.constant(0)], [place], PackAttrs(2, 0))
    handle, read = _variable(g, "cache", (8, 5))
    y = movement.value(g, (8, 5), DType.INT8, 3)
    g.op("DYNAMIC_UPDATE_SLICE", [read, x, place], [y])
    g.op("ASSIGN_VARIABLE", [handle, y], [])
    g.inputs, g.outputs = (x, scores), (y,)
    return builder


def _computed_coordinates() -> ModelBuilder:
    """Pixels of a constant image at the rows and columns of the largest elements of the input's rows."""
    builder = ModelBuilder()
    g = builder.graph()
    x = movement.value(g, (2, 6), DType.INT8)
    place, coordinates = g.tensor((2,), _INT32), g.tensor((2, 2), _INT32)
    row, column = g.tensor((2,), _INT32), g.tensor((2,), _INT32)
    pixels = g.tensor((2, 3, 4), scale=0.5, data=random_values(1, (2, 3, 4)))
    y = movement.value(g, (2, 4), DType.INT8)
    width = g.constant(3)
    g.op("ARG_MAX", [x, g.constant(1)], [place])
    g.op("DIV", [place, width], [row], DivAttrs())
    back = g.tensor((2,), _INT32)
    g.op("MUL", [row, width], [back])
    g.op("SUB", [place, back], [column])
    g.op("PACK", [row, column], [coordinates], PackAttrs(2, 1))
    g.op("GATHER_ND", [pixels, coordinates], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def _resized() -> _Named:
    near, bilinear = resize.NEAREST, resize.BILINEAR
    yield "nearest_twice", resize.resize(near, (1, 4, 3, 5), (8, 6))
    yield "nearest_up", resize.resize(near, (2, 3, 4, 2), (7, 9), resize.CENTERS)
    yield "nearest_down", resize.resize(near, (1, 9, 8, 3), (4, 3), resize.CORNERS)
    yield "nearest_int16", resize.resize(near, (1, 5, 3, 1), (6, 10), resize.BOTH, _INT16)
    yield "nearest_column", resize.resize(near, (1, 1, 7, 1), (3, 5))
    yield "bilinear_twice", resize.resize(bilinear, (1, 4, 3, 5), (8, 6), resize.CENTERS)
    yield "bilinear_up", resize.resize(bilinear, (2, 3, 4, 2), (7, 9))
    yield "bilinear_corners", resize.resize(bilinear, (1, 5, 6, 3), (9, 4), resize.CORNERS)
    yield "bilinear_down", resize.resize(bilinear, (1, 9, 11, 1), (2, 3), resize.CENTERS)
    yield "bilinear_one_pixel", resize.resize(bilinear, (1, 1, 1, 4), (3, 2))


def _variables() -> _Named:
    yield "variable_delay", state.delay_line(initialized=True)
    yield "variable_delay_from_zero", state.delay_line(initialized=False)
    yield "variable_previous", _previous()
    yield "variable_two", _two_variables()


def _variable(g: GraphBuilder, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(handle, value read) of a variable."""
    handle, read = g.tensor((), DType.RESOURCE), movement.value(g, shape, DType.INT8, 3)
    g.op("VAR_HANDLE", [], [handle], VarHandleAttrs("c", name))
    g.op("READ_VARIABLE", [handle], [read])
    return handle, read


def _previous() -> ModelBuilder:
    """The output is the input of the invocation before."""
    builder = ModelBuilder()
    g = builder.graph()
    x = movement.value(g, (2, 5), DType.INT8, 3)
    handle, read = _variable(g, "previous", (2, 5))
    y = movement.value(g, (10,), DType.INT8, 3)
    g.op("RESHAPE", [read, g.constant([10])], [y])
    g.op("ASSIGN_VARIABLE", [handle, x], [])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def _two_variables() -> ModelBuilder:
    """The second variable takes what the first had: a delay by two invocations, next to one by one."""
    builder = ModelBuilder()
    g = builder.graph()
    x = movement.value(g, (1, 6), DType.INT8, 3)
    first, once = _variable(g, "first", (1, 6))
    second, twice = _variable(g, "second", (1, 6))
    y = movement.value(g, (3, 6), DType.INT8, 3)
    g.op("CONCATENATION", [x, once, twice], [y], ConcatenationAttrs(0))
    g.op("ASSIGN_VARIABLE", [second, once], [])
    g.op("ASSIGN_VARIABLE", [first, x], [])
    g.inputs, g.outputs = (x,), (y,)
    return builder
