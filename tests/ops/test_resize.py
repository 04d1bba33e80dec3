"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.test_movement import rules_and_view, value
from tests.support.compare import SEEDS, assert_same
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.resize import ResizeAttrs
from tinyops.ops.resize_bilinear import Axis
from tinyops.ops.resize_nearest_neighbor import nearest

NEAREST, BILINEAR = "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"
PLAIN, CORNERS, CENTERS = ResizeAttrs(), ResizeAttrs(align_corners=True), ResizeAttrs(half_pixel_centers=True)
BOTH = ResizeAttrs(align_corners=True, half_pixel_centers=True)


def resize(
    kind: str, shape: tuple[int, ...], size: Sequence[int], attrs: ResizeAttrs = PLAIN, dtype: DType = DType.INT8
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = value(g, shape, dtype)
    y = value(g, (shape[0], *size, shape[3]), dtype)
    g.op(kind, [x, g.constant(list(size))], [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def resizes(draw: st.DrawFn, kind: str, dtypes: Sequence[DType] = (DType.INT8,)) -> tuple[ModelBuilder, int]:
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 4)))
    if draw(st.booleans()):
        size = [n * draw(st.integers(1, 3)) for n in shape[1:3]]
    else:
        size = [draw(st.integers(1, 20)) for _ in range(2)]
    attrs = draw(st.sampled_from([PLAIN, CORNERS, CENTERS, *([BOTH] if kind == NEAREST else [])]))
    return resize(kind, shape, size, attrs, draw(st.sampled_from(list(dtypes)))), draw(SEEDS)


@given(resizes(NEAREST, [DType.INT8, DType.INT16]))
def test_nearest_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(resizes(BILINEAR))
def test_bilinear_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("kind", [NEAREST, BILINEAR])
@pytest.mark.parametrize("attrs", [PLAIN, CORNERS, CENTERS])
@pytest.mark.parametrize("sizes", [(1, 2500), (2500, 1), (96, 1021), (777, 96), (1000, 300), (3, 1000)])
def test_long_axes(kind: str, attrs: ResizeAttrs, sizes: tuple[int, int]) -> None:
    """Many positions, among them those near whole and half pixels; scales of 0 and of several hundred pixels."""
    assert_same(resize(kind, (1, sizes[0], 2, 1), (sizes[1], 3), attrs), 3)


def test_positions() -> None:
    assert nearest(2, 4, False, False).tolist() == [0, 0, 1, 1]
    assert nearest(4, 2, False, True).tolist() == [1, 3]
    assert nearest(3, 5, True, False).tolist() == [0, 1, 1, 2, 2]
    lower, upper, weight = Axis.of(2, 4, CENTERS).taps()
    assert (lower.tolist(), upper.tolist(), weight.tolist()) == ([0, 0, 0, 1], [0, 1, 1, 1], [-256, 256, 768, 256])


def test_overlaps() -> None:
    rules, view = rules_and_view(resize(NEAREST, (1, 2, 2, 1), (1, 1)))
    assert rules.overlap(view) == {(0, 0): 0}
    # Reads 0 0 1 1: address 1 is read for the last time when three are written.
    rules, view = rules_and_view(resize(NEAREST, (1, 1, 2, 1), (1, 4)))
    assert rules.overlap(view) == {(0, 0): 2}
    # The pairs 00 01 01 11.
    rules, view = rules_and_view(resize(BILINEAR, (1, 1, 2, 1), (1, 4), CENTERS))
    assert rules.overlap(view) == {(0, 0): 2}
    assert np.prod(view.output().shape) * 6 == rules.macs(view)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (resize(BILINEAR, (1, 2, 2, 1), (4, 4), BOTH), "align_corners and half_pixel_centers"),
        (resize(BILINEAR, (1, 2, 2, 1), (4, 4), dtype=DType.INT16), "the input is int16"),
        (resize(NEAREST, (1, 2, 2, 1), (-4, -4)), "from 2 x 2 to -4 x -4 pixels"),
        # 101 * 1024 / 1500 is 68.95 and rounds to 69: the last row would be row 101 of 0 to 100.
        (resize(BILINEAR, (1, 101, 1, 1), (1500, 1)), "from 101 to 1500 pixels reads beyond the image"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)
