"""Whole networks: TFLite Micro runs what is written with the same bits, close to float32, by the specification."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quantize.networks import NETWORKS, Network, Samples, cnn
from tests.support.tflm import ORACLE
from tinyops.errors import UsageError
from tinyops.graph import DType, Graph, Model, OpView, Tensor
from tinyops.load import load_tflite
from tinyops.ops.base import Activation, operator
from tinyops.ops.float32 import quantized
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize import LayerSettings, Method, QuantizationResult, QuantizationSettings, quantize
from tinyops.quantize.sensitivity import MAX_SQNR, Sensitivity, measure_sensitivity
from tinyops.save import write_tflite

_QUICK = QuantizationSettings(adaround_iterations=20)
#: SQNR of the outputs in dB, on inputs that were not calibrated.
_LEAST = {"autoencoder": 22, "cnn": 30, "gates": 20, "shapes": 30, "transformer": 20}


def _quantized(name: str, settings: QuantizationSettings = _QUICK) -> QuantizationResult:
    return _cached(name, settings.model_dump_json())


@cache
def _cached(name: str, settings: str) -> QuantizationResult:
    net = NETWORKS[name]()
    return quantize(net.model(), net.samples(24), QuantizationSettings.model_validate_json(settings))


def _stored(graph: Graph, samples: Samples) -> Samples:
    """The samples as the model's inputs hold them."""

    def one(tensor: Tensor, x: Any) -> Any:
        return x if tensor.quantization is None else quantized(x, tensor)

    return [[one(graph.tensors[t], x) for t, x in zip(graph.inputs, sample, strict=True)] for sample in samples]


def _assert_same_as_oracle(model: Model, samples: Samples) -> None:
    """Reference, TFLite Micro and the file read again give the same bits."""
    file = write_tflite(model)
    steps = _stored(model.main, samples)
    wanted = ORACLE.run(file, steps, outputs=len(model.main.outputs))
    for ours in (Interpreter(model), Interpreter(load_tflite(file))):
        for step, expected in zip(steps, wanted, strict=True):
            for got, value in zip(ours.run(*step), expected.outputs, strict=True):
                np.testing.assert_array_equal(got, value)


def _sensitivity(result: QuantizationResult, samples: Samples) -> Sensitivity:
    return measure_sensitivity(result, samples, limit=len(samples))


@pytest.mark.parametrize("name", NETWORKS)
def test_bits_and_error(name: str) -> None:
    result = _quantized(name)
    held_out = NETWORKS[name]().samples(8, seed=2)
    _assert_same_as_oracle(result.model, held_out)
    assert min(output.sqnr for output in _sensitivity(result, held_out).outputs) > _LEAST[name]
    assert {result.model.main.tensors[t].dtype for t in result.model.main.inputs} == {DType.INT8}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_obey_the_specification(name: str) -> None:
    model = _quantized(name).model
    for tensor in model.main.tensors:
        assert tensor.dtype is not DType.FLOAT32
    for op in model.main.views():
        rules = operator(op.kind)
        assert rules is not None
        _check_rules(op)


def _check_rules(op: OpView) -> None:
    """Spelled out here again, operator by operator, from TFLite's specification."""
    outputs = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
    if op.kind in outputs:
        assert (op.output().scale, op.output().zero_point) == outputs[op.kind]
    pooled = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR")
    moved = ("CONCATENATION", "RESHAPE", "PAD", "SLICE", "TRANSPOSE", "SPLIT", "MAXIMUM", "MINIMUM", "RELU6")
    if op.kind in pooled + moved:
        data = [t for t in (*op.inputs, *op.outputs) if t is not None and t.dtype is DType.INT8]
        assert len({(t.scale, t.zero_point) for t in data}) == 1
    axis = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": None}
    if op.kind in axis:
        weights, bias = op.input(1), op.optional(2)
        assert weights.data is not None
        assert weights.quantization is not None
        assert np.abs(weights.data.astype(int)).max() <= 127
        assert set(weights.quantization.zero_points) == {0}
        at = axis[op.kind]
        assert len(weights.quantization.scales) == (1 if at is None else weights.shape[at])
        if bias is not None:
            assert bias.dtype is DType.INT32
            assert bias.quantization is not None
            expected = np.array(weights.quantization.scales) * op.input(0).scale
            np.testing.assert_allclose(bias.quantization.scales, expected, rtol=1e-6)
            assert set(bias.quantization.zero_points) == {0}


