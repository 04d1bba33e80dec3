"""Multiply-accumulate operators: convolutions, fully connected layers, products of matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.cases.case import Case
from tests.ops import (
    test_batch_matmul,
    test_conv_2d,
    test_fully_connected,
    test_pool,
    test_sigmoid_int16,
    test_softmax_int16,
    test_svdf,
    test_transpose_conv,
    test_unidirectional_sequence_lstm,
)
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.base import Activation, Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.transpose_conv import TransposeConvAttrs

_SAME, _VALID = Padding.SAME, Padding.VALID
_RELU, _RELU6, _RELU1 = Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1
#: Scales with which most values lie within the bounds of RELU6.
_FINE: dict[str, Any] = {"input_scale": 0.01, "weight_scales": 0.01, "output_scale": 0.02}


def cases() -> Iterator[Case]:
    for name, builder in (
        *_conv_2d(),
        *_depthwise(),
        *_fully_connected(),
        *_int16(),
        *_int16_functions(),
        *_transpose_conv(),
        *_batch_matmul(),
        *_svdf(),
        *_lstm(),
    ):
        yield Case(name, builder.build()[1])


def _conv_2d() -> Iterator[tuple[str, ModelBuilder]]:
    build, per_channel = test_conv_2d.build, [0.125, 0.25, 0.3, 0.5, 0.7]
    yield "conv_2d_same", build((1, 7, 5, 3), (5, 3, 3, 3), Conv2DAttrs(_SAME, 1, 1), zero_points=(-7, 4))
    yield (
        "conv_2d_strides",
        build((2, 9, 8, 4), (5, 3, 2, 4), Conv2DAttrs(_VALID, 2, 3, _RELU), weight_scales=per_channel, seed=2),
    )
    yield (
        "conv_2d_dilation",
        build((1, 9, 10, 2), (5, 3, 3, 2), Conv2DAttrs(_SAME, 1, 1, _RELU6, 2, 3), zero_points=(90, -128), **_FINE),
    )
    yield "conv_2d_1x1", build((1, 5, 6, 9), (7, 1, 1, 9), Conv2DAttrs(_SAME, 1, 1), zero_points=(3, -3), bias="none")
    yield (
        "conv_2d_groups",
        build((1, 6, 5, 6), (9, 3, 3, 2), Conv2DAttrs(_SAME, 1, 1), zero_points=(-128, 5), seed=4, output_scale=6.0),
    )
    yield (
        "conv_2d_groups_1x1",
        build((1, 4, 5, 8), (4, 1, 1, 2), Conv2DAttrs(_VALID, 1, 2), weight_scales=per_channel[:4], seed=5),
    )
    yield (
        "conv_2d_groups_dilation",
        build((1, 8, 7, 4), (8, 2, 3, 1), Conv2DAttrs(_SAME, 1, 1, _RELU1, 2, 2), zero_points=(9, 1), **_FINE),
    )


def _depthwise() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_conv_2d.build
    yield (
        "depthwise_same",
        build((1, 7, 6, 9), (1, 3, 3, 9), DepthwiseConv2DAttrs(_SAME, 1, 1), zero_points=(-128, 0), output_scale=3.0),
    )
    yield (
        "depthwise_multiplier",
        build((1, 6, 5, 3), (1, 3, 2, 12), DepthwiseConv2DAttrs(_SAME, 2, 2, 4, _RELU), zero_points=(11, -20), seed=2),
    )
    yield (
        "depthwise_dilation",
        build((1, 10, 9, 5), (1, 3, 3, 5), DepthwiseConv2DAttrs(_SAME, 1, 1, 1, _RELU6, 3, 2), **_FINE),
    )
    yield (
        "depthwise_multiplier_dilation",
        build((2, 8, 9, 2), (1, 2, 3, 6), DepthwiseConv2DAttrs(_VALID, 1, 1, 3, Activation.NONE, 2, 3), seed=3),
    )
    yield (
        "depthwise_per_channel",
        build((1, 5, 5, 4), (1, 5, 5, 4), DepthwiseConv2DAttrs(_VALID, 1, 1), weight_scales=[0.1, 0.2, 0.3, 0.4]),
    )
    yield (
        "depthwise_one_channel",
        build((1, 12, 5, 1), (1, 4, 3, 8), DepthwiseConv2DAttrs(_SAME, 2, 2, 8), bias="none", zero_points=(83, -100)),
    )


def _fully_connected() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_fully_connected.build
    yield "fully_connected", build((1, 33), 7, 33, zero_points=(-5, 9))
    yield (
        "fully_connected_batch",
        build((3, 2, 8), 5, 8, attrs=FullyConnectedAttrs(_RELU, 0, True), bias=None, zero_points=(127, -60)),
    )
    yield (
        "fully_connected_flat",
        build(
            (2, 1, 12), 4, 6, attrs=FullyConnectedAttrs(_RELU6), input_scale=0.01, weight_scale=0.01, output_scale=0.02
        ),
    )
    yield (
        "fully_connected_per_channel",
        build((2, 19), 6, 19, weight_scale=[0.1, 0.2, 0.15, 0.4, 0.25, 0.05], zero_points=(-128, 3), seed=3),
    )
    yield (
        "fully_connected_per_channel_relu",
        build((1, 64), 2, 64, attrs=FullyConnectedAttrs(_RELU), weight_scale=[0.3, 0.1], bias=None, seed=4),
    )


def _int16() -> Iterator[tuple[str, ModelBuilder]]:
    wide: dict[str, Any] = {"dtype": DType.INT16, "output_scale": 20.0}
    conv, dense = test_conv_2d.build, test_fully_connected.build
    yield "conv_2d_int16", conv((1, 7, 5, 3), (5, 3, 3, 3), Conv2DAttrs(_SAME, 1, 2), **wide)
    yield (
        "conv_2d_int16_groups",
        conv((2, 6, 7, 6), (4, 2, 3, 3), Conv2DAttrs(_VALID, 1, 1, _RELU, 2, 1), bias="none", seed=2, **wide),
    )
    yield (
        "conv_2d_int16_per_channel",
        conv(
            (1, 4, 5, 300),
            (3, 1, 1, 300),
            Conv2DAttrs(_SAME, 1, 1),
            weight_scales=[0.2, 0.3, 0.4],
            bias="int64",
            **wide,
        ),
    )
    yield (
        "depthwise_int16",
        conv((1, 6, 7, 4), (1, 3, 3, 4), DepthwiseConv2DAttrs(_SAME, 2, 1), dtype=DType.INT16, output_scale=4.0),
    )
    yield (
        "depthwise_int16_multiplier",
        conv((1, 7, 6, 3), (1, 2, 3, 6), DepthwiseConv2DAttrs(_SAME, 1, 1, 2, _RELU, 2, 2), seed=3, **wide),
    )
    yield "fully_connected_int16", dense((3, 40), 6, 40, **wide)
    yield (
        "fully_connected_int16_per_channel",
        dense((2, 17), 3, 17, weight_scale=[0.2, 0.1, 0.3], bias=None, attrs=FullyConnectedAttrs(_RELU), **wide),
    )


def _int16_functions() -> Iterator[tuple[str, ModelBuilder]]:
    sigmoid, pool = test_sigmoid_int16.sigmoid, test_pool.build
    yield "logistic_int16", sigmoid("LOGISTIC", 2.0**-12, 61)
    yield "logistic_int16_scale", sigmoid("LOGISTIC", 0.0004, 60)
    yield "tanh_int16", sigmoid("TANH", 2.0**-11, 59)
    yield "softmax_int16", test_softmax_int16.softmax((3, 7), 0.0002)
    yield "softmax_int16_beta", test_softmax_int16.softmax((2, 33), 0.00005, beta=1.5)
    yield "tanh_int16_scale", sigmoid("TANH", 0.0001, 58)
    yield (
        "average_pool_2d_int16",
        pool("AVERAGE_POOL_2D", (1, 6, 7, 3), Pool2DAttrs(_SAME, 2, 1, 3, 3), dtype=DType.INT16, scale=0.001),
    )
    yield (
        "max_pool_2d_int16",
        pool("MAX_POOL_2D", (2, 5, 6, 3), Pool2DAttrs(_VALID, 1, 2, 2, 3, _RELU), dtype=DType.INT16, scale=0.001),
    )


def _transpose_conv() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_transpose_conv.build
    yield "transpose_conv_same", build((1, 8, 6), (3, 3, 3, 4), TransposeConvAttrs(_SAME, 2, 2), zero_points=(-9, 8))
    yield (
        "transpose_conv_valid",
        build((2, 9, 7), (2, 3, 3, 5), TransposeConvAttrs(_VALID, 2, 3, _RELU), zero_points=(127, -128), seed=2),
    )
    yield (
        "transpose_conv_per_channel",
        build((1, 7, 9), (4, 4, 2, 3), TransposeConvAttrs(_SAME, 1, 3), weight_scales=[0.1, 0.2, 0.3, 0.4], seed=3),
    )
    yield (
        "transpose_conv_sparse",
        build((1, 9, 8), (2, 2, 1, 6), TransposeConvAttrs(_SAME, 3, 4), bias=None, zero_points=(1, 1), seed=4),
    )
    yield (
        "transpose_conv_unit_stride",
        build((1, 5, 5), (3, 3, 3, 2), TransposeConvAttrs(_SAME, 1, 1, _RELU6), **_FINE),
    )
    yield (
        "transpose_conv_int16",
        build((1, 7, 6), (3, 3, 2, 4), TransposeConvAttrs(_SAME, 2, 2), dtype=DType.INT16, output_scale=50.0),
    )


def _batch_matmul() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_batch_matmul.build
    yield "batch_matmul", build((5, 16), (16, 7), zero_points=(-3, 8, 5))
    yield "batch_matmul_adj_y", build((2, 3, 9), (2, 4, 9), (False, True), zero_points=(-30, 90, 0))
    yield "batch_matmul_adj_x", build((1, 2, 6, 5), (1, 2, 6, 3), (True, False), zero_points=(0, 20, -6))
    yield "batch_matmul_adj_both", build((4, 3), (5, 4), (True, True), zero_points=(7, -7, 1))
    yield "batch_matmul_broadcast", build((2, 1, 3, 4), (3, 4, 2), zero_points=(1, 2, 3))
    yield "batch_matmul_int16", build((2, 3, 9), (9, 4), dtype=DType.INT16, quantization=(0.01, 0.01, 5.0))
    yield "batch_matmul_constant", build((2, 3, 8), (8, 6), constant=1, zero_points=(-20, 0, 30))


def _svdf() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_svdf.build
    yield "svdf_int16", build(1, 12, 4, 2, 5, scales=(0.02, 0.02, 0.0001, 0.001, 1.0), zero_points=(-7, 0, 5))
    yield (
        "svdf_int8",
        build(1, 9, 3, 1, 6, dtype=DType.INT8, scales=(0.02, 0.02, 0.01, 0.05, 0.2), zero_points=(-128, 0, -3)),
    )
    yield (
        "svdf_int8_zero_point",
        build(2, 5, 3, 2, 4, dtype=DType.INT8, scales=(0.02, 0.02, 0.01, 0.05, 0.2), zero_points=(3, -20, 4)),
    )
    yield "svdf_int16_batches", build(2, 7, 5, 3, 1, scales=(0.02, 0.02, 0.0001, 0.001, 0.5), zero_points=(127, 0, -9))


def _lstm() -> Iterator[tuple[str, ModelBuilder]]:
    build = test_unidirectional_sequence_lstm.build
    yield "lstm", build(1, 5, 6, 7, zero_points=(-3, 4))
    yield "lstm_time_major", build(2, 3, 4, 5, time_major=True, zero_points=(-128, 0), cell_scale=2.0**-9, seed=2)
    wide: dict[str, Any] = {"dtype": DType.INT16, "input_scale": 1e-4, "hidden_scale": 2.0**-15}
    yield "lstm_int16", build(2, 5, 6, 7, **wide)
    yield "lstm_int16_time_major", build(2, 4, 3, 5, time_major=True, clip=0.7, cell_scale=2.0**-9, seed=6, **wide)
    yield "lstm_batches", build(3, 2, 5, 4, zero_points=(10, -20), cell_scale=2.0**-13, seed=3)
    yield "lstm_clip", build(1, 4, 8, 3, clip=0.5, zero_points=(0, 0), cell_scale=2.0**-15, seed=4)
    yield (
        "lstm_one_step",
        build(1, 1, 10, 6, weight_scales=(0.004, 0.003, 0.005, 0.006, 0.01, 0.009, 0.008, 0.007), zero_points=(1, 1)),
    )
