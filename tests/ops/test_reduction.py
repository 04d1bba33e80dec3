"""MEAN (int16), SUM, REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.reduction import ReducerAttrs


def reduce(
    kind: str,
    shape: tuple[int, ...],
    axes: list[int],
    *,
    keep: bool = False,
    quantization: tuple[float, float] = (0.5, 0.5),
    zero_points: tuple[int, int] = (0, 0),
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, dtype, scale=quantization[0], zero_point=zero_points[0])
    reduced = {axis % len(shape) for axis in axes}
    kept = [1 if k in reduced else n for k, n in enumerate(shape) if keep or k not in reduced]
    y = g.tensor(kept, dtype, scale=quantization[1], zero_point=zero_points[1])
    g.op(kind, [x, g.constant(axes)], [y], ReducerAttrs(keep))
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def reductions(draw: st.DrawFn, kind: str) -> tuple[ModelBuilder, int]:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=len(shape)))
    summed = kind in ("SUM", "MEAN")
    narrow = DType.BOOL if kind == "REDUCE_ALL" else DType.INT8
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16])) if summed else narrow
    x, y = draw(scales(-16, 8)), draw(scales(-16, 12))
    a, b = (0, 0) if dtype is DType.INT16 else (draw(ZERO_POINTS), draw(ZERO_POINTS))
    builder = reduce(
        kind,
        shape,
        axes,
        keep=draw(st.booleans()),
        quantization=(x, y if summed else x),
        zero_points=(a, b if summed else a),
        dtype=dtype,
    )
    return builder, draw(SEEDS)


@pytest.mark.parametrize("kind", ["SUM", "MEAN", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN"])
@given(data=st.data())
def test_reductions_equal_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(reductions(kind)))


def position(kind: str, shape: tuple[int, ...], axis: int, axis_shape: tuple[int, ...] = (1,)) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, scale=0.1, zero_point=3)
    k = axis % len(shape)
    y = g.tensor(shape[:k] + shape[k + 1 :], DType.INT32)
    g.op(kind, [x, g.tensor(axis_shape, DType.INT32, data=[axis])], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def positions(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return position(draw(st.sampled_from(["ARG_MAX", "ARG_MIN"])), shape, axis), draw(SEEDS)


@given(positions())
def test_positions_equal_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN"])
def test_the_first_of_many_equal_extremes(kind: str) -> None:
    assert_same(position(kind, (4, 1000), 1), 1)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (reduce("REDUCE_MAX", (2, 3), [1], quantization=(0.5, 0.25)), "quantized differently"),
        (reduce("REDUCE_MIN", (2, 3), [1], zero_points=(0, 1)), "quantized differently"),
        (reduce("REDUCE_MAX", (2, 3), [1], dtype=DType.INT16), "int16"),
        (reduce("SUM", (2, 3), [1], quantization=(2.0**20, 2.0**-20)), "scale ratio"),
        (reduce("MEAN", (2, 3), [1], dtype=DType.INT16, zero_points=(1, 0)), "zero point 1"),
        (reduce("SUM", (2, 2**16), [1], dtype=DType.INT16), "a sum of 65,536 elements"),
        (reduce("MEAN", (2**12, 2**12), [0, 1]), "a sum of 16,777,216 elements"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


def test_axis_out_of_range_is_refused() -> None:
    for kind, dtype in (("SUM", DType.INT8), ("ARG_MAX", DType.INT32)):
        builder = ModelBuilder()
        g = builder.graph()
        x, y = g.tensor((2, 3), scale=1.0), g.tensor((2,), dtype, scale=1.0)
        g.op(kind, [x, g.constant([5])], [y], ReducerAttrs() if kind == "SUM" else None)
        g.inputs, g.outputs = (x,), (y,)
        with pytest.raises(ModelError, match=r"\[5\]"):
            check(builder.build()[0])


def test_overlap_of_positions() -> None:
    model, _ = position("ARG_MAX", (6, 2), 1).build()
    rules = operator("ARG_MAX")
    assert rules is not None
    # Row 5 at byte 10 is still to be read when 5 outputs have taken 20 bytes; 10 is no multiple of 4.
    assert rules.overlap(next(model.main.views())) == {(0, 0): 12}
