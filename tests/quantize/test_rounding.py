"""Weights as matrices, adaptive rounding, and corrected biases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quantize.networks import Network, autoencoder
from tinyops.graph import OpView
from tinyops.ops.base import Activation, Padding, operator
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize import QuantizationSettings, quantize
from tinyops.quantize.adaround import Reconstruction, round_adaptively
from tinyops.quantize.linear import input_matrix, is_linear, matrix_shape, stored_weights, weight_matrix
from tinyops.quantize.sensitivity import measure_sensitivity


def _layers() -> list[OpView]:
    net = Network((1, 7, 6, 4), seed=1)
    x = net.conv(net.inputs[0], 6, stride=2, act=Activation.NONE)
    x = net.conv(x, 4, weights=net.normal(4, 3, 3, 3), act=Activation.NONE)
    x = net.depthwise(x, multiplier=2, act=Activation.NONE)
    net.outputs(net.dense(net.dense(x, 3, keep=True), 2))
    return list(net.model().main.views())


@pytest.mark.parametrize("op", _layers(), ids=lambda op: op.name)
def test_the_matrix_product_is_the_operator(op: OpView) -> None:
    """Groups, strides, padding and depth multipliers among them."""
    assert is_linear(op)
    rules = operator(op.kind)
    assert rules is not None
    values = np.random.default_rng(0).normal(0, 1, op.input(0).shape).astype(np.float32)
    weights, bias = op.input(1).data, op.input(2).data
    assert weights is not None
    assert bias is not None
    (expected,) = rules.reference(op, [values, weights, bias])
    groups, depth, units = matrix_shape(op)
    inputs, matrix = input_matrix(op, values), weight_matrix(op, weights)
    assert inputs.shape[::2] == (groups, depth)
    assert matrix.shape == (groups, depth, units)
    product = (inputs @ matrix).transpose(1, 0, 2).reshape(expected.shape) + bias
    np.testing.assert_allclose(product, expected, atol=1e-4)
    np.testing.assert_array_equal(stored_weights(op, matrix), weights)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 127]), st.integers(1, 30))
def test_rounding_is_never_worse_than_to_nearest(seed: int, limit: int, iterations: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(0, 1, (2, 40, 8)) @ rng.normal(0, 1, (2, 8, 8))
    weights = rng.normal(0, 1, (2, 8, 3))
    scales = np.abs(weights).max(axis=1, keepdims=True) / limit
    target = Reconstruction(inputs.transpose(0, 2, 1) @ inputs / 40, rng.normal(0, 0.01, (2, 8, 3)))
    integers = round_adaptively(weights, scales, limit, target, iterations)
    assert np.array_equal(integers, np.round(integers))
    assert np.abs(integers).max() <= limit
    assert np.all(np.abs(integers * scales - weights) < scales * 1.0001)
    nearest = np.round(weights / scales)
    assert np.all(target.error(integers * scales - weights) <= target.error(nearest * scales - weights) + 1e-12)


def test_rounding_against_all_choices() -> None:
    """Against all 2**6 ways to round six weights up or down: most of what can be gained over the nearest."""
    rng = np.random.default_rng(4)
    mixing = rng.normal(0, 1, (6, 6))
    moments = (mixing @ mixing.T)[None]
    weights = rng.normal(0, 1, (1, 6, 20))
    scales = np.full((1, 1, 20), 0.3)
    target = Reconstruction(moments, np.zeros_like(weights))
    found = target.error(round_adaptively(weights, scales, 127, target, 200) * scales - weights)
    choices = (np.arange(64)[:, None] >> np.arange(6)) & 1
    errors = [target.error((np.floor(weights / scales) + c[None, :, None]) * scales - weights) for c in choices]
    best = np.min(errors, axis=0)
    nearest = target.error(np.round(weights / scales) * scales - weights)
    assert nearest.mean() > 2 * best.mean()
    assert (nearest - found).mean() > 0.75 * (nearest - best).mean()


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_fitting_lowers_the_error_on_data_that_was_not_seen(bits: str) -> None:
    net = autoencoder()
    calibration, held_out = net.samples(200, seed=1), net.samples(50, seed=2)

    def sqnr(**fitting: bool) -> float:
        settings = QuantizationSettings.model_validate({"weights": bits, "equalize": False, **fitting})
        result = quantize(net.model(), calibration, settings)
        return measure_sensitivity(result, held_out, limit=50).outputs[0].sqnr

    plain = sqnr(adaround=False, bias_correction=False)
    assert sqnr(adaround=True, bias_correction=True) > plain + (0.5 if bits == "int8" else 2)


def test_biases_take_out_the_mean_error() -> None:
    """Weights of 4 bits shift the mean of the outputs; also of a layer that has no bias yet."""
    net = Network((1, 8, 8, 4), seed=8)
    net.outputs(net.conv(net.conv(net.inputs[0], 8), 6, act=Activation.NONE, bias=False))
    samples = net.samples(40)

    def shift(corrected: bool) -> float:
        settings = QuantizationSettings(weights="int4", adaround=False, bias_correction=corrected, io="float32")
        result = quantize(net.model(), samples, settings)
        exact, ours = Interpreter(result.source), Interpreter(result.model)
        differences = [ours.run(*s)[0] - exact.run(*s)[0] for s in samples]
        return float(np.abs(np.mean(differences, axis=(0, 1, 2, 3))).max())

    assert shift(corrected=True) < shift(corrected=False) / 4
    assert shift(corrected=True) < 0.01


def test_equalization_leaves_float32_results_and_helps_where_channels_differ() -> None:
    """Channels of very different ranges, grouped and depthwise readers, pools between, a channel that is always 0."""
    net = Network((1, 8, 8, 4), seed=11)
    spread = np.array([1.0, 30, 0.1, 300, 3, 0.0])
    first = net.normal(6, 3, 3, 4) * spread.reshape(6, 1, 1, 1)
    x = net.conv(net.inputs[0], 6, weights=first, bias=False)
    undone = np.where(spread > 0, 1 / np.maximum(spread, 0.1), 1)
    weights = net.constant(net.normal(1, 3, 3, 12) * np.repeat(undone, 2))
    x = net.op(
        "DEPTHWISE_CONV_2D", [x, weights], (1, 8, 8, 12), padding=Padding.SAME, stride_w=1, stride_h=1,
        depth_multiplier=2, fused_activation_function=Activation.NONE,
    )  # fmt: skip
    second = np.tile(np.logspace(0, 2, 4), 2)
    x = net.conv(x, 8, weights=net.normal(8, 1, 1, 6) * second.reshape(8, 1, 1, 1))
    x = net.mean(net.pool("MAX_POOL_2D", x), 1, 2)
    last = net.constant(net.normal(3, 8) / second)
    model = net.outputs(net.op("FULLY_CONNECTED", [x, last], (1, 3))).model()
    samples = net.samples(40)
    plain = QuantizationSettings(adaround=False, bias_correction=False, equalize=False)
    equal = plain.model_copy(update={"equalize": True})
    results = [quantize(model, samples, s) for s in (plain, equal)]
    for sample in samples[:5]:
        wanted, got = (Interpreter(r.source).run(*sample)[0] for r in results)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    before, after = (measure_sensitivity(r, samples).outputs[0].sqnr for r in results)
    assert after > before + 6
