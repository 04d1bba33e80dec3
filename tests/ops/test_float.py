"""float32 operators equal TFLite Micro's up to the tolerance, QUANTIZE and DEQUANTIZE bit for bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops import test_add, test_binary, test_conv_2d, test_fully_connected, test_mean, test_pool
from tests.ops.test_elementwise import SHAPES, build
from tests.ops.test_movement import concatenation, pad, reshape, rules_and_view, strided_slice
from tests.support.compare import SEEDS, Array, assert_agree, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError, TinyopsError
from tinyops.graph import DType, Quantization, Tensor
from tinyops.load import load_tflite
from tinyops.ops import check
from tinyops.ops.base import Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.float32 import TOLERANCE, differs, real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs

FLOAT = DType.FLOAT32
INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)
UNARY = ("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH")


def as_float(builder: ModelBuilder, seed: int) -> ModelBuilder:
    """The same graph with float32 in place of all that is quantized."""
    rng = np.random.default_rng(seed)

    def changed(tensor: Tensor) -> Tensor:
        if tensor.quantization is None:
            return tensor
        data = None if tensor.data is None else rng.normal(0, 0.5, tensor.shape).astype(np.float32)
        return dataclasses.replace(tensor, dtype=FLOAT, quantization=None, data=data)

    for graph in builder.graphs:
        graph.tensors = [changed(tensor) for tensor in graph.tensors]
    return builder


def of(strategy: st.SearchStrategy[tuple[ModelBuilder, int]]) -> st.SearchStrategy[tuple[ModelBuilder, int]]:
    return strategy.map(lambda case: (as_float(*case), case[1]))


CASES = {
    "conv_2d": of(test_conv_2d.convolutions(depthwise=False)),
    "depthwise_conv_2d": of(test_conv_2d.convolutions(depthwise=True)),
    "fully_connected": of(test_fully_connected.layers()),
    "add": of(test_add.additions()),
    "sub": of(test_binary.quantized("SUB")),
    "mul": of(test_binary.quantized("MUL")),
    "pool": of(test_pool.pools()),
    "mean": of(test_mean.means()),
}


@pytest.mark.parametrize("kind", CASES)
@given(data=st.data())
def test_equals_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(CASES[kind]))


def unary(kind: str, shape: tuple[int, ...]) -> ModelBuilder:
    return as_float(build(kind, shape), 0)


@pytest.mark.parametrize("kind", [kind for kind in UNARY if kind != "RELU_N1_TO_1"])
@given(shape=SHAPES, seed=SEEDS)
def test_functions_equal_tflite_micro(kind: str, shape: tuple[int, ...], seed: int) -> None:
    assert_same(unary(kind, shape), seed)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("RELU", [0, 0, 0, 0.5, 1.5, 7]),
        ("RELU6", [0, 0, 0, 0.5, 1.5, 6]),
        ("RELU_N1_TO_1", [-1, -0.5, 0, 0.5, 1, 1]),
        ("LOGISTIC", [0.0009110512, 0.37754067, 0.5, 0.62245933, 0.81757448, 0.99908895]),
        ("TANH", [-0.99999834, -0.46211716, 0, 0.46211716, 0.90514825, 0.99999834]),
    ],
)
def test_known_values(kind: str, expected: list[float]) -> None:
    model, _ = unary(kind, (6,)).build()
    (ours,) = Interpreter(model).run(np.array([-7, -0.5, 0, 0.5, 1.5, 7], np.float32))
    assert_agree(ours, np.array(expected, np.float32))


@given(SHAPES, st.sampled_from([1.0, 0.5, 3.0]), SEEDS)
def test_softmax_equals_tflite_micro(shape: tuple[int, ...], beta: float, seed: int) -> None:
    assert_same(as_float(build("SOFTMAX", shape, attrs=SoftmaxAttrs(beta)), 0), seed)


def quantization(shape: tuple[int, ...], dtype: DType, scale: float, zero_point: int) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    g.inputs = (g.tensor(shape, FLOAT),)
    g.outputs = (g.tensor(shape, dtype, scale=scale, zero_point=zero_point),)
    g.op("QUANTIZE", g.inputs, g.outputs)
    return builder


def dequantization(shape: tuple[int, ...], dtype: DType, scale: float, zero_point: int) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    g.inputs = (g.tensor(shape, dtype, scale=scale, zero_point=zero_point),)
    g.outputs = (g.tensor(shape, FLOAT),)
    g.op("DEQUANTIZE", g.inputs, g.outputs)
    return builder


@st.composite
def conversions(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    dtype = draw(st.sampled_from(INTEGERS))
    zero_point = {DType.INT8: st.integers(-128, 127), DType.UINT8: st.integers(0, 255), DType.INT16: st.just(0)}
    make = draw(st.sampled_from([quantization, dequantization]))
    return make(draw(SHAPES), dtype, draw(scales(-12, 2)), draw(zero_point[dtype])), draw(SEEDS)


def exact(builder: ModelBuilder, values: Array) -> None:
    model, data = builder.build()
    check(model)
    (ours,) = Interpreter(model).run(values)
    theirs = ORACLE.run(data, [[values]])[0].outputs[0]
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.reshape(-1), theirs.reshape(-1))


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
@given(scale=scales(-12, 2), zero_point=st.integers(-128, 127), seed=SEEDS)
def test_quantize_is_exact(dtype: DType, scale: float, zero_point: int, seed: int) -> None:
    """Ties, values beyond both ends of the range, and random ones."""
    rng = np.random.default_rng(seed)
    steps = np.concatenate([np.arange(-300, 300) / 2, rng.normal(0, 2**15, 400)])
    values = (steps * np.float32(scale)).astype(np.float32)
    exact(quantization(values.shape, dtype, scale, 0 if dtype is DType.INT16 else zero_point), values)


@pytest.mark.parametrize("dtype", INTEGERS)
@given(scale=scales(-12, 2), zero_point=st.integers(0, 127))
def test_dequantize_is_exact(dtype: DType, scale: float, zero_point: int) -> None:
    info = np.iinfo(dtype.numpy)
    values = np.arange(info.min, info.max + 1, 1 if info.bits == 8 else 37).astype(dtype.numpy)
    exact(dequantization(values.shape, dtype, scale, 0 if dtype is DType.INT16 else zero_point), values)


def test_quantize_saturates() -> None:
    """What C leaves undefined, and TFLite Micro to the compiler."""
    model, _ = quantization((5,), DType.INT8, 0.5, -7).build()
    values = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38], np.float32)
    assert Interpreter(model).run(values)[0].tolist() == [127, -128, -128, 127, -128]


def test_quantize_to_uint8() -> None:
    model, _ = quantization((6,), DType.UINT8, 0.5, 131).build()
    values = np.array([-70, -0.25, 0.24, 0.25, 1, 70], np.float32)
    assert Interpreter(model).run(values)[0].tolist() == [0, 130, 131, 132, 133, 255]


def test_float_model_around_an_int8_core() -> None:
    """The usual export: QUANTIZE, int8 layers, DEQUANTIZE."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((2, 5), FLOAT)
    q = g.tensor((2, 5), scale=0.05, zero_point=3)
    s = g.tensor((2, 5), scale=1 / 256, zero_point=-128)
    y = g.tensor((2, 5), FLOAT)
    g.op("QUANTIZE", [x], [q])
    g.op("SOFTMAX", [q], [s], SoftmaxAttrs())
    g.op("DEQUANTIZE", [s], [y])
    g.inputs, g.outputs = (x,), (y,)
    assert_same(builder, 5, runs=3)


