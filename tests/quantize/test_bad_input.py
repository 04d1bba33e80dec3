"""What cannot be calibrated or quantized: a clear error. What is merely odd: defined results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import ValidationError

from tests.ops.test_float_operators import masked
from tests.quantize.networks import Network, Samples, autoencoder, cnn
from tests.quantize.test_quantize import _assert_same_as_oracle, _sensitivity
from tinyops.errors import ModelError, UsageError
from tinyops.graph import DType, verify
from tinyops.load import load_tflite
from tinyops.ops.base import Activation, Padding
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.svdf import SvdfAttrs
from tinyops.quantize import LayerSettings, QuantizationSettings, quantize

_QUICK = QuantizationSettings(adaround_iterations=5)


def _one(value: object) -> list[list[np.ndarray]]:
    return [[np.asarray(value, dtype=np.float32)]]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "no calibration samples"),
        (_one(np.zeros((1, 19))), r"calibration sample 1: float32\[1, 19\] for input net_t0"),
        ([[np.zeros((1, 20), np.float64)]], r"calibration sample 1: float64\[1, 20\] for input net_t0"),
        ([[]], "calibration sample 1: 0 arrays"),
        (_one(np.full((1, 20), np.nan)), "calibration sample 1: NaN or infinity in input net_t0"),
        ([*autoencoder().samples(2), *_one(np.full((1, 20), np.inf))], "calibration sample 3: NaN or infinity"),
    ],
)
def test_samples_that_do_not_fit(samples: Samples, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        quantize(autoencoder().model(), samples, _QUICK)


def test_a_generator_that_is_used_up_is_refused() -> None:
    """It calibrates, but nothing is left for the steps after."""

    def generator() -> Iterator[list[np.ndarray]]:
        yield from autoencoder().samples(3)

    with pytest.raises(UsageError, match="no calibration samples"):
        quantize(autoencoder().model(), generator(), _QUICK)


def test_a_model_that_overflows_is_refused_with_the_tensor() -> None:
    net = Network((1, 4))
    model = net.outputs(net.unary("EXP", net.inputs[0])).model()
    with pytest.raises(ModelError, match=r"tensor net_t1, sample 1: computes NaN or infinity"):
        quantize(model, _one(np.full((1, 4), 1000.0)), _QUICK)


def test_weights_that_are_not_finite_are_refused() -> None:
    net = Network((1, 4))
    model = net.outputs(net.op("MUL", [net.inputs[0], net.constant([np.nan])], (1, 4))).model()
    with pytest.raises(Exception, match="NaN"):
        quantize(model, net.samples(2), _QUICK)


@pytest.mark.parametrize("kind", ["ADD", "SELECT_V2"])
def test_infinite_constants_are_refused(kind: str) -> None:
    model = load_tflite(masked(kind).build()[1])
    samples = iter([[np.zeros((2, 4, 4), np.float32)]])
    with pytest.raises(ModelError, match=r"tensor main_t\d: the constant holds infinity"):
        quantize(model, samples, _QUICK)


def test_an_integer_model_is_refused() -> None:
    net = autoencoder()
    result = quantize(net.model(), net.samples(2), _QUICK)
    with pytest.raises(UsageError, match="it is quantized already"):
        quantize(result.model, net.samples(2), _QUICK)


def test_an_operator_without_integer_form_is_named() -> None:
    net = Network((1, 4))
    axis = net.constant(1, DType.INT32)
    model = net.outputs(net.op("CUMSUM", [net.inputs[0], axis], (1, 4))).model()
    with pytest.raises(ModelError, match=r"operator cumsum_0 \(CUMSUM\)"):
        quantize(model, net.samples(3), _QUICK)
    kept = QuantizationSettings(layers={"cumsum_0": LayerSettings(activations="float32")})
    assert quantize(model, net.samples(3), kept).model.main.tensors[0].dtype is DType.INT8


def test_svdf_is_refused() -> None:
    net = Network((1, 4))
    g, (units, memory) = net.graph, (3, 5)
    feature, time = net.constant(net.normal(units, 4)), net.constant(net.normal(units, memory))
    state, output, updated = (
        g.tensor(shape, DType.FLOAT32, variable=k == 0)
        for k, shape in enumerate([(1, memory * units), (1, units), (1, memory * units)])
    )
    g.op(
        "SVDF",
        [net.inputs[0], feature, time, net.constant(np.zeros(units)), state],
        [output, updated],
        SvdfAttrs(rank=1),
    )
    model = net.outputs(output).model()
    with pytest.raises(ModelError, match=r"operator svdf_0 \(SVDF\): cannot be quantized"):
        quantize(model, net.samples(3), _QUICK)


def test_weights_that_are_computed_are_refused() -> None:
    net = Network((1, 4), (3, 4))
    model = net.outputs(net.op("FULLY_CONNECTED", net.inputs, (1, 3))).model()
    with pytest.raises(ModelError, match="weights or bias are computed at run time"):
        quantize(model, net.samples(3), _QUICK)


@pytest.mark.parametrize(
    "given",
    [
        {"method": "best"},
        {"percentile": 101},
        {"adaround_iterations": 0},
        {"layers": {"a": {"weights": "int2"}}},
        {"unknown": 1},
    ],
)
def test_settings_out_of_bounds(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QuantizationSettings.model_validate(given)


@pytest.mark.parametrize("settings", [{"weights": "int4", "activations": "int16"}, {"weights": "int4"}])
def test_int4_weights_where_there_is_no_kernel(settings: dict[str, str]) -> None:
    """Said before anything is computed, with the way out."""
    net = Network((1, 2, 2, 3))
    operands = [net.constant((1, 4, 4, 5), DType.INT32), net.constant(net.normal(5, 2, 2, 3)), net.inputs[0]]
    spread = net.op("TRANSPOSE_CONV", operands, (1, 4, 4, 5), padding=Padding.VALID, stride_w=2, stride_h=2)
    model = cnn().model() if "activations" in settings else net.outputs(spread).model()
    with pytest.raises(UsageError, match="weights of int4 with activations of") as refused:
        quantize(model, [], QuantizationSettings.model_validate(settings))
    name = str(refused.value.hint).split("'")[1].removesuffix("=int8")
    assert name in [op.name for op in model.main.ops]


def test_a_layer_that_does_not_exist_is_refused() -> None:
    net = autoencoder()
    settings = QuantizationSettings(layers={"conv_9": LayerSettings(weights="int4")})
    with pytest.raises(UsageError, match="conv_9"):
        quantize(net.model(), net.samples(2), settings)


def test_zero_weights_dead_activations_and_constant_inputs() -> None:
    """A channel of zeros, a layer of zeros, a RELU that never lets anything through, an input that is always 0."""
    net = Network((1, 6, 6, 3), (1, 4), seed=2)
    weights = net.normal(4, 3, 3, 3)
    weights[1] = 0
    x = net.conv(net.inputs[0], 4, weights=weights, act=Activation.NONE)
    x = net.binary("ADD", x, net.conv(x, 4, weights=np.zeros((4, 3, 3, 4)), bias=False, act=Activation.NONE))
    dead = net.op("RELU", [net.binary("SUB", net.mean(x, 1, 2), net.constant([1e3]))], (1, 4))
    x = net.concat(net.dense(dead, 3), net.mean(x, 1, 2), net.dense(net.inputs[1], 2))
    model = net.outputs(net.dense(x, 5)).model()
    samples = [[image, np.zeros_like(other)] for image, other in net.samples(12)]
    result = quantize(model, samples, _QUICK)
    verify(result.model)
    _assert_same_as_oracle(result.model, samples[:4])
    assert _sensitivity(result, samples).outputs[0].sqnr > 20


@pytest.mark.parametrize("exponent", [-30, -12, 12, 30])
def test_tiny_and_huge_values(exponent: int) -> None:
    """Data and weights of any size: the scales follow."""
    net = Network((1, 10), seed=5)
    weights = net.constant(net.normal(6, 10) * 2.0**exponent)
    bias = net.constant(net.normal(6) * 4.0**exponent)
    model = net.outputs(net.op("FULLY_CONNECTED", [net.inputs[0], weights, bias], (1, 6))).model()
    samples = [[x * np.float32(2.0**exponent)] for (x,) in net.samples(30)]
    result = quantize(model, samples, _QUICK)
    _assert_same_as_oracle(result.model, samples[:4])
    if abs(exponent) < 20:
        assert _sensitivity(result, samples).outputs[0].sqnr > 25


def test_a_bias_far_larger_than_the_weights() -> None:
    """It fits because the weights' scale grows; the weights, which hardly matter, lose precision."""
    net = Network((1, 10), seed=5)
    weights, bias = net.constant(net.normal(3, 10) * 1e-6), net.constant([1e6, -3e5, 2.0])
    model = net.outputs(net.op("FULLY_CONNECTED", [net.inputs[0], weights, bias], (1, 3))).model()
    result = quantize(model, net.samples(10), _QUICK)
    _assert_same_as_oracle(result.model, net.samples(4))
    assert _sensitivity(result, net.samples(10)).outputs[0].sqnr > 40


def test_one_sample_is_enough_to_run() -> None:
    net = cnn()
    result = quantize(net.model(), net.samples(1), _QUICK)
    assert result.samples == 1
    Interpreter(result.model)


def test_it_can_be_interrupted() -> None:
    def stop(done: int, total: int | None, what: str) -> None:
        if what == "fitting weights":
            raise KeyboardInterrupt

    net = autoencoder()
    with pytest.raises(KeyboardInterrupt):
        quantize(net.model(), net.samples(3), _QUICK, progress=stop)
