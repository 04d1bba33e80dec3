"""Operators that rearrange, join and part tensors, beyond those in test_movement."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.layout import (
    INT8,
    REARRANGEMENTS,
    REFLECT,
    SYMMETRIC,
    Shape,
    batch_to_space,
    batched,
    broadcast_to,
    build,
    coordinates,
    depth_to_space,
    embedding_lookup,
    expand_dims,
    fill,
    gather,
    gather_nd,
    gathers,
    mirror_pad,
    pack,
    padv2,
    reverse,
    slice_,
    some_shape,
    space_to_batch,
    space_to_depth,
    split,
    squeeze,
    tile,
    transpose,
    unpack,
    update_slice,
    updates,
)
from tests.ops.test_movement import SHAPES, rules_and_view
from tests.support.compare import SEEDS, ZERO_POINTS, Array, assert_same, random_values
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType, Quantization
from tinyops.ops import check
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.movement import DTYPES
from tinyops.ops.space_to_depth import BlockAttrs
from tinyops.ops.squeeze import SqueezeAttrs
from tinyops.ops.unpack import UnpackAttrs

#: Dtypes of TFLite Micro's kernels; it has no TILE.
_ORACLE: dict[str, set[DType]] = {
    "BATCH_TO_SPACE_ND": {INT8},
    "BROADCAST_TO": {INT8, DType.INT16, DType.INT32, DType.UINT8},
    "DEPTH_TO_SPACE": {INT8},
    "MIRROR_PAD": {INT8},
    "REVERSE_V2": {INT8, DType.INT16, DType.INT32, DType.UINT8, DType.BOOL},
    "SLICE": {INT8, DType.INT16, DType.INT32, DType.BOOL},
    "SPACE_TO_DEPTH": {INT8},
    "TRANSPOSE": {INT8, DType.INT16},
}


@pytest.mark.parametrize("kind", sorted(_ORACLE))
@given(data=st.data(), seed=SEEDS)
def test_rearrangement_equals_tflite_micro(kind: str, data: st.DataObject, seed: int) -> None:
    dtype = data.draw(st.sampled_from(sorted(_ORACLE[kind])))
    assert_same(REARRANGEMENTS[kind](data.draw, dtype), seed)


@given(st.data(), SHAPES, st.sampled_from(DTYPES), SEEDS)
def test_tile_equals_numpy(data: st.DataObject, shape: Shape, dtype: DType, seed: int) -> None:
    multiples = [data.draw(st.integers(1, 3)) for _ in shape]
    values = random_values(seed, shape, dtype)
    result = Interpreter(tile(shape, multiples, dtype).build()[0]).run(values)[0]
    np.testing.assert_array_equal(result, np.tile(values, multiples))


@given(st.data(), st.sampled_from([INT8, DType.INT16, DType.INT32]), ZERO_POINTS, SEEDS)
def test_padv2_equals_tflite_micro(data: st.DataObject, dtype: DType, zero_point: int, seed: int) -> None:
    shape = some_shape(data.draw, high=4)
    border = st.tuples(st.integers(0, 3), st.integers(0, 3))
    fill = int(random_values(seed, (1,), dtype)[0])
    assert_same(padv2(shape, [data.draw(border) for _ in shape], fill, dtype, zero_point), seed)


@given(st.data(), st.sampled_from([INT8, DType.INT16]), SEEDS)
def test_squeeze_and_expand_dims_equal_tflite_micro(data: st.DataObject, dtype: DType, seed: int) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=5)))
    ones = [a - data.draw(st.sampled_from([0, len(shape)])) for a, n in enumerate(shape) if n == 1]
    assert_same(squeeze(shape, [a for a in ones if data.draw(st.booleans())], dtype), seed)
    assert_same(expand_dims(shape[:4], data.draw(st.integers(-len(shape[:4]) - 1, len(shape[:4]))), dtype), seed)


@given(st.data(), SHAPES, st.sampled_from([INT8, DType.INT16, DType.INT32]), SEEDS)
def test_split_pack_and_unpack_equal_tflite_micro(data: st.DataObject, shape: Shape, dtype: DType, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    place, parts = axis % len(shape), data.draw(st.integers(1, 4))
    assert_same(split((*shape[:place], shape[place] * parts, *shape[place + 1 :]), parts, axis, dtype), seed)
    assert_same(unpack(shape, axis, dtype), seed)
    assert_same(pack(shape, parts, data.draw(st.integers(-len(shape) - 1, len(shape))), dtype), seed)


def _outputs(builder: ModelBuilder, inputs: list[Array]) -> tuple[Array, Array]:
    """(ours, TFLite Micro's)"""
    model, data = builder.build()
    return Interpreter(model).run(*inputs)[0].reshape(-1), ORACLE.run(data, [inputs])[0].outputs[0].reshape(-1)


@given(gathers(computed=False))
def test_gather_of_constant_indices_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(gathers(computed=True))
def test_gather_of_computed_indices_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    builder, seed = case
    x, taken = (builder.graphs[0].tensors[t] for t in builder.graphs[0].inputs)
    axis = builder.graphs[0].ops[0].attrs.axis
    indices = np.random.default_rng(seed).integers(0, x.shape[axis], taken.shape).astype(np.int32)
    ours, theirs = _outputs(builder, [random_values(seed, x.shape), indices])
    np.testing.assert_array_equal(ours, theirs)


@given(coordinates(computed=False))
def test_gather_nd_of_constant_coordinates_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(coordinates(computed=True))
def test_gather_nd_of_computed_coordinates_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    builder, seed = case
    x, taken = (builder.graphs[0].tensors[t] for t in builder.graphs[0].inputs)
    indices = np.random.default_rng(seed).integers(0, x.shape[: taken.shape[-1]], taken.shape).astype(np.int32)
    ours, theirs = _outputs(builder, [random_values(seed, x.shape), indices])
    np.testing.assert_array_equal(ours, theirs)


@given(updates([INT8, DType.INT16, DType.INT32]))
def test_dynamic_update_slice_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    """Computed places are anywhere in int32, mostly out of range."""
    assert_same(*case)


@pytest.mark.parametrize("start", [[0, 0], [1, 2], [-5, 9]])
def test_dynamic_update_slice_at_computed_places(start: list[int]) -> None:
    inputs = [random_values(1, (3, 5)), random_values(2, (2, 3)), np.array(start, np.int32)]
    ours, theirs = _outputs(update_slice((3, 5), (2, 3), None), inputs)
    np.testing.assert_array_equal(ours, theirs)


def test_reverse_of_axes_apart_from_each_other() -> None:
    values = random_values(1, (2, 3, 4))
    (got,) = Interpreter(reverse((2, 3, 4), [2, -3]).build()[0]).run(values)
    np.testing.assert_array_equal(got, np.flip(values, (0, 2)))


@given(SHAPES, st.sampled_from([INT8, DType.INT32]), SEEDS)
def test_fill_equals_tflite_micro(shape: Shape, dtype: DType, seed: int) -> None:
    assert_same(fill(shape, dtype), seed)


@given(st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 6), SEEDS)
def test_embedding_lookup_equals_tflite_micro(rows: int, inner: list[int], count: int, seed: int) -> None:
    indices = np.random.default_rng(seed).integers(0, rows, count).astype(np.int32)
    ours, theirs = _outputs(embedding_lookup((rows, *inner), count, seed=seed), [indices])
    np.testing.assert_array_equal(ours, theirs)


