"""What training, other tools and state leave in a model: FAKE_QUANT, QDQ, hybrid weights, recurrent layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.quantize.networks import Network, Samples, autoencoder, gru_step, lstm
from tests.quantize.test_quantize import _assert_same_as_oracle, _sensitivity
from tests.support.tflm import ORACLE
from tinyops.graph import DType, Model, Quantization
from tinyops.load import load_model, load_tflite
from tinyops.ops.base import Activation
from tinyops.ops.fake_quant import FakeQuantAttrs, nudged
from tinyops.ops.float32 import quantized
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.quantize import Method, QuantizationSettings, quantize
from tinyops.quantize.prepare import as_prepared
from tinyops.save import write_tflite

_QUICK = QuantizationSettings(adaround_iterations=10)
#: torch's legacy exporter writes the same networks as its dynamo exporter.
_ONNX = [
    path
    for path in sorted((Path(__file__).parents[1] / "load/onnx").glob("*.onnx"))
    if not path.name.startswith("torch_legacy") and path.stem not in ("keras_lstm", "tf2onnx_gru")
]


def test_learned_ranges_are_kept() -> None:
    """FAKE_QUANT goes; its range is the tensor's, whatever the data says, and moves with operators that share it."""
    net = Network((1, 6, 6, 3), seed=2)
    x = net.unary("FAKE_QUANT", net.inputs[0], min=-1.5, max=2.25)
    x = net.unary("FAKE_QUANT", net.conv(x, 4), min=0.0, max=3.0)
    x = net.pool("MAX_POOL_2D", x)
    x = net.unary("FAKE_QUANT", net.dense(net.reshape(x, 1, 36), 3), min=-4.0, max=4.0)
    model = net.outputs(x).model()
    result = quantize(model, net.samples(4), _QUICK)
    graph = result.model.main
    assert "FAKE_QUANT" not in {op.kind for op in graph.ops}
    n = nudged(FakeQuantAttrs(-1.5, 2.25))
    (image,) = graph.inputs
    assert graph.tensors[image].quantization == Quantization(
        (float(n.scale),), (-128 - round(float(n.low) / float(n.scale)),)
    )
    by_kind = {op.kind: op for op in graph.views()}
    for kind in ("CONV_2D", "MAX_POOL_2D", "RESHAPE"):
        output = by_kind[kind].output()
        assert (output.scale, output.zero_point) == (float(np.float32(3 / 255)), -128)
    assert by_kind["FULLY_CONNECTED"].output().scale == pytest.approx(8 / 255, rel=1e-6)
    assert {t.method for t in result.tensors} == {None}
    _assert_same_as_oracle(result.model, net.samples(3))


def test_fake_quant_of_few_and_of_many_bits() -> None:
    net = Network((1, 8), seed=3)
    x = net.unary("FAKE_QUANT", net.dense(net.inputs[0], 4), min=-2.0, max=2.0, num_bits=4)
    x = net.unary("FAKE_QUANT", net.dense(x, 4), min=-2.0, max=2.0, num_bits=16)
    result = quantize(net.outputs(x).model(), net.samples(4), _QUICK)
    ranges = [op.output().scale for op in result.model.main.views()]
    assert ranges == [pytest.approx(4 / 15, rel=1e-6), pytest.approx(4 / 255, rel=1e-6)]


def test_hybrid_weights_are_quantized_again() -> None:
    """int8 weights of a float32 layer, as a dynamic-range file has them, keep their values."""
    net = autoencoder()
    model = net.model()
    graph = model.main
    index = graph.ops[0].inputs[1]
    assert index is not None
    weights = graph.tensors[index]
    assert weights.data is not None
    scale = float(np.float32(np.abs(weights.data).max() / 127))
    integers = np.round(weights.data / scale).astype(np.int8)
    hybrid = dataclasses.replace(weights, dtype=DType.INT8, quantization=Quantization((scale,), (0,)), data=integers)
    tensors = (*graph.tensors[:index], hybrid, *graph.tensors[index + 1 :])
    file = write_tflite(dataclasses.replace(model, graphs=(dataclasses.replace(graph, tensors=tensors),)))
    result = quantize(load_tflite(file), net.samples(30), QuantizationSettings(adaround=False, equalize=False))
    np.testing.assert_array_equal(next(result.model.main.views()).input(1).data, integers)