MOVEMENTS = {
    "reshape": reshape((2, 6), (3, 4), FLOAT),
    "pad": pad((2, 3), [(1, 0), (0, 2)], FLOAT),
    "concatenation": concatenation([(2, 3), (2, 1)], 1, FLOAT),
    "strided_slice": strided_slice((4, 5), [0, 1], [4, 5], [2, 2], StridedSliceAttrs(), FLOAT),
}


@pytest.mark.parametrize("kind", MOVEMENTS)
def test_movement_equals_tflite_micro(kind: str) -> None:
    assert_same(MOVEMENTS[kind], 1)


def test_real_values_of_channels() -> None:
    tensor = Tensor("w", DType.INT8, (2, 2), Quantization((0.5, 0.25), (0, 0), 1))
    assert real_values(tensor, np.array([[1, 2], [3, 4]], np.int8)).tolist() == [[0.5, 0.5], [1.5, 1.0]]


def test_tolerance() -> None:
    expected = np.array([0, 1, 100, -100, 1, np.nan, np.inf], np.float32)
    got = expected + np.array([0.9, -0.9, 90, 90, 1.2, 0, 0], np.float32) * np.float32(TOLERANCE)
    assert differs(got, expected).tolist() == [False, False, False, False, True, False, False]
    assert differs(np.array([1, 2], np.int8), np.array([1, 3], np.int8)).tolist() == [False, True]
    infinite = np.array([np.nan, 1, np.inf, np.inf, -np.inf], np.float32)
    assert differs(infinite, np.array([1, np.inf, 1, -np.inf, np.nan], np.float32)).all()


def test_overlap_of_a_change_of_width() -> None:
    rules, view = rules_and_view(quantization((5,), DType.INT8, 0.5, 0))
    assert rules.overlap(view) == {(0, 0): 0}
    # The fourth float must end where the fifth byte begins.
    rules, view = rules_and_view(dequantization((5,), DType.INT8, 0.5, 0))
    assert rules.overlap(view) == {(0, 0): 12}


REFUSED: dict[str, tuple[ModelBuilder, int | None, dict[str, Any], str]] = {
    "no scale": (quantization((3,), DType.INT8, 0.5, 0), 1, {"quantization": None}, "no quantization"),
    "int32": (dequantization((3,), DType.INT32, 0.5, 0), None, {}, "input is int32"),
    "mixed": (as_float(test_add.build((3,), (3,)), 0), 1, {"dtype": DType.INT8}, "input 1 is int8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    builder, index, changes, message = REFUSED[case]
    if index is not None:
        tensors = builder.graphs[0].tensors
        tensors[index] = dataclasses.replace(tensors[index], **changes)
    model, _ = builder.build()
    with pytest.raises(ModelError, match=message):
        check(model)


def test_constants_that_are_no_numbers_are_refused() -> None:
    builder = as_float(test_conv_2d.build((1, 4, 5, 3), (2, 3, 3, 3), Conv2DAttrs(Padding.SAME, 1, 1)), 1)
    tensors = builder.graphs[0].tensors
    tensors[2] = dataclasses.replace(tensors[2], data=np.array([1, np.nan], np.float32))
    with pytest.raises(TinyopsError, match="holds NaN"):
        load_tflite(builder.build()[1])
