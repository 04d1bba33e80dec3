"""float32 operators, conversions from and to float32, hybrid weights; compared with a tolerance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.cases.case import Case
from tests.ops import test_add, test_binary, test_conv_2d, test_fully_connected, test_mean, test_pool
from tests.ops import test_float as floats
from tests.ops.test_elementwise import build
from tests.ops.test_movement import concatenation, pad, reshape, strided_slice
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.base import Activation, Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs
from tinyops.ops.sub import SubAttrs

_FLOAT = DType.FLOAT32


def _case(name: str, builder: ModelBuilder, seed: int = 1) -> Case:
    return Case(f"float_{name}", floats.as_float(builder, seed).build()[1])


def cases() -> Iterator[Case]:
    yield from _products()
    yield from _elementwise()
    yield from _windows()
    yield from _movements()
    yield from _conversions()


def _products() -> Iterator[Case]:
    convolutions = (
        ((1, 6, 5, 3), (4, 3, 3, 3), Conv2DAttrs(Padding.SAME, 1, 2, Activation.RELU)),
        ((2, 7, 7, 4), (6, 1, 1, 4), Conv2DAttrs(Padding.VALID, 1, 1, Activation.RELU6)),
        ((1, 8, 9, 4), (4, 3, 2, 2), Conv2DAttrs(Padding.VALID, 2, 1, dilation_w_factor=2, dilation_h_factor=3)),
    )
    for k, (image, weights, attrs) in enumerate(convolutions):
        bias = "none" if k == 1 else "small"
        yield _case(f"conv_2d_{k}", test_conv_2d.build(image, weights, attrs, bias=bias))
    depthwise = (
        ((1, 6, 5, 3), (1, 3, 3, 3), DepthwiseConv2DAttrs(Padding.SAME, 1, 1)),
        ((1, 7, 8, 2), (1, 2, 3, 6), DepthwiseConv2DAttrs(Padding.VALID, 2, 2, 3, Activation.RELU6)),
    )
    for k, (image, weights, channel_attrs) in enumerate(depthwise):
        yield _case(f"depthwise_conv_2d_{k}", test_conv_2d.build(image, weights, channel_attrs))
    for k, (rows, units, depth) in enumerate(((1, 10, 33), (3, 4, 7), (2, 1, 1))):
        yield _case(f"fully_connected_{k}", test_fully_connected.build((rows, depth), units, depth))


def _elementwise() -> Iterator[Case]:
    pairs = (((1, 3, 4, 5), (1, 3, 4, 5)), ((2, 3, 5), (5,)), ((4, 1, 3), (1, 5, 3)))
    for k, shapes in enumerate(pairs):
        activation = list(Activation)[k]
        yield _case(f"add_{k}", test_add.build(*shapes, activation=activation))
        yield _case(f"sub_{k}", test_binary.build("SUB", shapes, attrs=SubAttrs(activation)))
        yield _case(f"mul_{k}", test_binary.build("MUL", shapes, attrs=MulAttrs(activation)))
    for kind in floats.UNARY:
        if kind != "RELU_N1_TO_1":
            yield _case(kind.lower(), build(kind, (2, 3, 7)))
    for k, (shape, beta) in enumerate((((1, 10), 1.0), ((2, 3, 7), 0.5))):
        yield _case(f"softmax_{k}", build("SOFTMAX", shape, attrs=SoftmaxAttrs(beta)))


def _windows() -> Iterator[Case]:
    windows = (
        ((1, 6, 6, 3), Pool2DAttrs(Padding.VALID, 2, 2, 2, 2)),
        ((2, 5, 7, 2), Pool2DAttrs(Padding.SAME, 1, 2, 3, 3, Activation.RELU)),
    )
    for k, (image, attrs) in enumerate(windows):
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield _case(f"{kind.lower()}_{k}", test_pool.build(kind, image, attrs))
    yield _case("mean_0", test_mean.build((1, 4, 5, 6), [1, 2], keep=True))
    yield _case("mean_1", test_mean.build((2, 3, 5), [-1], keep=False))


def _movements() -> Iterator[Case]:
    yield _case("reshape", reshape((2, 6), (3, 4), _FLOAT))
    yield _case("pad", pad((1, 3, 2), [(0, 0), (1, 0), (0, 2)], _FLOAT))
    yield _case("concatenation", concatenation([(2, 3), (2, 1)], 1, _FLOAT))
    yield _case("strided_slice", strided_slice((4, 5), [0, 1], [4, 5], [2, 2], StridedSliceAttrs(), _FLOAT))


def _conversions() -> Iterator[Case]:
    for dtype, zero_point in ((DType.INT8, -9), (DType.INT16, 0)):
        builder = floats.quantization((3, 11), dtype, 0.03, zero_point)
        yield Case(f"quantize_float_{dtype}", builder.build()[1])
    for dtype, zero_point in ((DType.INT8, -9), (DType.UINT8, 131), (DType.INT16, 0)):
        yield Case(
            f"dequantize_{dtype}", floats.dequantization((3, 11), dtype, float(np.float32(0.03)), zero_point).build()[1]
        )