def test_states_are_integers() -> None:
    """Over 40 invocations, state carried: the oracle's bits, and close to float32."""
    net = gru_step()
    result = quantize(net.model(), net.samples(60), _QUICK)
    (state,) = result.model.states
    assert state.dtype is DType.INT8
    assert state.quantization is not None
    assert np.all(state.initial == state.quantization.zero_point)
    held_out = net.samples(40, seed=4)
    _assert_same_as_oracle_after_saving(result.model, held_out)
    assert _sensitivity(result, held_out).outputs[0].sqnr > 20


def _assert_same_as_oracle_after_saving(model: Model, samples: Samples) -> None:
    file = write_tflite(model)
    graph = model.main
    steps = [[quantized(x, graph.tensors[t]) for t, x in zip(graph.inputs, sample, strict=True)] for sample in samples]
    wanted = ORACLE.run(file, steps, outputs=len(graph.outputs))
    for ours in (Interpreter(model), Interpreter(run_passes(load_tflite(file)))):
        for step, expected in zip(steps, wanted, strict=True):
            np.testing.assert_array_equal(ours.run(*step)[0], expected.outputs[0])


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_lstm(activations: str) -> None:
    """As one operator: int8 weights, an int16 cell state with a power of two as its scale, state carried."""
    net = lstm()
    settings = QuantizationSettings.model_validate({"activations": activations, "io": activations})
    result = quantize(net.model(), net.samples(60), settings)
    hidden, cell = result.model.states
    assert (hidden.dtype, cell.dtype) == (DType(activations), DType.INT16)
    assert cell.quantization is not None
    assert np.log2(cell.quantization.scale) == round(np.log2(cell.quantization.scale))
    held_out = net.samples(20, seed=4)
    _assert_same_as_oracle_after_saving(result.model, held_out)
    assert _sensitivity(result, held_out).outputs[0].sqnr > (22 if activations == "int8" else 30)


def test_initial_values_of_states_are_covered() -> None:
    """A state that starts far from all that is written to it."""
    net = gru_step()
    model = run_passes(net.model())
    (state,) = model.states
    states = (dataclasses.replace(state, initial=np.full(state.shape, 9.0, np.float32)),)
    result = quantize(dataclasses.replace(model, states=states), net.samples(10), _QUICK)
    (state,) = result.model.states
    assert state.quantization is not None
    real = state.quantization.scale * (state.initial.astype(int) - state.quantization.zero_point)
    np.testing.assert_allclose(real, 9.0, atol=state.quantization.scale)


@pytest.mark.slow
@pytest.mark.parametrize("path", _ONNX, ids=lambda path: path.stem)
def test_files_of_real_exporters(path: Path) -> None:
    """Full-integer models with the bits of TFLite Micro; QDQ files, which are integers already, pass through."""
    model = load_model(path)
    rng = np.random.default_rng(0)
    samples = [
        [rng.normal(0, 1, model.main.tensors[t].shape).astype(np.float32) for t in model.main.inputs] for _ in range(12)
    ]
    settings = QuantizationSettings(adaround_iterations=3, method=Method.MIN_MAX)
    result = quantize(model, samples, settings)
    assert not any(t.dtype is DType.FLOAT32 for t in result.model.main.tensors)
    prepared = [list(sample) for sample in as_prepared(model, result.source, samples)]
    found = _sensitivity(result, prepared)
    assert found.outputs[-1].sqnr > 10
    if path.stem != "sklearn_classifier":  # TFLite Micro gathers no int32, as the labels are
        _assert_same_as_oracle(result.model, prepared[:3])


def test_activations_are_fused_and_pools_over_images_are_means() -> None:
    net = Network((1, 6, 6, 3), seed=2)
    x = net.unary("RELU6", net.conv(net.inputs[0], 4, act=Activation.NONE))
    x = net.pool("AVERAGE_POOL_2D", x, 6)
    result = quantize(net.outputs(x).model(), net.samples(6), _QUICK)
    assert [op.kind for op in result.model.main.ops] == ["CONV_2D", "MEAN"]
    pooled = result.model.main.tensors[result.model.main.outputs[0]]
    assert pooled.scale < next(result.model.main.views()).output().scale / 2