def test_computed_indices_out_of_range_take_the_nearest_slice() -> None:
    model, _ = gather((3, 2), (4,), 0, computed=True).build()
    values = np.arange(6, dtype=np.int8).reshape(3, 2)
    indices = np.array([-(2**31), -1, 3, 2**31 - 1], dtype=np.int32)
    assert Interpreter(model).run(values, indices)[0].tolist() == [[0, 1], [0, 1], [4, 5], [4, 5]]


@given(batched())
def test_space_to_batch_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    """But for the padding, where TFLite Micro's value is not initialized and ours is the zero point."""
    builder, seed = case
    (x,) = (builder.graphs[0].tensors[t] for t in builder.graphs[0].inputs)
    ours, theirs = _outputs(builder, [random_values(seed, x.shape)])
    ones = random_values(seed, x.shape) * 0 + (x.zero_point ^ 1)
    inside = Interpreter(builder.build()[0]).run(ones)[0].reshape(-1) != x.zero_point
    assert inside.sum() == x.elements
    np.testing.assert_array_equal(ours[inside], theirs[inside])
    assert (ours[~inside] == x.zero_point).all()


def test_space_to_batch_without_padding_equals_tflite_micro() -> None:
    for shape, block in (((2, 6, 4, 3), [3, 2]), ((1, 8, 5), [4]), ((3, 2, 2, 1), [1, 2])):
        assert_same(space_to_batch(shape, block, [(0, 0)] * len(block), zero_point=9), 4)


