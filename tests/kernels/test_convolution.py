"""CONV_2D and DEPTHWISE_CONV_2D kernels against their definition, apart and overlapping as far as may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import cases, oracle
from tests.kernels.harness import Array, Kernels, least_distance


def _channels(draw: cases.Draw, weights: Array, channels: int) -> list[Array]:
    reach = np.abs(weights.astype(np.int64)).sum(axis=1)
    return [cases.bias(draw, reach), *cases.requantization(draw, channels)]


@st.composite
def conv2d(draw: st.DrawFn) -> tuple[dict[str, Any], list[Array]]:
    p = cases.window(draw, max_dilation=3, inside=False)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    p |= {"groups": groups, "in_c": groups * draw(st.integers(1, 9 // groups)), "descending": 0}
    p |= {"out_c": groups * draw(st.integers(1, 5 // groups))}
    p |= {"input_zero_point": draw(cases.int8s), "output_zero_point": draw(cases.int8s)}
    x = cases.int8_data(draw, p["batches"], p["in_h"], p["in_w"], p["in_c"])
    weights = cases.int8_data(draw, p["out_c"], p["kernel_h"], p["kernel_w"], p["in_c"] // groups)
    return p, [x, weights, *_channels(draw, weights.reshape(p["out_c"], -1), p["out_c"])]


@st.composite
def conv2d_1x1(draw: st.DrawFn) -> tuple[dict[str, Any], list[Array]]:
    p = {"batches": draw(st.integers(1, 2)), "in_c": draw(st.integers(1, 19)), "out_c": draw(st.integers(1, 7))}
    p |= {"in_h": draw(st.integers(1, 4)), "in_w": draw(st.integers(1, 4)), **cases.activation(draw)}
    p |= {"out_h": p["in_h"], "out_w": p["in_w"], "pad_top": 0, "pad_left": 0, "descending": 0, "groups": 1}
    p |= {f"{field}_{axis}": 1 for field in ("kernel", "stride", "dilation") for axis in "hw"}
    p |= {"input_zero_point": draw(cases.int8s), "output_zero_point": draw(cases.int8s)}
    x = cases.int8_data(draw, p["batches"], p["in_h"], p["in_w"], p["in_c"])
    weights = cases.int8_data(draw, p["out_c"], 1, 1, p["in_c"])
    return p, [x, weights, *_channels(draw, weights.reshape(p["out_c"], -1), p["out_c"])]


@st.composite
def depthwise(draw: st.DrawFn) -> tuple[dict[str, Any], list[Array]]:
    p = cases.window(draw, max_dilation=3, inside=False)
    p |= {"in_c": draw(st.integers(1, 7)), "depth_multiplier": draw(st.integers(1, 3))}
    p |= {"out_c": p["in_c"] * p["depth_multiplier"]}
    p |= {"input_zero_point": draw(cases.int8s), "output_zero_point": draw(cases.int8s)}
    x = cases.int8_data(draw, p["batches"], p["in_h"], p["in_w"], p["in_c"])
    weights = cases.int8_data(draw, p["kernel_h"], p["kernel_w"], p["out_c"])
    return p, [x, weights, *_channels(draw, weights.reshape(-1, p["out_c"]).T, p["out_c"])]


def _check(c: Kernels, name: str, p: dict[str, Any], arguments: list[Array], expected: oracle.Result) -> None:
    y, first = expected
    at_end = bool(len(y) & 1)
    assert np.array_equal(c.run(name, p, arguments, (len(y), np.int8), at_end=at_end), y)
    distance = least_distance(first, arguments[0].size)
    for d in (distance, distance + 3):
        assert np.array_equal(c.run(name, p, arguments, (len(y), np.int8), overlap=(0, d), at_end=at_end), y)


@given(conv2d())
def test_conv2d(c: Kernels, case: tuple[dict[str, Any], list[Array]]) -> None:
    p, arguments = case
    _check(c, "to_conv2d_any_s8_c", p, arguments, oracle.conv2d(p, *arguments))


@given(conv2d_1x1())
def test_conv2d_1x1(c: Kernels, case: tuple[dict[str, Any], list[Array]]) -> None:
    p, arguments = case
    _check(c, "to_conv2d_1x1_s8_c", p, arguments, oracle.conv2d(p, *arguments))


@given(conv2d_1x1())
def test_conv2d_1x1_descending(c: Kernels, case: tuple[dict[str, Any], list[Array]]) -> None:
    """From the last pixel to the first: the output may overlap the input from above, beyond each pixel's own inputs."""
    p, arguments = case
    p["descending"] = 1
    y, _ = oracle.conv2d(p, *arguments)
    output = (len(y), np.int8)
    assert np.array_equal(c.run("to_conv2d_1x1_s8_c", p, arguments, output), y)
    pixels = range(p["batches"] * p["out_h"] * p["out_w"])
    distance = max((i + 1) * p["in_c"] - i * p["out_c"] for i in pixels)
    for d in (distance, distance + 3):
        assert np.array_equal(c.run("to_conv2d_1x1_s8_c", p, arguments, output, overlap=(0, -d)), y)


@given(conv2d_1x1())
def test_general_kernel_computes_1x1(c: Kernels, case: tuple[dict[str, Any], list[Array]]) -> None:
    p, arguments = case
    _check(c, "to_conv2d_any_s8_c", p, arguments, oracle.conv2d(p, *arguments))


@given(depthwise())
def test_depthwise(c: Kernels, case: tuple[dict[str, Any], list[Array]]) -> None:
    p, arguments = case
    _check(c, "to_depthwise_conv2d_any_s8_c", p, arguments, oracle.depthwise(p, *arguments))
