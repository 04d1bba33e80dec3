from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType, OpView
from tinyops.ops import check
from tinyops.ops.base import Activation, Padding, operator
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.window import Axis

small = st.integers(1, 4)


def build(
    image: tuple[int, ...],
    weights: tuple[int, ...],
    attrs: Any,
    *,
    seed: int = 0,
    input_scale: float = 0.5,
    weight_scales: Any = 0.25,
    output_scale: float = 8.0,
    zero_points: tuple[int, int] = (0, 0),
    bias: str = "small",
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    """One CONV_2D, or DEPTHWISE_CONV_2D where the attributes say so."""
    depthwise = isinstance(attrs, DepthwiseConv2DAttrs)
    axis = 3 if depthwise else 0
    channels = weights[axis]
    rows = Axis.of(attrs.padding, image[1], weights[1], attrs.stride_h, attrs.dilation_h_factor).out
    columns = Axis.of(attrs.padding, image[2], weights[2], attrs.stride_w, attrs.dilation_w_factor).out
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(image, dtype, scale=input_scale, zero_point=zero_points[0])
    w = g.tensor(weights, scale=weight_scales, axis=axis, data=random_values(seed + 1, weights))
    operands: list[int | None] = [x, w]
    if bias != "none":
        limit = {"small": 2000, "large": 2**31 - 1, "int64": 2**46}[bias]
        data = np.random.default_rng(seed).integers(-limit, limit, channels)
        bias_dtype = DType.INT32 if dtype is DType.INT8 else DType.INT64
        operands.append(g.tensor((channels,), bias_dtype, scale=input_scale * np.atleast_1d(weight_scales), data=data))
    y = g.tensor((image[0], rows, columns, channels), dtype, scale=output_scale, zero_point=zero_points[1])
    g.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", operands, [y], attrs, 3)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def convolutions(draw: st.DrawFn, depthwise: bool, dtype: DType = DType.INT8) -> tuple[ModelBuilder, int]:
    padding = draw(st.sampled_from(list(Padding)))
    taps = draw(small), draw(small)
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extent = [(t - 1) * d + 1 for t, d in zip(taps, dilation, strict=True)]
    low = (1, 1) if padding is Padding.SAME else extent
    image = (draw(st.integers(1, 2)), *(draw(st.integers(n, n + 6)) for n in low), draw(st.integers(1, 5)))
    multiplier = draw(st.integers(1, 3))
    groups = 1 if depthwise else draw(st.sampled_from([n for n in (1, 1, 2, 3, 4, 5) if image[3] % n == 0]))
    channels = image[3] * multiplier if depthwise else groups * draw(st.integers(1, max(6 // groups, 2)))
    common: dict[str, Any] = {
        "padding": padding,
        "stride_w": draw(st.integers(1, 3)),
        "stride_h": draw(st.integers(1, 3)),
        "fused_activation_function": draw(ACTIVATIONS),
        "dilation_w_factor": dilation[1],
        "dilation_h_factor": dilation[0],
    }
    attrs = DepthwiseConv2DAttrs(depth_multiplier=multiplier, **common) if depthwise else Conv2DAttrs(**common)
    weights = (1, *taps, channels) if depthwise else (channels, *taps, image[3] // groups)
    seed = draw(SEEDS)
    per_channel = draw(st.booleans())
    builder = build(
        image,
        weights,
        attrs,
        seed=seed,
        input_scale=draw(scales()),
        weight_scales=draw(st.lists(scales(), min_size=channels, max_size=channels)) if per_channel else draw(scales()),
        output_scale=draw(scales(-14, 16) if dtype is DType.INT8 else scales(2, 22)),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS)) if dtype is DType.INT8 else (0, 0),
        bias=draw(st.sampled_from(["small", "large", "none"] + ["int64"] * (dtype is DType.INT16))),
        dtype=dtype,
    )
    return builder, seed


@given(convolutions(depthwise=False))
def test_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(convolutions(depthwise=True))
def test_depthwise_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(convolutions(depthwise=False, dtype=DType.INT16))
def test_int16_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(convolutions(depthwise=True, dtype=DType.INT16))
def test_int16_depthwise_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("depth", [64, 700])
def test_deep_accumulators(depthwise: bool, depth: int) -> None:
    common: dict[str, Any] = {"padding": Padding.SAME, "stride_w": 1, "stride_h": 1}
    attrs = DepthwiseConv2DAttrs(**common) if depthwise else Conv2DAttrs(**common)
    weights = (1, 3, 3, depth) if depthwise else (8, 3, 3, depth)
    assert_same(build((1, 4, 5, depth), weights, attrs, output_scale=4000.0, zero_points=(127, -3)), 5)


SAME = Conv2DAttrs(Padding.SAME, 1, 1, Activation.NONE)
DEPTHWISE = DepthwiseConv2DAttrs(Padding.SAME, 1, 1)


@pytest.mark.parametrize(
    ("image", "weights", "attrs", "distance"),
    [
        # A pixel that is not the last channel still needs its own pixel: channels - 1.
        ((1, 25, 5, 64), (64, 1, 1, 64), SAME, 63),
        # One row and one pixel of 64 channels.
        ((1, 25, 5, 64), (1, 3, 3, 64), DEPTHWISE, 384),
        # All outputs but the last are written before the only window was read for the last time.
        ((1, 3, 3, 4), (10, 3, 3, 4), Conv2DAttrs(Padding.VALID, 1, 1), 9),
        ((1, 1, 1, 4), (1, 1, 1, 4), DEPTHWISE, 0),
        # Two groups: the first of a pixel's channels is free after the first half of its outputs.
        ((1, 2, 2, 4), (4, 1, 1, 2), SAME, 1),
    ],
)
def test_overlap(image: tuple[int, ...], weights: tuple[int, ...], attrs: Any, distance: int) -> None:
    model, _ = build(image, weights, attrs).build()
    view = next(model.main.views())
    rules = operator(view.kind)
    assert rules is not None
    assert rules.overlap(view) == {(0, 0): distance}


def test_macs() -> None:
    model, _ = build((1, 25, 5, 64), (32, 3, 3, 64), SAME).build()
    rules = operator("CONV_2D")
    assert rules is not None
    assert rules.macs(OpView(model.main.ops[0], model.main)) == 25 * 5 * 32 * 9 * 64


@pytest.mark.parametrize(
    ("image", "weights", "attrs", "message"),
    [
        ((1, 4, 4, 4), (2, 1, 1, 3), SAME, "the input has 4 channels and the weights 3"),
        ((1, 4, 4, 4), (3, 1, 1, 2), SAME, "3 output channels in 2 groups"),
        ((1, 4, 4, 4), (2, 1, 1, 4), Conv2DAttrs(Padding.SAME, 0x10000, 1), "stride_w is 65536"),
        ((1, 4, 4, 4), (1, 1, 1, 8), DEPTHWISE, "depth_multiplier is 1"),
        ((1, 4, 4, 4), (2, 1, 1, 8), DepthwiseConv2DAttrs(Padding.SAME, 1, 1, 2), "the weights have shape"),
    ],
)
def test_refused(image: tuple[int, ...], weights: tuple[int, ...], attrs: Any, message: str) -> None:
    model, _ = build(image, weights, attrs).build()
    with pytest.raises(ModelError, match=message):
        check(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zero_points": (1, 0)}, "zero point 1"),
        ({"output_scale": 2.0**-12}, "a scale ratio is too large"),
    ],
)
def test_int16_bounds(arguments: dict[str, Any], message: str) -> None:
    given_shapes = {"image": (1, 4, 4, 4), "weights": (2, 1, 1, 4)} | arguments
    model, _ = build(attrs=SAME, dtype=DType.INT16, **given_shapes).build()
    with pytest.raises(ModelError, match=message):
        check(model)


def test_int16_refuses_what_int64_arithmetic_cannot_hold() -> None:
    builder = build((1, 4, 4, 4), (2, 1, 1, 4), SAME, dtype=DType.INT16)
    bias = builder.graphs[0].tensors[2]
    builder.graphs[0].tensors[2] = dataclasses.replace(bias, data=np.array([2**47, 0]))
    with pytest.raises(ModelError, match="the accumulator can reach 140,737,4"):
        check(builder.build()[0])


def test_int16_refuses_int32_accumulators() -> None:
    attrs = dataclasses.replace(SAME, quantized_bias_type=2)
    with pytest.raises(ModelError, match="quantized_bias_type is INT32"):
        check(build((1, 4, 4, 4), (2, 1, 1, 4), attrs, dtype=DType.INT16, bias="none").build()[0])