@pytest.mark.parametrize(
    ("builder", "views"),
    [
        (squeeze((1, 3, 1), []), {0: (0, 0)}),
        (expand_dims((2, 3), 1), {0: (0, 0)}),
        (slice_((4, 3), [1, 0], [2, -1], DType.INT16), {0: (0, 6)}),
        (slice_((4, 3), [1, 1], [2, -1]), {}),
        (transpose((1, 3, 1, 4), [1, 0, 3, 2]), {0: (0, 0)}),
        (transpose((3, 4), [1, 0]), {}),
        (split((1, 6, 2), 3, 1, DType.INT16), {0: (1, 0), 1: (1, 8), 2: (1, 16)}),
        (split((2, 6), 3, 1), {}),
        (unpack((3, 4), 0, DType.INT32), {0: (0, 0), 1: (0, 16), 2: (0, 32)}),
        (unpack((3, 4), 1), {}),
        (gather((4, 2), [2, 3], 0), {0: (0, 4)}),
        (gather((4, 2), [3, 2], 0), {}),
        (gather((4, 2), (2,), 0, computed=True), {}),
        (mirror_pad((4, 2), [(0, 0), (0, 0)], REFLECT), {0: (0, 0)}),
    ],
)
def test_views(builder: ModelBuilder, views: dict[int, tuple[int, int]]) -> None:
    rules, view = rules_and_view(builder)
    assert rules.view(view) == views


@pytest.mark.parametrize(
    ("builder", "distances"),
    [
        # Reads 0 3 6 1 4 7 2 5 8: address 2 is read when six are written.
        (transpose((3, 3), [1, 0]), {(0, 0): 4}),
        (broadcast_to((1, 2), (3, 2)), {(0, 0): 4}),
        # Reads 2 1 0 1 2 1 0: address 0 is read again as the last of seven.
        (mirror_pad((3,), [(2, 2)], REFLECT), {(0, 0): 6}),
        (gather((3, 2), [2, 0], 0), {(0, 0): 2}),
        # Any index may be 0 until the last: [0, 1] are written, and two more before address 0 is read again.
        (gather((3, 2), (2,), 0, computed=True), {(0, 0): 2}),
        (pack((2,), 2, 0), {(0, 0): 0, (1, 0): 2}),
        (pack((2,), 2, 1), {(0, 0): 1}),
        (space_to_batch((1, 2, 2, 1), [2, 2], [(0, 0), (0, 0)]), {(0, 0): 0}),
        (space_to_batch((1, 2, 2, 1), [2, 2], [(1, 1), (0, 0)]), {}),
    ],
)
def test_overlaps(builder: ModelBuilder, distances: dict[tuple[int, int], int]) -> None:
    rules, view = rules_and_view(builder)
    assert rules.overlap(view) == distances


