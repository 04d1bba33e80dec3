"""Batch normalization goes into the weights before it, and activations into the operator before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_writer import TOLERANCE, OnnxBuilder, assert_close, our_outputs, random_inputs
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType, Model
from tinyops.load import load_onnx
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation
from tinyops.passes import fold_batch_norm, fold_constants, fuse_activation, layout, prune, run_passes

Make = Callable[[OnnxBuilder, str], str]
BEFORE = (fold_constants, prune, layout)
FOLDED = (*BEFORE, fold_batch_norm, prune)
_RNG = np.random.default_rng(0)


def _weights(*shape: int) -> np.ndarray[Any, Any]:
    return _RNG.normal(0, 0.5, shape).astype(np.float32)


def _norm(b: OnnxBuilder, x: str, channels: int = 4) -> str:
    statistics = [_weights(channels), _weights(channels), _weights(channels), np.abs(_weights(channels)) + 0.1]
    return str(b.node("BatchNormalization", x, *[b.constant(s) for s in statistics]))


def _conv(b: OnnxBuilder, x: str, *bias: Any, **attributes: Any) -> str:
    weights = _weights(4, 1 if attributes.get("group") else 4, 3, 3)
    return str(b.node("Conv", x, b.constant(weights), *[b.constant(v) for v in bias], pads=[1] * 4, **attributes))


def _folded(make: Make, shape: tuple[int, ...] = (1, 4, 5, 6)) -> Model:
    """After the pass, which is compared with the model before it."""
    builder = OnnxBuilder()
    data = builder.build(make(builder, builder.input(shape)))
    model = run_passes(load_onnx(data), BEFORE)
    folded = run_passes(model, (fold_batch_norm, prune))
    for seed in range(2):
        inputs = list(random_inputs(data, seed).values())
        assert_close(our_outputs(folded, inputs), our_outputs(model, inputs), TOLERANCE / 10)
    return folded


def _kinds(model: Model) -> list[str]:
    return [op.kind for op in model.main.ops]


CASES: dict[str, tuple[Make, list[str]]] = {
    "convolution": (lambda b, x: _norm(b, _conv(b, x)), ["CONV_2D"]),
    "with a bias": (lambda b, x: _norm(b, _conv(b, x, _weights(4))), ["CONV_2D"]),
    "depthwise": (lambda b, x: _norm(b, _conv(b, x, group=4)), ["DEPTHWISE_CONV_2D"]),
    "two": (lambda b, x: _norm(b, _norm(b, _conv(b, x))), ["CONV_2D"]),
    "transposed": (
        lambda b, x: _norm(b, b.node("ConvTranspose", x, b.constant(_weights(4, 4, 2, 2)), strides=[2, 2])),
        ["TRANSPOSE_CONV"],
    ),
    "dense": (
        lambda b, x: _norm(b, b.node("Gemm", b.node("Flatten", x), b.constant(_weights(120, 4)))),
        ["RESHAPE", "FULLY_CONNECTED"],
    ),
    "number": (lambda b, x: b.node("Mul", _conv(b, x), b.constant(2.5, np.float32)), ["CONV_2D"]),
    "difference": (lambda b, x: b.node("Sub", _conv(b, x), b.constant(_weights(4, 1, 1))), ["CONV_2D"]),
    "constant first": (lambda b, x: b.node("Sub", b.constant(_weights(4, 1, 1)), _conv(b, x)), ["CONV_2D", "SUB"]),
    "along rows": (lambda b, x: b.node("Mul", _conv(b, x), b.constant(_weights(5, 1))), ["CONV_2D", "MUL"]),
    "activation between": (lambda b, x: _norm(b, b.node("Relu", _conv(b, x))), ["CONV_2D", "RELU", "MUL", "ADD"]),
    "before the convolution": (lambda b, x: _conv(b, _norm(b, x)), ["MUL", "ADD", "CONV_2D"]),
}


@pytest.mark.parametrize("name", CASES)
def test_folds_what_is_per_channel(name: str) -> None:
    make, kinds = CASES[name]
    assert _kinds(_folded(make)) == kinds


def test_value_that_is_read_twice_stays() -> None:
    def make(b: OnnxBuilder, x: str) -> str:
        y = _conv(b, x)
        return str(b.node("Add", _norm(b, y), y))

    assert _kinds(_folded(make)) == ["CONV_2D", "MUL", "ADD", "ADD"]


def test_output_that_is_read_too_stays() -> None:
    builder = OnnxBuilder()
    y = _conv(builder, builder.input((1, 4, 5, 6)))
    model = run_passes(load_onnx(builder.build(y, _norm(builder, y))), FOLDED)
    assert _kinds(model) == ["CONV_2D", "MUL", "ADD"]


class TestFuseActivation:
    """Also fused: the activation after what was folded."""

    @pytest.mark.parametrize(
        ("node", "activation"),
        [
            (lambda b, x: b.node("Relu", x), Activation.RELU),
            (lambda b, x: b.node("Clip", x, b.constant(0, np.float32), b.constant(6, np.float32)), Activation.RELU6),
            (
                lambda b, x: b.node("Clip", x, b.constant(-1, np.float32), b.constant(1, np.float32)),
                Activation.RELU_N1_TO_1,
            ),
        ],
    )
    def test_after_batch_normalization(self, node: Make, activation: Activation) -> None:
        builder = OnnxBuilder()
        x = builder.input((1, 4, 5, 6))
        data = builder.build(node(builder, _norm(builder, _conv(builder, x))))
        model = run_passes(load_onnx(data))
        assert _kinds(model) == ["CONV_2D"]
        assert model.main.ops[0].attrs.fused_activation_function is activation
        inputs = list(random_inputs(data, 0).values())
        assert_close(our_outputs(model, inputs), our_outputs(load_onnx(data), inputs), TOLERANCE / 10)

    def test_the_second_of_two_stays(self) -> None:
        builder = OnnxBuilder()
        y = builder.node("Relu", _conv(builder, builder.input((1, 4, 5, 6))))
        low, high = (builder.constant(v, np.float32) for v in (0, 6))
        model = run_passes(load_onnx(builder.build(builder.node("Clip", y, low, high))))
        assert _kinds(model) == ["CONV_2D", "RELU6"]

    @pytest.mark.parametrize("other_scale", [0.5, 0.25])
    def test_integers_where_both_tensors_are_quantized_alike(self, other_scale: float) -> None:
        builder = ModelBuilder()
        graph = builder.graph()
        x, y = (graph.tensor((1, 4), scale=0.5, zero_point=3) for _ in range(2))
        z = graph.tensor((1, 4), scale=other_scale, zero_point=3)
        graph.op("ADD", (x, x), (y,), AddAttrs())
        graph.op("RELU", (y,), (z,))
        graph.inputs, graph.outputs = (x,), (z,)
        model = builder.build()[0]
        fused = run_passes(model, (fuse_activation, prune))
        assert _kinds(fused) == (["ADD"] if other_scale == 0.5 else ["ADD", "RELU"])
        values = np.random.default_rng(0).integers(-128, 128, (1, 4)).astype(DType.INT8.numpy)
        assert np.array_equal(our_outputs(fused, [values]), our_outputs(model, [values]))
