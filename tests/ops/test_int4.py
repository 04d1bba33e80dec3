"""int4 weights of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, and layers of different widths in one model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tflite
from hypothesis import given
from hypothesis import strategies as st

from tests.ops import test_conv_2d, test_fully_connected
from tests.support.compare import assert_same, random_values
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError, VerifyError
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.lower.program import Role
from tinyops.ops.base import Activation, Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.packed import pack_int4, unpack_int4
from tinyops.passes import run_passes


def int4(builder: ModelBuilder) -> ModelBuilder:
    """The one-operator model with int4 weights: the high halves of its int8 weights."""
    tensors = builder.graphs[0].tensors
    assert tensors[1].data is not None
    tensors[1] = dataclasses.replace(tensors[1], dtype=DType.INT4, data=tensors[1].data >> 4)
    return builder


def mixed(seed: int = 0) -> ModelBuilder:
    """int8 convolution, int16 depthwise convolution between two QUANTIZEs, int4 convolution, int4 dense layer."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, 6, 6, 3), scale=0.02, zero_point=-5)
    a = g.tensor((1, 6, 6, 5), scale=0.5, zero_point=7)
    b = g.tensor((1, 6, 6, 5), DType.INT16, scale=0.002)
    c = g.tensor((1, 6, 6, 5), DType.INT16, scale=0.02)
    d = g.tensor((1, 6, 6, 5), scale=2.5, zero_point=-11)
    e = g.tensor((1, 3, 3, 7), scale=1.5, zero_point=3)
    y = g.tensor((1, 4), scale=7.0, zero_point=1)

    def weights(k: int, shape: tuple[int, ...], dtype: DType, axis: int = 0, channels: int = 1) -> int:
        values = random_values(seed + k, shape)
        scale = [0.01 * (1 + c % 3) for c in range(channels)]
        return g.tensor(shape, dtype, scale=scale, axis=axis, data=values >> 4 if dtype is DType.INT4 else values)

    def bias(count: int, dtype: DType = DType.INT32) -> int:
        return g.tensor((count,), dtype, scale=0.02 if count == 4 else 0.001, data=np.arange(count) * 9 - 20)

    g.op(
        "CONV_2D",
        [x, weights(1, (5, 3, 3, 3), DType.INT8, 0, 5), bias(5)],
        [a],
        Conv2DAttrs(Padding.SAME, 1, 1),
    )
    g.op("QUANTIZE", [a], [b])
    depthwise = weights(2, (1, 3, 3, 5), DType.INT8, 3, 5)
    g.op("DEPTHWISE_CONV_2D", [b, depthwise, bias(5, DType.INT64)], [c], DepthwiseConv2DAttrs(Padding.SAME, 1, 1))
    g.op("QUANTIZE", [c], [d])
    strided = Conv2DAttrs(Padding.SAME, 2, 2, Activation.RELU)
    g.op("CONV_2D", [d, weights(3, (7, 3, 3, 5), DType.INT4, 0, 7), bias(7)], [e], strided)
    g.op("FULLY_CONNECTED", [e, weights(4, (4, 63), DType.INT4), None], [y], FullyConnectedAttrs())
    g.inputs, g.outputs = (x,), (y,)
    return builder


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_packing(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-8, 8, count).astype(np.int8)
    packed = pack_int4(values)
    assert packed.dtype == np.uint8
    assert packed.size == (count + 1) // 2
    np.testing.assert_array_equal(unpack_int4(packed, count), values)


def test_first_value_is_in_the_low_half() -> None:
    assert pack_int4(np.array([1, -2, -8], np.int8)).tolist() == [0xE1, 0x08]


@given(test_conv_2d.convolutions(depthwise=False))
def test_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(int4(case[0]), case[1])


@given(test_conv_2d.convolutions(depthwise=True))
def test_depthwise_conv_2d_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(int4(case[0]), case[1])


@given(test_fully_connected.layers())
def test_fully_connected_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    quantization = case[0].graphs[0].tensors[1].quantization
    assert quantization is not None
    if not quantization.per_channel:
        assert_same(int4(case[0]), case[1])


def test_layers_of_different_widths_equal_tflite_micro() -> None:
    for seed in range(5):
        assert_same(mixed(seed), seed, runs=2)


def test_weights_are_packed_in_file_and_program() -> None:
    builder = int4(test_conv_2d.build((1, 4, 4, 3), (5, 3, 3, 3), Conv2DAttrs(Padding.SAME, 1, 1)))
    data = builder.build()[1]
    root = tflite.Model.GetRootAsModel(data, 0)
    assert root.OperatorCodes(0).Version() == 7
    weights = root.Subgraphs(0).Tensors(1)
    assert (weights.Type(), root.Buffers(weights.Buffer()).DataLength()) == (tflite.TensorType.INT4, 68)
    program = lower(run_passes(load_tflite(data)), name="int4")
    assert program.constant_bytes(Role.WEIGHTS) == 68


def test_refusals() -> None:
    per_channel = int4(test_fully_connected.build((1, 4), 3, 4, weight_scale=[0.1, 0.2, 0.3]))
    with pytest.raises(ModelError, match="int4 weights are quantized per channel"):
        load_tflite(per_channel.build()[1])
    wide = int4(test_fully_connected.build((1, 4), 3, 4, dtype=DType.INT16))
    with pytest.raises(ModelError, match="the weights is int4"):
        load_tflite(wide.build()[1])
    computed = ModelBuilder()
    g = computed.graph()
    g.inputs, g.outputs = (g.tensor((4,), DType.INT4, scale=0.1),), (0,)
    with pytest.raises(VerifyError, match="int4 is for constants only"):
        load_tflite(computed.build()[1])
