from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same_states, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops.svdf import STATE, SvdfAttrs


def build(
    batches: int,
    features: int,
    units: int,
    rank: int,
    memory: int,
    *,
    dtype: DType = DType.INT16,
    seed: int = 0,
    scales: tuple[float, float, float, float, float] = (0.5, 0.25, 0.03, 2.0, 4.0),
    zero_points: tuple[int, int, int] = (0, 0, 0),
    bias_scale: float | None = None,
    variable: bool = True,
) -> ModelBuilder:
    """One SVDF. Scales: input, feature weights, time weights, state, output; zero points: input, state, output."""
    filters = units * rank
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((batches, features), scale=scales[0], zero_point=zero_points[0])
    feature = g.tensor((filters, features), scale=scales[1], data=random_values(seed + 1, (filters, features)))
    time = g.tensor((filters, memory), dtype, scale=scales[2], data=random_values(seed + 2, (filters, memory), dtype))
    product = float(np.float32(scales[3]) * np.float32(scales[2])) if bias_scale is None else bias_scale
    bias = g.tensor((units,), DType.INT32, scale=product, data=rng.integers(-3000, 3000, units))
    shape = (batches, filters * memory)
    state = g.tensor(shape, dtype, scale=scales[3], zero_point=zero_points[1], variable=variable)
    y = g.tensor((batches, units), scale=scales[4], zero_point=zero_points[2])
    kept = g.tensor(shape, dtype, scale=scales[3], zero_point=zero_points[1])
    g.op("SVDF", [x, feature, time, bias, state], [y, kept], SvdfAttrs(rank))
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def layers(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16]))
    sizes = [draw(st.integers(1, n)) for n in (2, 9, 5, 3, 6)]
    seed = draw(SEEDS)
    builder = build(
        *sizes,
        dtype=dtype,
        seed=seed,
        scales=(
            draw(scales(-8, 2)),
            draw(scales(-8, 2)),
            draw(scales(-16, 0)),
            draw(scales(-8, 2)),
            draw(scales(-8, 8)),
        ),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS) if dtype is DType.INT8 else 0, draw(ZERO_POINTS)),
    )
    return builder, seed


@given(layers())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same_states(*case, operand=STATE)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build(1, 4, 3, 2, 5, bias_scale=0.5), "the bias has scale 0.5"),
        (build(1, 4, 3, 2, 5, variable=False), "input 4 is not a variable tensor"),
        (build(1, 4, 3, 2, 5, scales=(1e9, 1e9, 1e-9, 1e-9, 1.0)), "scale ratio"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_tflite(builder.build()[1])


def test_refuses_a_rank_that_does_not_divide_the_filters() -> None:
    builder = build(1, 4, 3, 2, 5)
    op = builder.graphs[0].ops[0]
    builder.graphs[0].ops[0] = dataclasses.replace(op, attrs=SvdfAttrs(4))
    with pytest.raises(ModelError, match="rank is 4 for 6 filters"):
        load_tflite(builder.build()[1])


def test_a_variable_tensor_is_state_only() -> None:
    builder = build(1, 4, 3, 2, 5)
    graph = builder.graphs[0]
    op = graph.ops[0]
    graph.ops[0] = dataclasses.replace(op, inputs=(op.inputs[0], op.inputs[STATE], *op.inputs[2:]))
    with pytest.raises(ModelError, match="input 1 is the variable tensor"):
        load_tflite(builder.build()[1])
    graph.ops[0] = op
    graph.outputs = (4,)
    with pytest.raises(ModelError, match="a variable tensor is an input or an output"):
        load_tflite(builder.build()[1])
