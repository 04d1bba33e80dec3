"""RESHAPE, PAD, CONCATENATION, STRIDED_SLICE and SPLIT_V."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, random_values
from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType, OpView, Quantization
from tinyops.ops import check
from tinyops.ops.base import Operator, operator
from tinyops.ops.concatenation import ConcatenationAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.movement import DTYPES
from tinyops.ops.split_v import SplitVAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs

#: TFLite Micro moves no uint8, except by RESHAPE.
ORACLE_DTYPES = st.sampled_from([DType.INT8, DType.INT16, DType.INT32])
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def rules_and_view(builder: ModelBuilder) -> tuple[Operator, OpView]:
    model, _ = builder.build()
    check(model)
    view = next(model.main.views())
    rules = operator(view.kind)
    assert rules is not None
    return rules, view


def value(g: GraphBuilder, shape: tuple[int, ...], dtype: DType, zero_point: int = 0) -> int:
    zero = zero_point if dtype is DType.INT8 else 0
    return g.tensor(shape, dtype, scale=0.5, zero_point=zero)


def reshape(shape: tuple[int, ...], to: tuple[int, ...], dtype: DType = DType.INT8, given: bool = True) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = value(g, shape, dtype), value(g, to, dtype)
    g.op("RESHAPE", [x, g.constant(to)] if given else [x], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def pad(shape: tuple[int, ...], paddings: list[tuple[int, int]], dtype: DType, zero_point: int = 0) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype, zero_point)
    grown = tuple(n + a + b for n, (a, b) in zip(shape, paddings, strict=True))
    y = value(g, grown, dtype, zero_point)
    g.op("PAD", [x, g.constant(paddings)], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def concatenation(shapes: list[tuple[int, ...]], axis: int, dtype: DType = DType.INT8, zero: int = 0) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    parts = [value(g, shape, dtype, zero) for shape in shapes]
    joined = list(shapes[0])
    joined[axis] = sum(shape[axis] for shape in shapes)
    y = value(g, tuple(joined), dtype, zero)
    g.op("CONCATENATION", parts, [y], ConcatenationAttrs(axis))
    g.inputs, g.outputs = tuple(parts), (y,)
    return builder


def strided_slice(
    shape: tuple[int, ...],
    begin: list[int],
    end: list[int],
    strides: list[int],
    attrs: StridedSliceAttrs,
    dtype: DType = DType.INT8,
    result: tuple[int, ...] | None = None,
) -> ModelBuilder:
    """The result's shape comes from NumPy's indexing unless it is given."""
    index = tuple(
        begin[k]
        if attrs.shrink_axis_mask >> k & 1
        else slice(
            None if attrs.begin_mask >> k & 1 else begin[k],
            None if attrs.end_mask >> k & 1 else end[k],
            strides[k],
        )
        for k in range(len(shape))
    )
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    y = value(g, np.zeros(shape)[index].shape if result is None else result, dtype)
    g.op("STRIDED_SLICE", [x, g.constant(begin), g.constant(end), g.constant(strides)], [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


def split_v(shape: tuple[int, ...], sizes: list[int], axis: int, dtype: DType = DType.INT8) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    place = axis % len(shape)
    parts = [value(g, (*shape[:place], n, *shape[place + 1 :]), dtype) for n in sizes]
    g.op("SPLIT_V", [x, g.constant(sizes), g.constant(axis)], parts, SplitVAttrs(len(sizes)))
    g.inputs, g.outputs = (x,), tuple(parts)
    return builder


@given(SHAPES, st.sampled_from(DTYPES), st.booleans(), SEEDS)
def test_reshape_equals_tflite_micro(shape: tuple[int, ...], dtype: DType, given: bool, seed: int) -> None:
    assert_same(reshape(shape, (math.prod(shape), 1), dtype, given), seed)


@given(st.data(), ORACLE_DTYPES, ZERO_POINTS, SEEDS)
def test_pad_equals_tflite_micro(data: st.DataObject, dtype: DType, zero_point: int, seed: int) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    border = st.tuples(st.integers(0, 3), st.integers(0, 3))
    assert_same(pad(shape, [data.draw(border) for _ in shape], dtype, zero_point), seed)


@given(st.data(), SHAPES, ORACLE_DTYPES, ZERO_POINTS, SEEDS)
def test_concatenation_equals_tflite_micro(
    data: st.DataObject, shape: tuple[int, ...], dtype: DType, zero_point: int, seed: int
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    place = axis % len(shape)
    shapes = [(*shape[:place], n, *shape[place + 1 :]) for n in sizes]
    assert_same(concatenation(shapes, axis, dtype, zero_point), seed)


@given(st.data(), SHAPES, ORACLE_DTYPES, SEEDS)
def test_strided_slice_equals_tflite_micro(
    data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int
) -> None:
    begin, end, strides = [], [], []
    shrink = 0
    for k, n in enumerate(shape):
        stride = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        if data.draw(st.integers(0, 3)) == 0:
            shrink |= 1 << k
            begin.append(data.draw(st.integers(-n, n - 1)))
            stride = abs(stride)
        else:
            begin.append(data.draw(st.integers(-n - 2, n + 2)))
        end.append(data.draw(st.integers(-n - 2, n + 2)))
        strides.append(stride)
    masks = st.integers(0, 2 ** len(shape) - 1)
    attrs = StridedSliceAttrs(data.draw(masks) & ~shrink, data.draw(masks), shrink_axis_mask=shrink)
    builder = strided_slice(shape, begin, end, strides, attrs, dtype)
    assume(math.prod(builder.graphs[0].tensors[1].shape) > 0)
    assert_same(builder, seed)


@given(st.data(), SHAPES, ORACLE_DTYPES, SEEDS)
def test_split_v_equals_tflite_micro(data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    place = axis % len(shape)
    assert_same(split_v((*shape[:place], sum(sizes), *shape[place + 1 :]), sizes, axis, dtype), seed)


def test_uint8_moves_like_int8() -> None:
    values = random_values(1, (2, 3, 4), DType.UINT8)
    cases: list[tuple[ModelBuilder, np.ndarray[Any, Any]]] = [
        (pad((2, 3, 4), [(1, 0), (0, 2), (1, 1)], DType.UINT8), np.pad(values, [(1, 0), (0, 2), (1, 1)])),
        (concatenation([(2, 3, 4)], 1, DType.UINT8), values),
        (
            strided_slice((2, 3, 4), [0, 1, 3], [2, 3, 0], [1, 1, -2], StridedSliceAttrs(), DType.UINT8),
            values[:, 1:3, 3:0:-2],
        ),
        (split_v((2, 3, 4), [1, 2], 1, DType.UINT8), values[:, :1]),
    ]
    for builder, expected in cases:
        model, _ = builder.build()
        np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


def test_reshape_is_a_view() -> None:
    rules, view = rules_and_view(reshape((2, 3), (6,)))
    assert rules.view(view) == {0: (0, 0)}


@pytest.mark.parametrize(
    ("axis", "embedded", "distances"),
    [
        # [1, 2] and [1, 3] side by side: input 1 is read from the start when 2 elements are written already.
        (1, {0: 0, 1: 4}, {(0, 0): 0, (1, 0): 4}),
    ],
)
def test_concatenation_of_the_first_axis_embeds(
    axis: int, embedded: dict[int, int], distances: dict[tuple[int, int], int]
) -> None:
    rules, view = rules_and_view(concatenation([(1, 2), (1, 3)], axis, DType.INT16))
    assert rules.embed(view) == embedded
    assert rules.overlap(view) == distances


def test_concatenation_of_an_inner_axis_does_not_embed() -> None:
    rules, view = rules_and_view(concatenation([(2, 2), (2, 3)], 1))
    assert rules.embed(view) == {}
    # Input 0: row 1 (address 2) is read when 5 are written. Input 1 is read when all rows have been written to.
    assert rules.overlap(view) == {(0, 0): 3}


@pytest.mark.parametrize(
    ("begin", "end", "strides", "contiguous", "distance"),
    [
        ([1, 0], [3, 4], [1, 1], {0: (0, 8)}, 0),
        ([0, 1], [1, 3], [1, 1], {0: (0, 2)}, 0),
        ([0, 1], [2, 3], [1, 1], {}, 0),
        ([0, 0], [3, 4], [1, 2], {}, 0),
        # Reversed rows of 8 bytes: two rows are written before row 0 is read.
        ([2, 0], [-4, 4], [-1, 1], {}, 16),
    ],
)
def test_strided_slice_views(
    begin: list[int], end: list[int], strides: list[int], contiguous: dict[int, tuple[int, int]], distance: int
) -> None:
    builder = strided_slice((3, 4), begin, end, strides, StridedSliceAttrs(), DType.INT16)
    rules, view = rules_and_view(builder)
    assert rules.view(view) == contiguous
    assert rules.overlap(view) == {(0, 0): distance}


def test_split_v_views() -> None:
    rules, view = rules_and_view(split_v((1, 6, 2), [1, 2, 3], 1, DType.INT16))
    assert rules.view(view) == {0: (0, 0), 1: (0, 4), 2: (0, 12)}
    rules, view = rules_and_view(split_v((2, 6), [1, 5], 1))
    assert rules.view(view) == {}
    assert rules.overlap(view) == {}


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (reshape((2, 3), (5,)), "6 elements"),
        (pad((2,), [(-1, 2)], DType.INT8), "paddings"),
        (pad((1,) * 6, [(0, 0)] * 6, DType.INT8), "6 dimensions"),
        (strided_slice((4,), [0], [4], [0], StridedSliceAttrs(), result=(4,)), "stride 0"),
        (strided_slice((4,), [0], [4], [1], StridedSliceAttrs(ellipsis_mask=1)), "ellipsis_mask"),
        (strided_slice((4,), [0], [4], [1], StridedSliceAttrs(new_axis_mask=1)), "new_axis_mask"),
        (strided_slice((4,), [0], [4], [1], StridedSliceAttrs(offset=True)), "offset is set"),
        (strided_slice((4,), [4], [5], [1], StridedSliceAttrs(shrink_axis_mask=1), result=()), "index 4 on axis 0"),
        (strided_slice((4,), [0], [4], [-1], StridedSliceAttrs(shrink_axis_mask=1), result=()), "stride -1"),
        (strided_slice((4,), [0, 0], [4, 4], [1, 1], StridedSliceAttrs(), result=(4,)), "has 2 values"),
        (split_v((1, 6), [2, 3], 1), "sum 6"),
        (split_v((1, 6), [2, 4], 2), "axis 2"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


def test_concatenation_of_different_scales_is_refused() -> None:
    builder = concatenation([(1, 2), (1, 2)], 1)
    g = builder.graphs[0]
    g.tensors[1] = dataclasses.replace(g.tensors[1], quantization=Quantization((2.0,), (0,)))
    with pytest.raises(ModelError, match="input 1 has scale 2"):
        check(builder.build()[0])
