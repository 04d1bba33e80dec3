"""Comparisons, LOGICAL_AND, LOGICAL_OR, SELECT_V2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.test_binary import Shapes, broadcast_shapes, build, draw_constants
from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.interpreter import Interpreter

ORDERED = ["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
KINDS = ["EQUAL", "NOT_EQUAL", *ORDERED]


@st.composite
def comparisons(draw: st.DrawFn, kind: str) -> tuple[ModelBuilder, int]:
    dtypes = [DType.INT8, DType.INT32] + ([] if kind in ORDERED else [DType.BOOL])
    dtype = draw(st.sampled_from([DType.INT8, *dtypes]))
    shapes = draw(broadcast_shapes())
    x, y = draw(scales(-12, -1)), draw(scales(-12, -1))
    constants: dict[int, Any] = {} if dtype is DType.BOOL else draw_constants(draw, shapes, (dtype, dtype))
    builder = build(
        kind,
        (shapes[0], shapes[1]),
        dtypes=(dtype, dtype, DType.BOOL),
        quantization=(x, x if draw(st.booleans()) else y, 1.0),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS), 0),
        constants=constants,
    )
    return builder, draw(SEEDS)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_comparisons_equal_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(comparisons(kind)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2.0**-1, 2.0**-7, 2.0**-8, 2.0**-9, 2.0**-20])
def test_near_values(kind: str, scale: float) -> None:
    # With scales under 2**-8 different values become equal when they are scaled.
    a, b = np.meshgrid(np.arange(-6, 7), np.arange(-6, 7))
    shape = a.shape
    dtypes = (DType.INT8, DType.INT8, DType.BOOL)
    builder = build(kind, (shape, shape), dtypes=dtypes, quantization=(scale, scale * 0.75, 1.0), zero_points=(1, 0, 0))
    model, data = builder.build()
    inputs = [a.astype(np.int8), b.astype(np.int8)]
    np.testing.assert_array_equal(Interpreter(model).run(*inputs)[0], ORACLE.run(data, [inputs])[0].outputs[0])


BOOLS = (DType.BOOL, DType.BOOL, DType.BOOL)


@st.composite
def logical(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    kind, shapes = draw(st.sampled_from(["LOGICAL_AND", "LOGICAL_OR"])), draw(broadcast_shapes())
    k = draw(st.integers(-1, 1))
    constants = {} if k < 0 else {k: random_values(draw(SEEDS), shapes[k], DType.BOOL)}
    return build(kind, (shapes[0], shapes[1]), dtypes=BOOLS, quantization=None, constants=constants), draw(SEEDS)


@given(logical())
def test_logical_operators_equal_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


def select(shapes: tuple[tuple[int, ...], ...], dtype: DType = DType.INT8, kind: str = "SELECT_V2") -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shapes[0], DType.BOOL)
    a, b, y = (g.tensor(shape, dtype, scale=0.1) for shape in (*shapes[1:], np.broadcast_shapes(*shapes)))
    g.op(kind, [x, a, b], [y])
    g.inputs, g.outputs = (x, a, b), (y,)
    return builder


@st.composite
def selections(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shapes = draw(broadcast_shapes(inputs=3, rank=4))
    return select(shapes, draw(st.sampled_from([DType.INT8, DType.INT16]))), draw(SEEDS)


@given(selections())
def test_select_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


def _compare(shapes: Shapes, a: DType, result: DType = DType.BOOL, scale: float = 0.5) -> ModelBuilder:
    return build("LESS", shapes, dtypes=(a, a, result), quantization=(scale, 0.5, 0.5))


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (_compare(((4,), (4,)), DType.INT16), "input 0 is int16"),
        (_compare(((4,), (4,)), DType.BOOL), "input 0 is bool"),
        (_compare(((4,), (4,)), DType.INT8, DType.INT8), "the output is int8"),
        (_compare(((4,), (4,)), DType.INT8, scale=1.0), "scale of input 0"),
        (build("EQUAL", ((4,), (4,)), dtypes=(DType.INT8, DType.INT8, DType.BOOL), quantization=None), "quantized"),
        (build("LOGICAL_AND", ((4,), (4,))), "input 0 is int8"),
        (select(((4,), (4,), (4,)), DType.INT32), "input 1 is int32"),
        (select(((1,), (4,), (4,)), kind="SELECT"), "input 0 has shape [1]"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


def test_overlap_of_a_narrower_output() -> None:
    model, _ = build("LESS", ((3, 4), (4,)), dtypes=(DType.INT32, DType.INT32, DType.BOOL), quantization=None).build()
    rules = operator("LESS")
    assert rules is not None
    # The row of 16 bytes is read for the last time when 8 to 11 have been written.
    assert rules.overlap(next(model.main.views())) == {(0, 0): 0, (1, 0): 8}
