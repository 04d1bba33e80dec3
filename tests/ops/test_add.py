from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation, operator


def build(
    first: tuple[int, ...],
    second: tuple[int, ...],
    *,
    activation: Activation = Activation.NONE,
    quantization: tuple[float, float, float] = (0.5, 0.25, 0.75),
    zero_points: tuple[int, int, int] = (0, 0, 0),
    constant: bool = False,
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    a = g.tensor(first, dtype, scale=quantization[0], zero_point=zero_points[0])
    data = np.arange(math.prod(second)) % 256 - 128 if constant else None
    b = g.tensor(second, dtype, scale=quantization[1], zero_point=zero_points[1], data=data)
    c = g.tensor(np.broadcast_shapes(first, second), dtype, scale=quantization[2], zero_point=zero_points[2])
    g.op("ADD", [a, b], [c], AddAttrs(activation))
    g.inputs, g.outputs = (a,) if constant else (a, b), (c,)
    return builder


@st.composite
def additions(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16]))
    shapes = []
    for _ in range(2):
        part = [1 if draw(st.integers(0, 3)) == 0 else n for n in shape]
        shapes.append(tuple(part[draw(st.integers(0, len(shape) - 1)) :] if draw(st.booleans()) else part))
    builder = build(
        shapes[0],
        shapes[1],
        activation=draw(ACTIVATIONS),
        quantization=(draw(scales(-8, 8)), draw(scales(-8, 8)), draw(scales(-5, 12))),
        zero_points=(0, 0, 0) if dtype is DType.INT16 else (draw(ZERO_POINTS), draw(ZERO_POINTS), draw(ZERO_POINTS)),
        constant=draw(st.booleans()),
        dtype=dtype,
    )
    return builder, draw(SEEDS)


@given(additions())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("ratio", [2.0**-30, 2.0**-36, 1.0])
def test_extreme_scales(ratio: float) -> None:
    assert_same(build((8, 8), (8, 8), quantization=(1.0, ratio, 2.0**-18), zero_points=(3, -7, 11)), 1)


def test_output_scale_too_small_is_refused() -> None:
    model, _ = build((4,), (4,), quantization=(1.0, 1.0, 2.0**-19)).build()
    with pytest.raises(ModelError, match="output scale"):
        check(model)


@pytest.mark.parametrize(
    ("shapes", "distances"),
    [
        (((2, 3), (2, 3)), {(0, 0): 0, (1, 0): 0}),
        # The row is read again for output row 1, which starts when 3 elements are written; all but the last bind.
        (((2, 3), (3,)), {(0, 0): 0, (1, 0): 3}),
        (((2, 3), (1,)), {(0, 0): 0, (1, 0): 5}),
        (((2, 3), (2, 1)), {(0, 0): 0, (1, 0): 4}),
    ],
)
def test_overlap(shapes: tuple[tuple[int, ...], tuple[int, ...]], distances: dict[tuple[int, int], int]) -> None:
    model, _ = build(*shapes).build()
    rules = operator("ADD")
    assert rules is not None
    assert rules.overlap(next(model.main.views())) == distances