@pytest.mark.parametrize("io", ["int8", "float32", "int16"])
@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_dtypes_of_activations_and_interface(io: str, activations: str) -> None:
    settings = QuantizationSettings.model_validate({"io": io, "activations": activations, "adaround_iterations": 5})
    result = _quantized("cnn", settings)
    graph = result.model.main
    assert {graph.tensors[t].dtype for t in (*graph.inputs, *graph.outputs)} == {DType(io)}
    held_out = cnn().samples(4, seed=2)
    _assert_same_as_oracle(result.model, held_out)
    least = 45 if activations == "int16" and io != "int8" else 30
    assert _sensitivity(result, held_out).outputs[0].sqnr > least


def test_layers_of_their_own() -> None:
    """int16, float32 and int4 layers among int8 ones, by operator name, pattern and name of the output."""
    net = cnn()
    graph = net.model().main
    names = [op.name for op in graph.ops]
    layers = {
        names[0]: LayerSettings(activations="int16"),
        graph.tensors[graph.ops[1].outputs[0]].name: LayerSettings(activations="float32"),
        "fully_*": LayerSettings(weights="int4"),
        "add_4": LayerSettings(method=Method.MIN_MAX),
    }
    result = quantize(net.model(), net.samples(8), _QUICK.model_copy(update={"layers": layers}))
    kinds = {op.name: (op.output().dtype, op.input(1).dtype) for op in result.model.main.views() if op.op.inputs[1:]}
    assert kinds["conv_2d_0"] == (DType.INT16, DType.INT8)
    assert kinds["depthwise_conv_2d_1"] == (DType.FLOAT32, DType.FLOAT32)
    assert kinds["conv_2d_2"] == (DType.INT8, DType.INT8)
    assert kinds["fully_connected_12"] == (DType.INT8, DType.INT4)
    assert [t.method for t in result.tensors if t.name == result.source.main.tensors[graph.ops[4].outputs[0]].name] == [
        Method.MIN_MAX
    ]
    held_out = net.samples(4, seed=3)
    steps = _stored(result.model.main, held_out)
    # float32 between: the oracle may differ in the last bit, so a step of the output.
    for step, expected in zip(steps, ORACLE.run(write_tflite(result.model), steps), strict=True):
        got = Interpreter(result.model).run(*step)[0]
        assert np.abs(got.astype(int) - expected.outputs[0]).max() <= 1


@pytest.mark.parametrize("method", list(Method))
def test_methods(method: Method) -> None:
    settings = QuantizationSettings(method=method, adaround=False, bias_correction=False, auto_samples=4)
    result = _quantized("cnn", settings)
    assert _sensitivity(result, cnn().samples(6, seed=2)).outputs[0].sqnr > 15
    used = {t.method for t in result.tensors} - {None}
    assert used == {method} if method is not Method.AUTO else used <= set(Method) - {Method.AUTO}


