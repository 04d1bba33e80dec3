from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.reduction import ReducerAttrs


def build(
    shape: tuple[int, ...],
    axes: list[int],
    *,
    keep: bool = False,
    quantization: tuple[float, float] = (0.5, 0.25),
    zero_points: tuple[int, int] = (0, 0),
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, scale=quantization[0], zero_point=zero_points[0])
    reduced = {axis % len(shape) for axis in axes}
    kept = [1 if k in reduced else n for k, n in enumerate(shape) if keep or k not in reduced]
    y = g.tensor(kept, scale=quantization[1], zero_point=zero_points[1])
    g.op("MEAN", [x, g.constant(axes)], [y], ReducerAttrs(keep))
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def means(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=len(shape)))
    keep = draw(st.booleans())
    builder = build(
        shape,
        axes,
        keep=keep,
        quantization=(draw(scales(-20, 8)), draw(scales(-16, 16))),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS)),
    )
    return builder, draw(SEEDS)


@given(means())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("ratio", [2.0**-31, 2.0**-30 * 1.3, 2.0**-25, 2.0**20])
def test_extreme_ratios(ratio: float) -> None:
    assert_same(build((1, 64, 50, 2), [1, 2], quantization=(ratio, 1.0), zero_points=(-128, 5)), 1)


def test_overlap_of_a_global_mean() -> None:
    model, _ = build((1, 4, 4, 8), [1, 2]).build()
    rules = operator("MEAN")
    assert rules is not None
    assert math.prod(model.main.tensors[1].shape) == 8
    # Channel c is written when channel c + 1 onwards is still to be read from address c + 1 on.
    assert rules.overlap(next(model.main.views())) == {(0, 0): 0}


def test_axis_out_of_range_is_refused() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor((2, 3), scale=1.0), g.tensor((2,), scale=1.0)
    g.op("MEAN", [x, g.constant([5])], [y], ReducerAttrs())
    g.inputs, g.outputs = (x,), (y,)
    with pytest.raises(ModelError, match=r"axes \[5\]"):
        check(builder.build()[0])
