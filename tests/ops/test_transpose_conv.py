from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import Activation, Padding, operator
from tinyops.ops.transpose_conv import TransposeConvAttrs
from tinyops.ops.window import Axis


def build(
    output: tuple[int, ...],
    weights: tuple[int, ...],
    attrs: TransposeConvAttrs,
    *,
    seed: int = 0,
    input_scale: float = 0.5,
    weight_scales: float | list[float] = 0.25,
    output_scale: float = 8.0,
    zero_points: tuple[int, int] = (0, 0),
    bias: int | None = 2000,
    asked: tuple[int, ...] | None = None,
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    """One TRANSPOSE_CONV to `output` [batches, rows, columns]; the input's size follows from the attributes."""
    rows = Axis.of(attrs.padding, output[1], weights[1], attrs.stride_h).out
    columns = Axis.of(attrs.padding, output[2], weights[2], attrs.stride_w).out
    result = (*output, weights[0])
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((output[0], rows, columns, weights[3]), dtype, scale=input_scale, zero_point=zero_points[0])
    operands: list[int | None] = [
        g.constant(asked or result),
        g.tensor(weights, scale=weight_scales, data=random_values(seed + 1, weights)),
        x,
    ]
    if bias is not None:
        data = np.random.default_rng(seed).integers(-bias, bias, weights[0])
        scale = input_scale * np.atleast_1d(weight_scales)
        bias_dtype = DType.INT32 if dtype is DType.INT8 else DType.INT64
        operands.append(g.tensor((weights[0],), bias_dtype, scale=scale, data=data))
    y = g.tensor(result, dtype, scale=output_scale, zero_point=zero_points[1])
    g.op("TRANSPOSE_CONV", operands, [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def transposed(draw: st.DrawFn, dtype: DType = DType.INT8) -> tuple[ModelBuilder, int]:
    padding = draw(st.sampled_from(list(Padding)))
    taps = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    low = (1, 1) if padding is Padding.SAME else taps
    output = (draw(st.integers(1, 2)), *(draw(st.integers(n, n + 9)) for n in low))
    channels = draw(st.integers(1, 4))
    seed = draw(SEEDS)
    per_channel = draw(st.booleans())
    builder = build(
        output,
        (channels, *taps, draw(st.integers(1, 6))),
        TransposeConvAttrs(padding, draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(ACTIVATIONS)),
        seed=seed,
        input_scale=draw(scales()),
        weight_scales=draw(st.lists(scales(), min_size=channels, max_size=channels)) if per_channel else draw(scales()),
        output_scale=draw(scales(-14, 16) if dtype is DType.INT8 else scales(2, 22)),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS)) if dtype is DType.INT8 else (0, 0),
        dtype=dtype,
        bias=draw(st.sampled_from([None, 2000, 2**31 - 1])),
    )
    return builder, seed


@given(transposed())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(transposed(dtype=DType.INT16))
def test_int16_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


def test_overlap() -> None:
    # 2x upsampling of 3 x 3 pixels of 8 channels to 4; output row 5 reads input row 2, its column 4 columns 1 and 2.
    model, _ = build((1, 6, 6), (4, 3, 3, 8), TransposeConvAttrs(Padding.SAME, 2, 2)).build()
    rules = operator("TRANSPOSE_CONV")
    assert rules is not None
    view = next(model.main.views())
    # Pixel 7 is read until all but one of the outputs of the last pixel but one are written.
    assert rules.overlap(view) == {(2, 0): 35 * 4 - 1 - 7 * 8}


SAME = TransposeConvAttrs(Padding.SAME, 2, 2, Activation.NONE)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build((1, 4, 4), (2, 3, 3, 1), SAME, asked=(1, 4, 4, 3)), "input 0 asks for shape"),
        (build((1, 4, 4), (2, 3, 3, 1), TransposeConvAttrs(Padding.SAME, 0x8001, 1)), "stride_w is 32769"),
        (build((1, 4, 4), (2, 3, 3, 1), SAME, weight_scales=[1e10, 1.0], output_scale=1e-10), "scale ratio"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check(builder.build()[0])


def test_refuses_an_output_of_another_size() -> None:
    builder = build((1, 4, 4), (2, 3, 3, 1), SAME)
    graph = builder.graphs[0]
    graph.tensors[0] = dataclasses.replace(graph.tensors[0], shape=(1, 3, 2, 1))
    with pytest.raises(ModelError, match="an output of 4 x 4 pixels from 3 x 2"):
        check(builder.build()[0])
