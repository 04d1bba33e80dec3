from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import Padding, operator
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.window import Axis

KINDS = st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])


def build(
    kind: str,
    image: tuple[int, ...],
    attrs: Pool2DAttrs,
    *,
    scale: float = 0.5,
    zero_points: tuple[int, int] = (0, 0),
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(image, dtype, scale=scale, zero_point=zero_points[0])
    rows = Axis.of(attrs.padding, image[1], attrs.filter_height, attrs.stride_h).out
    columns = Axis.of(attrs.padding, image[2], attrs.filter_width, attrs.stride_w).out
    y = g.tensor((image[0], rows, columns, image[3]), dtype, scale=scale, zero_point=zero_points[1])
    g.op(kind, [x], [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def pools(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    padding = draw(st.sampled_from(list(Padding)))
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    low = (1, 1) if padding is Padding.SAME else (height, width)
    image = (draw(st.integers(1, 2)), *(draw(st.integers(n, n + 6)) for n in low), draw(st.integers(1, 5)))
    attrs = Pool2DAttrs(padding, draw(st.integers(1, 4)), draw(st.integers(1, 4)), width, height, draw(ACTIVATIONS))
    zero = draw(ZERO_POINTS)
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16]))
    return build(draw(KINDS), image, attrs, scale=draw(scales()), zero_points=(zero, zero), dtype=dtype), draw(SEEDS)


@given(pools())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


def test_whole_image_average() -> None:
    attrs = Pool2DAttrs(Padding.VALID, 1, 1, 40, 30)
    assert_same(build("AVERAGE_POOL_2D", (1, 30, 40, 3), attrs), 1)


def test_refuses_sums_beyond_int32() -> None:
    attrs = Pool2DAttrs(Padding.VALID, 1, 1, 256, 256)
    model, _ = build("AVERAGE_POOL_2D", (1, 256, 256, 1), attrs, dtype=DType.INT16).build()
    with pytest.raises(ModelError, match="a window is too large"):
        check(model)


@pytest.mark.parametrize(
    ("attrs", "distance"),
    [
        (Pool2DAttrs(Padding.VALID, 2, 2, 2, 2), 0),
        (Pool2DAttrs(Padding.SAME, 1, 1, 3, 3), 6 * 4 + 4),
    ],
)
def test_overlap(attrs: Pool2DAttrs, distance: int) -> None:
    model, _ = build("MAX_POOL_2D", (1, 6, 6, 4), attrs).build()
    rules = operator("MAX_POOL_2D")
    assert rules is not None
    assert rules.overlap(next(model.main.views())) == {(0, 0): distance}


@pytest.mark.parametrize(
    ("zero_points", "attrs", "message"),
    [
        ((0, 1), Pool2DAttrs(Padding.SAME, 1, 1, 1, 1), "quantized differently"),
        ((0, 0), Pool2DAttrs(Padding.SAME, 1, 1, -1, 1), "filter_width is -1"),
    ],
)
def test_refused(zero_points: tuple[int, int], attrs: Pool2DAttrs, message: str) -> None:
    model, _ = build("MAX_POOL_2D", (1, 4, 4, 1), attrs, zero_points=zero_points).build()
    with pytest.raises(ModelError, match=message):
        check(model)