def test_auto_is_measured_at_the_outputs() -> None:
    """A tensor whose few large values decide: clipping them looks good locally and ruins the output."""
    net = Network((1, 16, 16, 8), seed=9)
    x = net.conv(net.inputs[0], 8, act=Activation.RELU)
    x = net.op("REDUCE_MAX", [x, net.constant([1, 2], DType.INT32)], (1, 8), keep_dims=False)
    model = net.outputs(net.dense(x, 4)).model()
    samples = net.samples(12)
    results = {
        method: quantize(
            model, samples, QuantizationSettings(method=method, adaround=False, bias_correction=False, auto_samples=12)
        )
        for method in (Method.AUTO, Method.PERCENTILE, Method.ENTROPY)
    }
    sqnr = {m: _sensitivity(r, samples).outputs[0].sqnr for m, r in results.items()}
    assert sqnr[Method.AUTO] >= max(sqnr.values()) - 0.5


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["int8", "int16"]))
def test_random_networks_keep_the_bound(seed: int, activations: str) -> None:
    """Outputs are within a few steps of every layer's scale, whatever the weights: no gross error hides anywhere."""
    rng = np.random.default_rng(seed)
    net = Network((1, 5, 5, int(rng.integers(1, 5))), seed=seed)
    x = net.inputs[0]
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.integers(4)
        if kind == 0:
            x = net.conv(x, int(rng.integers(1, 7)), act=Activation(int(rng.choice([0, 1, 3]))))
        elif kind == 1:
            x = net.depthwise(x, act=Activation.NONE)
        elif kind == 2:
            x = net.concat(x, net.unary("RELU", x))
        else:
            x = net.binary("ADD", x, net.conv(x, net.shape(x)[3], size=1, act=Activation.NONE))
    model = net.outputs(x).model()
    samples = net.samples(12, seed=seed % 1000)
    settings = QuantizationSettings.model_validate({"activations": activations, "io": activations, "method": "min-max"})
    result = quantize(model, samples, settings.model_copy(update={"adaround_iterations": 5}))
    found = _sensitivity(result, samples)
    _assert_same_as_oracle(result.model, samples[:3])
    output = result.model.main.tensors[result.model.main.outputs[0]]
    assert found.outputs[0].sqnr > (20 if activations == "int8" else 35)
    assert found.outputs[0].largest < 24 * output.scale if activations == "int8" else 200 * output.scale


def test_a_layer_alone_costs_less_than_all_together() -> None:
    result = _quantized("cnn")
    found = _sensitivity(result, cnn().samples(8))
    assert {layer.name for layer in found.layers} == {op.name for op in result.source.main.ops}
    together = found.outputs[0].sqnr
    for layer in found.layers:
        assert together - 6 < layer.alone <= MAX_SQNR
        if layer.alone_weights is not None:
            assert layer.weights is DType.INT8
    worst = found.worst(2)
    assert worst[0].alone <= worst[1].alone == sorted(layer.alone for layer in found.layers)[1]


def test_the_layer_that_suffers_is_named_with_a_remedy() -> None:
    """Units of very different weights in a dense layer, whose scale they share: it is the worst, the remedy works."""
    net = Network((1, 12), seed=3)
    spread = np.logspace(0, 2.5, 10)
    x = net.dense(net.inputs[0], 12, Activation.RELU)
    uneven = net.constant(net.normal(10, 12) / spread[:, None])
    x = net.op("FULLY_CONNECTED", [x, uneven], (1, 10))
    even = net.constant(net.normal(4, 10) * spread)
    model = net.outputs(net.op("FULLY_CONNECTED", [x, even], (1, 4))).model()
    samples = net.samples(60)
    plain = QuantizationSettings(adaround=False, bias_correction=False, equalize=False)
    (worst,) = _sensitivity(quantize(model, samples, plain), samples).worst(1)
    assert worst.name == "fully_connected_1"
    assert worst.alone < 25
    assert worst.remedies[0] == "per_channel_dense = true"
    better = plain.model_copy(update={"per_channel_dense": True})
    found = _sensitivity(quantize(model, samples, better), samples)
    again = next(layer for layer in found.layers if layer.name == worst.name)
    assert again.alone_weights is not None
    assert worst.alone_weights is not None
    assert again.alone_weights > worst.alone_weights + 10


