"""The kernel of int4 weights equals the reference, apart from its input and overlapping it from below and above."""

from __future__ import annotations

from hypothesis import given

from tests.kernels.harness import Kernels
from tests.kernels.test_operators import verify
from tests.ops import test_conv_2d, test_fully_connected
from tests.ops.test_int4 import int4
from tests.support.tflite_writer import ModelBuilder


@given(test_conv_2d.convolutions(depthwise=False))
def test_convolution(c: Kernels, case: tuple[ModelBuilder, int]) -> None:
    verify(c, int4(case[0]), case[1])


@given(test_conv_2d.convolutions(depthwise=True))
def test_depthwise_convolution(c: Kernels, case: tuple[ModelBuilder, int]) -> None:
    verify(c, int4(case[0]), case[1])


@given(test_fully_connected.layers())
def test_dense(c: Kernels, case: tuple[ModelBuilder, int]) -> None:
    quantization = case[0].graphs[0].tensors[1].quantization
    assert quantization is not None
    if not quantization.per_channel:
        verify(c, int4(case[0]), case[1])
