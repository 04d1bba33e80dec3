from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import Activation, operator
from tinyops.ops.fully_connected import FullyConnectedAttrs


def build(
    shape: tuple[int, ...],
    units: int,
    depth: int,
    *,
    attrs: FullyConnectedAttrs | None = None,
    seed: int = 0,
    input_scale: float = 0.5,
    weight_scale: float | list[float] = 0.25,
    output_scale: float = 16.0,
    zero_points: tuple[int, int] = (0, 0),
    bias: int | None = 1000,
    bias_scale: float | None = None,
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    attrs = attrs or FullyConnectedAttrs()
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, dtype, scale=input_scale, zero_point=zero_points[0])
    operands: list[int | None] = [
        x,
        g.tensor((units, depth), scale=weight_scale, data=random_values(seed + 1, (units, depth))),
    ]
    if bias is not None:
        data = np.random.default_rng(seed).integers(-bias, bias, units)
        product = input_scale * np.atleast_1d(weight_scale)
        bias_dtype = DType.INT32 if dtype is DType.INT8 else DType.INT64
        operands.append(g.tensor((units,), bias_dtype, scale=bias_scale or product, data=data))
    kept = (*shape[:-1], units) if attrs.keep_num_dims else (int(np.prod(shape)) // depth, units)
    y = g.tensor(kept, dtype, scale=output_scale, zero_point=zero_points[1])
    g.op("FULLY_CONNECTED", operands, [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def layers(draw: st.DrawFn, dtype: DType = DType.INT8) -> tuple[ModelBuilder, int]:
    depth, units = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    keep = draw(st.booleans())
    shape = (*draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)), depth)
    if not keep and draw(st.booleans()):
        shape = (*shape[:-1], 1, depth)
    seed = draw(SEEDS)
    builder = build(
        shape,
        units,
        depth,
        attrs=FullyConnectedAttrs(draw(ACTIVATIONS), 0, keep),
        seed=seed,
        input_scale=draw(scales()),
        weight_scale=draw(st.lists(scales(), min_size=units, max_size=units))
        if draw(st.booleans())
        else draw(scales()),
        output_scale=draw(scales(-10, 16) if dtype is DType.INT8 else scales(2, 22)),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS)) if dtype is DType.INT8 else (0, 0),
        dtype=dtype,
        bias=draw(st.sampled_from([None, 1000, 2**31 - 1])),
    )
    return builder, seed


@given(layers())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(layers(dtype=DType.INT16))
def test_int16_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("bias", [None, 1000])
def test_scale_product_is_not_rounded_to_float32(bias: int | None) -> None:
    # Ratios a * b / (a * b * 128): with the product in float32 one output in a few thousand is off by one.
    rng = np.random.default_rng(5)
    for seed in range(60):
        a, b = (float(np.float32(2.0 ** rng.uniform(-3, 3))) for _ in range(2))
        assert_same(
            build((4, 64), 64, 64, seed=seed, input_scale=a, weight_scale=b, output_scale=a * b * 128, bias=bias), seed
        )


def test_deep_accumulators() -> None:
    assert_same(build((2, 2000), 5, 2000, output_scale=1000.0, zero_points=(-128, 9)), 3)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build((1, 4), 3, 4, attrs=FullyConnectedAttrs(weights_format=1)), "weights_format is 1"),
        (build((1, 4), 3, 4, bias_scale=7.0, output_scale=1.0), "the bias has scale 7"),
        (build((2, 3), 3, 4), "a multiple of 4 elements"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


def test_overlap_keeps_the_input_until_the_last_unit() -> None:
    model, _ = build((2, 8), 12, 8, attrs=FullyConnectedAttrs(Activation.RELU)).build()
    rules = operator("FULLY_CONNECTED")
    assert rules is not None
    # Outputs 0..22 are followed by reads: the 23rd needs row 1, which starts at 8; row 0 binds with 11 outputs.
    assert rules.overlap(next(model.main.views())) == {(0, 0): 15}
