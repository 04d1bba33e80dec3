"""The kernels for Armv7E-M with DSP on an emulated Cortex-M4: random shapes, remainders and extreme values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases.case import Case
from tests.ops import test_binary, test_conv_2d, test_fully_connected
from tests.support.case_programs import run_cases
from tests.support.semihosted import CORTEX_M4
from tinyops.kernels import kernels
from tinyops.lower import Optimize
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation, Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.sub import SubAttrs

pytestmark = pytest.mark.slow

_COUNT = 60
_ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6)
#: Weights and scales: sums that saturate most outputs, and sums that use the range of the outputs.
_RANGES: tuple[dict[str, Any], ...] = (
    {},
    {"output_scale": 60.0},
    {"input_scale": 0.01, "weight_scales": 0.01, "output_scale": 0.02},
)


def _zero_points(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([-128, -7, 0, 127])), int(rng.choice([-128, -128, -3, 0, 90]))


def _convolution(rng: np.random.Generator, seed: int) -> Any:
    padding = Padding(int(rng.integers(2)))
    taps = (1, 1) if rng.random() < 0.4 else tuple(int(n) for n in rng.integers(1, 6, 2))
    image = (int(rng.integers(1, 3)), *(int(n) for n in rng.integers(5, 10, 2)), int(rng.integers(1, 20)))
    channels = int(rng.integers(1, 20))
    stride = tuple(int(n) for n in rng.integers(1, 3, 2))
    attrs = Conv2DAttrs(padding, *stride, _ACTIVATIONS[seed % 3])
    scales = dict(_RANGES[seed % len(_RANGES)])
    if seed % 2:
        scale = scales.get("weight_scales", 0.25)
        scales["weight_scales"] = [float(scale * f) for f in rng.uniform(0.1, 1, channels)]
    return test_conv_2d.build(
        image, (channels, *taps, image[3]), attrs, seed=seed, zero_points=_zero_points(rng), **scales
    )


def _depthwise(rng: np.random.Generator, seed: int) -> Any:
    padding = Padding(int(rng.integers(2)))
    taps = (3, 3) if seed % 2 else tuple(int(n) for n in rng.integers(1, 8, 2))
    image = (int(rng.integers(1, 3)), *(int(n) for n in rng.integers(7, 13, 2)), int(rng.integers(1, 12)))
    if seed % 5 == 0:  # a column, which is computed as a row
        taps, image = (int(rng.integers(1, 16)), 1), (1, 17, 1, image[3])
    stride = (1, 1) if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(1, 3, 2))
    attrs = DepthwiseConv2DAttrs(padding, *stride, 1, _ACTIVATIONS[seed % 3])
    scales = dict(_RANGES[(seed // 2) % len(_RANGES)])
    return test_conv_2d.build(image, (1, *taps, image[3]), attrs, seed=seed, zero_points=_zero_points(rng), **scales)


def _dense(rng: np.random.Generator, seed: int) -> Any:
    depth, units = int(rng.integers(1, 300)), int(rng.integers(1, 40))
    scale = (0.5, 0.02)[seed % 2]
    attrs = FullyConnectedAttrs(_ACTIVATIONS[seed % 3])
    return test_fully_connected.build(
        (int(rng.integers(1, 3)), depth),
        units,
        depth,
        attrs=attrs,
        seed=seed,
        input_scale=scale,
        output_scale=(16.0, 1.0)[seed % 2],
        zero_points=_zero_points(rng),
        bias=None if seed % 7 == 0 else 1000,
    )


def _sum(rng: np.random.Generator, seed: int) -> Any:
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    kind, attrs = ("ADD", AddAttrs) if seed % 2 else ("SUB", SubAttrs)
    points = (*_zero_points(rng), int(rng.choice([-128, 0, 77])))
    scales = tuple(float(x) for x in rng.uniform(0.05, 1.0, 3))
    return test_binary.build(
        kind, (shape, shape), attrs=attrs(_ACTIVATIONS[seed % 3]), quantization=scales, zero_points=points
    )


def _cases() -> Iterator[Case]:
    for make in (_convolution, _depthwise, _dense, _sum):
        for seed in range(_COUNT):
            builder = make(np.random.default_rng(seed), seed)
            yield Case(f"{make.__name__.strip('_')}_{seed}", builder.build()[1])


@pytest.mark.parametrize("optimize", ["size", "balanced", "speed"])
def test_equals_tflite_micro(optimize: Optimize, tmp_path: Path) -> None:
    CORTEX_M4.require()
    cases = list(_cases())
    outcome = run_cases(cases, CORTEX_M4, tmp_path, isa="armv7em", optimize=optimize)
    assert outcome.failed == []
    assert len(outcome.passed) == len(cases), outcome.printed
    fast = {name: count for name, count in outcome.calls.items() if name.endswith("_armv7em")}
    expected = {name for name in kernels() if name.endswith("_armv7em")}
    if optimize == "size":
        expected &= {name for name in expected if "_gemm_" in name or "_window_" in name or "_gemv_" in name}
    elif optimize == "balanced":
        expected -= {"to_conv2d_gemm16_s8_armv7em"}
    else:
        expected -= {"to_conv2d_gemm_s8_armv7em"}
    assert set(fast) == expected
    assert min(fast.values()) >= _COUNT // 4