def test_pack_of_the_first_axis_embeds() -> None:
    rules, view = rules_and_view(pack((2, 3), 2, 0, DType.INT16))
    assert rules.embed(view) == {0: 0, 1: 12}
    rules, view = rules_and_view(pack((2, 3), 2, 1))
    assert rules.embed(view) == {}


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build("TRANSPOSE", (2, 3), [(2, 2)], [[0, 0]]), "permutation [0, 0]"),
        (transpose((1,) * 7, range(7)), "7 dimensions"),
        (build("SLICE", (4,), [(2,)], [[3], [2]]), "begin 3 and size 2 on axis 0"),
        (build("SLICE", (4,), [(2,)], [[-1], [2]]), "begin -1"),
        (build("SLICE", (4,), [(2,)], [[2**40], [2]], integers=DType.INT64), "fit in int32"),
        (build("BROADCAST_TO", (2, 3), [(4, 3)], [[4, 3]]), "from shape [2, 3] to [4, 3]"),
        (build("BROADCAST_TO", (2, 3), [(3,)], [[3]]), "to 1 dimensions"),
        (build("TILE", (2,), [(2,)], [[0]]), "multiples [0]"),
        (build("SQUEEZE", (1, 3), [(1,)], attrs=SqueezeAttrs((1,))), "axis 1 of extent 3"),
        (build("SQUEEZE", (1, 3), [(3,)], attrs=SqueezeAttrs((2,))), "axis 2"),
        (build("EXPAND_DIMS", (2,), [(1, 2)], [3]), "axis 3"),
        (mirror_pad((3,), [(3, 0)], REFLECT), "paddings [3, 0] on axis 0"),
        (mirror_pad((3,), [(0, 4)], SYMMETRIC), "paddings [0, 4] on axis 0"),
        (space_to_depth((1, 3, 4, 1), 2), "multiples of 2"),
        (build("SPACE_TO_DEPTH", (1, 2, 2, 1), [(1, 2, 2, 1)], attrs=BlockAttrs(0)), "block_size 0"),
        (depth_to_space((1, 2, 2, 6), 2), "6 channels"),
        (space_to_batch((1, 3, 4, 1), [2, 2], [(0, 0), (0, 0)]), "padded image of 3 x 4 pixels"),
        (build("SPACE_TO_BATCH_ND", (1, 2, 2, 1), [(1, 2, 2, 1)], [[0, 1], [[0, 0]] * 2]), "block [0, 1]"),
        (batch_to_space((3, 2, 2, 1), [2, 1], [(0, 0), (0, 0)]), "batch of 3"),
        (build("BATCH_TO_SPACE_ND", (2, 2, 2, 1), [(1, 1, 2, 1)], [[2, 1], [[2, 2], [0, 0]]]), "leave a pixel"),
        (split((1, 5), 2, 1), "2 parts of axis 1"),
        (build("UNPACK", (2, 3), [(3,)], attrs=UnpackAttrs(1, 0)), "1 outputs"),
        (gather((3, 2), [0, 3], 0), "indices 0 to 3"),
        (gather((3, 2), [-1, 2], 0), "indices -1 to 2"),
        (gather((3, 2), [[0], [1]], 0, 1), "batch_dims 1"),
        (gather_nd((3, 2), [[0, 2]]), "coordinates out of range"),
        (gather_nd((3, 2), (1, 3), computed=True), "coordinates of shape [1, 3]"),
        (reverse((3, 2), [2]), "axis 2"),
        (update_slice((3, 2), (2, 3), [0, 0]), "a box of shape [2, 3]"),
        (update_slice((3, 2), (2, 2), [0]), "a place of shape [1]"),
        (build("FILL", (2,), [(2,)], [[2]], dtype=DType.INT32), "computed at run time"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


def test_padv2_value_of_another_scale_is_refused() -> None:
    builder = padv2((2,), [(1, 1)], 3)
    g = builder.graphs[0]
    value_index = g.ops[0].inputs[2]
    assert value_index is not None
    g.tensors[value_index] = dataclasses.replace(g.tensors[value_index], quantization=Quantization((2.0,), (0,)))
    with pytest.raises(ModelError, match="the value has scale 2"):
        check(builder.build()[0])