def test_a_weight_budget_takes_the_layers_that_mind_least() -> None:
    net = cnn()
    samples = net.samples(16)
    weights = [op.input(1) for op in net.model().main.views() if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    size = sum(t.elements for t in weights) + 16 * 5
    budget = int(size * 0.75)
    quick = QuantizationSettings(adaround=False)
    result = quantize(net.model(), samples, quick.model_copy(update={"weight_budget": budget}))
    views = list(result.model.main.views())
    narrow = [op for op in views if len(op.inputs) > 1 and op.input(1).dtype is DType.INT4]
    taken = sum(op.input(1).nbytes for op in views if len(op.inputs) > 2)
    assert narrow
    assert budget * 0.5 < taken <= budget
    assert set(result.settings.layers) == {op.name for op in narrow}
    _assert_same_as_oracle(result.model, samples[:3])
    everything = quantize(net.model(), samples, quick.model_copy(update={"weights": "int4"}))
    chosen, all_of_them = (_sensitivity(r, samples).outputs[0].sqnr for r in (result, everything))
    assert chosen > all_of_them + 2
    enough = quantize(net.model(), samples, quick.model_copy(update={"weight_budget": size}))
    assert not enough.settings.layers
    with pytest.raises(UsageError, match=r"weight_budget: weights of 10 bytes\n  allowed: [\d,]+ bytes or more"):
        quantize(net.model(), samples, quick.model_copy(update={"weight_budget": 10}))


def test_the_result_says_what_was_done() -> None:
    result = _quantized("cnn")
    assert result.samples == 24
    by_name = {t.name: t for t in result.tensors}
    assert len(by_name) == len(result.tensors)
    for tensor in result.tensors:
        assert tensor.quantization is not None
        assert tensor.range[0] <= 0 <= tensor.range[1]
    softmax = by_name[result.source.main.tensors[result.source.main.outputs[0]].name]
    assert softmax.method is None
    assert softmax.quantization is not None
    assert softmax.quantization.scale == 1 / 256


def test_progress_counts_up_to_its_total() -> None:
    said: list[tuple[int, int | None, str]] = []
    net = NETWORKS["autoencoder"]()
    settings = QuantizationSettings(method=Method.AUTO, auto_samples=3, adaround_iterations=2)
    quantize(net.model(), net.samples(5), settings, progress=lambda *step: said.append(step))
    assert {what for _, _, what in said} == {
        "equalizing channels",
        "calibrating",
        "measuring methods",
        "fitting weights",
    }
    for what in {what for _, _, what in said}:
        steps = [(done, total) for done, total, text in said if text == what]
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert steps[-1][0] == steps[-1][1]


def test_it_is_deterministic() -> None:
    net = cnn()
    files = [write_tflite(quantize(net.model(), net.samples(6), _QUICK).model) for _ in range(2)]
    assert files[0] == files[1]


def _names(model: Model) -> Sequence[str]:
    return [op.name for op in model.main.ops]


def test_one_scale_is_not_forced_on_unlike_inputs_of_a_concatenation() -> None:
    """A small tensor that others read keeps its fine scale: the concatenation reads a converted copy."""
    net = Network((1, 8), (1, 8), seed=2)
    large = net.dense(net.inputs[0], 8, Activation.RELU)
    small = net.binary("MUL", net.inputs[1], net.constant([0.01]))
    joined = net.concat(large, small)
    model = net.outputs(net.dense(joined, 3), net.dense(small, 3)).model()
    result = quantize(model, net.samples(16), _QUICK)
    assert [op.kind for op in result.model.main.ops if op.name not in _names(result.source)] == ["QUANTIZE"]
    assert min(o.sqnr for o in _sensitivity(result, net.samples(16)).outputs) > 25


@pytest.mark.parametrize("kind", ["GELU", "NEG", "SQUARE", "ADD_N", "POW", "DIV", "DIV by a constant", "DIV by SQRT"])
def test_operators_in_parts(kind: str) -> None:
    """Without an integer kernel, or with one that is worse; the float32 results stay what they were."""
    net = Network((1, 40), (1, 40), seed=1)
    x, y = net.inputs
    if kind in ("GELU", "NEG", "SQUARE"):
        result = net.binary("ADD", net.unary(kind, x), y)
    elif kind == "ADD_N":
        result = net.op("ADD_N", [x, y, net.constant(net.normal(1, 40)), x], (1, 40))
    elif kind == "POW":
        cube, square = (net.binary("POW", t, net.constant(k)) for t, k in ((x, 3.0), (y, 2.0)))
        half = net.binary("POW", net.binary("ADD", square, net.constant([0.5])), net.constant(-0.5))
        result = net.binary("MUL", cube, half)
    elif kind == "DIV":
        result = net.binary("DIV", x, net.binary("ADD", net.unary("LOGISTIC", y), net.constant([0.5])))
    elif kind == "DIV by a constant":
        result = net.binary("ADD", net.binary("DIV", x, net.constant(net.rng.uniform(1, 2, (1, 40)))), y)
    else:
        root = net.unary("SQRT", net.binary("ADD", net.binary("MUL", y, y), net.constant([0.5])))
        result = net.binary("DIV", x, root)
    model = net.outputs(result).model()
    samples = net.samples(40)
    quantized = quantize(model, samples)
    assert kind not in {op.kind for op in quantized.source.main.ops} or kind == "DIV"
    before, after = Interpreter(model), Interpreter(quantized.source)
    for sample in samples[:4]:
        np.testing.assert_allclose(after.run(*sample)[0], before.run(*sample)[0], rtol=1e-5, atol=1e-3)
    _assert_same_as_oracle(quantized.model, samples[:4])
    assert _sensitivity(quantized, samples).outputs[0].sqnr > 25


def test_gelu_stays_whole_where_tflite_micro_does_not_matter() -> None:
    net = Network((1, 40), seed=1)
    model = net.outputs(net.unary("GELU", net.inputs[0])).model()
    samples = net.samples(30)
    whole, parts = (quantize(model, samples, _QUICK.model_copy(update={"portable": p})) for p in (False, True))
    assert [op.kind for op in whole.model.main.ops] == ["GELU"]
    assert len(parts.model.main.ops) == 6
    finer, coarser = (_sensitivity(r, samples).outputs[0].sqnr for r in (whole, parts))
    assert finer > coarser > 35


@pytest.mark.parametrize("kind", ["ADD", "SELECT_V2"])
@pytest.mark.parametrize("value", [-1e9, -np.inf, float(np.finfo(np.float32).min)])
def test_attention_keeps_its_bits_for_the_scores_that_are_not_masked(kind: str, value: float) -> None:
    """Two layers share a causal mask."""
    net = Network((1, 6, 16), seed=6)
    future = np.triu(np.ones((6, 6), bool), 1)
    if kind == "ADD":
        constant = net.constant(np.where(future, value, 0.0))
    else:
        constant, condition = net.constant([value]), net.constant(future, DType.BOOL)

    def mask(scores: int) -> int:
        if kind == "ADD":
            return net.binary("ADD", scores, constant)
        return net.op("SELECT_V2", [condition, constant, scores], net.shape(scores))

    x = net.inputs[0]
    for _ in range(2):
        x = net.binary("ADD", x, net.attention(net.layer_norm(x), 2, mask))
    net.outputs(x)
    model, samples = net.model(), net.samples(24)
    result = quantize(model, samples, _QUICK)
    before, after = Interpreter(model), Interpreter(result.source)
    for sample in samples[:4]:
        np.testing.assert_allclose(after.run(*sample)[0], before.run(*sample)[0], atol=0.01)
    _assert_same_as_oracle(result.model, samples[:4])
    scores = [view.input(0) for view in result.model.main.views() if view.kind == "SOFTMAX"]
    assert len(scores) == 2
    assert all(tensor.scale < 0.2 for tensor in scores)
    assert _sensitivity(result, samples).outputs[0].sqnr > 25


def test_source_is_left_as_it_is() -> None:
    model = cnn().model()
    before = [None if t.data is None else t.data.copy() for t in model.main.tensors]
    described = [dataclasses.replace(t, data=None) for t in model.main.tensors]
    quantize(model, cnn().samples(3), _QUICK)
    for tensor, data, old in zip(model.main.tensors, before, described, strict=True):
        assert (tensor.name, tensor.dtype, tensor.quantization) == (old.name, old.dtype, old.quantization)
        if data is not None:
            np.testing.assert_array_equal(tensor.data, data)
