"""Quantization as converters write it."""

from __future__ import annotations

from dataclasses import replace

from tests.ops import test_conv_2d
from tests.support.compare import assert_same
from tinyops.load import load_tflite


def test_bias_that_names_an_axis_of_the_weights() -> None:
    """As in TFLite Micro's person_detect.tflite: per-channel scales of one dimension, on axis 3."""
    builder = test_conv_2d.build((1, 3, 3, 4), (2, 1, 1, 4), test_conv_2d.SAME, weight_scales=(0.01, 0.02))
    bias = builder.graphs[0].tensors[2]
    assert bias.quantization is not None
    builder.graphs[0].tensors[2] = replace(bias, quantization=replace(bias.quantization, axis=3))
    loaded = load_tflite(builder.build()[1]).main.tensors[2]
    assert loaded.quantization == bias.quantization
    assert_same(builder, 1)
