"""Packed int4 weights, and layers of int4, int8 and int16 in one model."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cases.case import Case
from tests.ops import test_conv_2d, test_fully_connected
from tests.ops.test_int4 import int4, mixed
from tests.support.tflite_writer import ModelBuilder
from tinyops.ops.base import Activation, Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs

_SAME, _VALID = Padding.SAME, Padding.VALID
_RELU = Activation.RELU


def cases() -> Iterator[Case]:
    for name, builder in (*_convolutions(), *_dense()):
        yield Case(f"int4_{name}", int4(builder).build()[1])
    yield Case("int4_int8_int16", mixed().build()[1])


def _convolutions() -> Iterator[tuple[str, ModelBuilder]]:
    build, per_channel = test_conv_2d.build, [0.125, 0.25, 0.3, 0.5, 0.7]
    yield "conv_2d_same", build((1, 7, 5, 3), (5, 3, 3, 3), Conv2DAttrs(_SAME, 1, 1), zero_points=(-7, 4))
    yield (
        "conv_2d_strides",
        build((2, 9, 8, 4), (5, 3, 2, 4), Conv2DAttrs(_VALID, 2, 3, _RELU), weight_scales=per_channel, seed=2),
    )
    yield (
        "conv_2d_dilation",
        build((1, 9, 10, 1), (5, 3, 3, 1), Conv2DAttrs(_SAME, 1, 1, _RELU, 2, 3), zero_points=(90, -128)),
    )
    yield "conv_2d_1x1", build((1, 5, 6, 9), (7, 1, 1, 9), Conv2DAttrs(_SAME, 1, 1), zero_points=(3, -3), bias="none")
    yield "conv_2d_1x1_wider", build((2, 5, 4, 3), (8, 1, 1, 3), Conv2DAttrs(_SAME, 1, 1), zero_points=(-3, 9))
    yield (
        "conv_2d_groups",
        build((1, 6, 5, 6), (9, 3, 3, 2), Conv2DAttrs(_SAME, 1, 1), zero_points=(-128, 5), seed=4, output_scale=6.0),
    )
    yield (
        "depthwise_same",
        build((1, 7, 6, 9), (1, 3, 3, 9), DepthwiseConv2DAttrs(_SAME, 1, 1), zero_points=(-128, 0), output_scale=3.0),
    )
    yield (
        "depthwise_multiplier",
        build((1, 6, 5, 3), (1, 3, 2, 12), DepthwiseConv2DAttrs(_SAME, 2, 2, 4, _RELU), zero_points=(11, -20), seed=2),
    )
    yield (
        "depthwise_per_channel",
        build((1, 5, 5, 4), (1, 5, 5, 4), DepthwiseConv2DAttrs(_VALID, 1, 1), weight_scales=[0.1, 0.2, 0.3, 0.4]),
    )


def _dense() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_fully_connected.build
    yield "fully_connected", build((1, 33), 7, 33, zero_points=(-5, 9))
    yield (
        "fully_connected_batch",
        build((3, 2, 8), 5, 8, attrs=FullyConnectedAttrs(_RELU, 0, True), bias=None, zero_points=(127, -60)),
    )
