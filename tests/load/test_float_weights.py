"""Files whose weights are narrower than their float32 activations: what they stand for, and what that may cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ops import test_batch_matmul, test_conv_2d, test_fully_connected, test_transpose_conv
from tests.ops.test_float import as_float
from tests.support.compare import assert_agree
from tests.support.reference_models import mlperf_models
from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError, VerifyError
from tinyops.graph import DType, Quantization
from tinyops.load import load_tflite
from tinyops.ops.base import Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.transpose_conv import TransposeConvAttrs
from tinyops.passes import run_passes
from tinyops.save import write_tflite

Array = np.ndarray[Any, Any]
FLOAT = DType.FLOAT32
_RANGES = {DType.INT4: (-7, 7), DType.INT8: (-127, 127), DType.UINT8: (0, 255)}
_SAME = Padding.SAME


def narrow(
    builder: ModelBuilder, dtype: DType, scales: list[float], axis: int = 0, zero_point: int = 0
) -> ModelBuilder:
    """The float32 model with integers as weights, input 1."""
    tensors = as_float(builder, 1).graphs[0].tensors
    shape = tensors[1].shape
    data = np.random.default_rng(3).integers(*_RANGES[dtype], shape, endpoint=True).astype(dtype.numpy)
    exact = tuple(float(np.float32(s)) for s in scales)
    quantization = Quantization(exact, (zero_point,) * len(exact), axis)
    tensors[1] = dataclasses.replace(tensors[1], dtype=dtype, quantization=quantization, data=data)
    return builder


def meant(builder: ModelBuilder) -> Array:
    """float32 weights that the integers stand for."""
    weights = builder.graphs[0].tensors[1]
    assert weights.quantization is not None
    assert weights.data is not None
    shape = [1] * len(weights.shape)
    shape[weights.quantization.axis] = -1
    scales = np.array(weights.quantization.scales, np.float32).reshape(shape)
    zero = np.array(weights.quantization.zero_points).reshape(shape)
    floats: Array = scales * (weights.data.astype(np.int32) - zero).astype(np.float32)
    return floats


def check(builder: ModelBuilder) -> None:
    """The imported model has the weights that are meant; TFLite Micro computes the same from the file of it."""
    model = load_tflite(builder.build()[1])
    assert model.main.tensors[1].dtype is FLOAT
    np.testing.assert_array_equal(model.main.tensors[1].data, meant(builder))
    compare(model.main.tensors[model.main.inputs[0]].shape, run_passes(model))


def compare(shape: tuple[int, ...], model: Any) -> None:
    values = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    (theirs,) = ORACLE.run(write_tflite(model), [[values]])[0].outputs
    assert_agree(Interpreter(model).run(values)[0], theirs)


@pytest.mark.parametrize("dtype", _RANGES)
def test_weights_become_floats(dtype: DType) -> None:
    zero_point = 131 if dtype is DType.UINT8 else 0
    convolution = test_conv_2d.build((1, 5, 4, 3), (2, 3, 3, 3), Conv2DAttrs(_SAME, 1, 1))
    depthwise = test_conv_2d.build((1, 5, 4, 3), (1, 3, 3, 3), DepthwiseConv2DAttrs(_SAME, 1, 1))
    check(narrow(convolution, dtype, [0.02, 0.0005], zero_point=zero_point))
    check(narrow(depthwise, dtype, [0.1, 0.02, 0.3], axis=3, zero_point=zero_point))
    check(narrow(test_fully_connected.build((2, 9), 4, 9), dtype, [0.01], zero_point=zero_point))
    check(narrow(test_fully_connected.build((2, 9), 3, 9), dtype, [0.1, 0.2, 0.4], zero_point=zero_point))
    check(narrow(test_batch_matmul.build((3, 5), (5, 2), constant=1), dtype, [0.3], zero_point=zero_point))


def test_weights_of_a_transposed_convolution() -> None:
    builder = as_float(test_transpose_conv.build((1, 5, 4), (2, 3, 3, 2), TransposeConvAttrs(_SAME, 2, 2)), 1)
    tensors = builder.graphs[0].tensors
    assert tensors[2].data is not None
    data = np.round(tensors[2].data * 50).astype(np.int8)
    tensors[2] = dataclasses.replace(tensors[2], dtype=DType.INT8, quantization=Quantization((0.25,), (0,)), data=data)
    model = load_tflite(builder.build()[1])
    np.testing.assert_array_equal(model.main.tensors[2].data, data * np.float32(0.25))
    compare(model.main.tensors[0].shape, run_passes(model))


def test_table_of_embeddings() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    index = g.tensor((2,), DType.INT32)
    table = g.tensor((3, 4), scale=0.5, data=np.arange(12) - 6)
    y = g.tensor((2, 4), FLOAT)
    g.op("EMBEDDING_LOOKUP", [index, table], [y])
    g.inputs, g.outputs = (index,), (y,)
    (rows,) = Interpreter(load_tflite(builder.build()[1])).run(np.array([2, 0], np.int32))
    assert rows.tolist() == [[1.0, 1.5, 2.0, 2.5], [-3.0, -2.5, -2.0, -1.5]]


def _dequantized(g: GraphBuilder, shape: tuple[int, ...], dtype: DType, data: Any, **quantization: Any) -> int:
    stored, value = g.tensor(shape, dtype, data=data, **quantization), g.tensor(shape, FLOAT)
    g.op("DEQUANTIZE", [stored], [value])
    return value


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.INT8, DType.INT4])
def test_dequantized_constants(dtype: DType) -> None:
    """float16 weights, and weights alone of fewer bits, per channel: operators read DEQUANTIZEs of constants."""
    rng = np.random.default_rng(4)
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor((1, 4, 4, 3), FLOAT), g.tensor((1, 4, 4, 2), FLOAT)
    if dtype is DType.FLOAT16:
        stored = rng.normal(size=(2, 3, 3, 3)).astype(np.float16)
        expected = stored.astype(np.float32)
        weights = _dequantized(g, stored.shape, dtype, stored)
        bias = _dequantized(g, (2,), dtype, [0.1, -6e-8])
    else:
        stored = rng.integers(-7, 8, (2, 3, 3, 3)).astype(np.int8)
        scales = np.array([0.1, 0.03], np.float32)
        expected = stored.astype(np.float32) * scales.reshape(2, 1, 1, 1)
        weights = _dequantized(g, stored.shape, dtype, stored, scale=scales)
        bias = g.tensor((2,), FLOAT, data=[0.1, -3])
    g.op("CONV_2D", [x, weights, bias], [y], Conv2DAttrs(_SAME, 1, 1))
    g.inputs, g.outputs = (x,), (y,)
    model = load_tflite(builder.build()[1])
    (convolution,) = model.main.views()
    np.testing.assert_array_equal(convolution.input(1).data, expected)
    assert convolution.input(1).dtype is FLOAT
    compare((1, 4, 4, 3), run_passes(model))


def test_computed_values_of_these_types_are_refused() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((4,), DType.FLOAT16)
    g.inputs, g.outputs = (x,), (_dequantized(g, (4,), DType.FLOAT16, None),)
    with pytest.raises(VerifyError, match="float16 is for constants only"):
        load_tflite(builder.build()[1])


def test_infinite_float16_stays_infinite() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    g.outputs = (_dequantized(g, (3,), DType.FLOAT16, [1, np.inf, -np.inf]),)
    assert Interpreter(load_tflite(builder.build()[1])).run()[0].tolist() == [1, np.inf, -np.inf]


def test_float16_that_is_no_number_is_refused() -> None:
    builder = ModelBuilder()
    g = builder.graph()
    g.outputs = (_dequantized(g, (2,), DType.FLOAT16, [1, np.nan]),)
    with pytest.raises(VerifyError, match="holds NaN"):
        load_tflite(builder.build()[1])


def test_shared_weights_cannot_fill_the_memory() -> None:
    """Tensors that share one buffer would each become floats of their own."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, 512), FLOAT)
    data = np.ones((512, 512), np.int8)
    for k in range(4):
        w = g.tensor((512, 512), scale=0.1 + k, data=data)
        y = g.tensor((1, 512), FLOAT)
        g.op("FULLY_CONNECTED", [x, w, None], [y], FullyConnectedAttrs())
        x = y
    g.inputs, g.outputs = (0,), (x,)
    with pytest.raises(ModelError, match="too much memory as float32"):
        load_tflite(builder.build()[1])


@pytest.mark.parametrize("path", [path.with_name("kws_float.tflite") for path in mlperf_models()[:1]])
def test_hybrid_model(path: Path) -> None:
    """TFLite Micro refuses this file; it runs the file of the imported model, whose weights are floats."""
    model = run_passes(load_tflite(path.read_bytes()))
    assert {tensor.dtype for tensor in model.main.tensors} <= {FLOAT, DType.INT32}
    compare(model.main.tensors[model.main.inputs[0]].shape, model)
