"""FULLY_CONNECTED, ADD, pooling, MEAN, SOFTMAX and table kernels against their definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import cases, oracle
from tests.kernels.harness import Array, Kernels, least_distance
from tinyops.graph import DType, Graph, Op, OpView, Quantization, Tensor
from tinyops.lower.strides import contiguous_strides, lead, merge
from tinyops.ops.softmax import SoftmaxAttrs, exp_table


def _exp_table(scale: float, beta: float) -> Array:
    x = Tensor("x", DType.INT8, (1,), Quantization((scale,), (0,)))
    op = Op("SOFTMAX", "softmax", (0,), (0,), SoftmaxAttrs(beta))
    return exp_table(OpView(op, Graph("g", (x,), (op,), (0,), (0,))))


def _check(
    c: Kernels, name: str, p: dict[str, Any], arguments: list[Array], y: Array, distances: dict[int, int]
) -> None:
    at_end = bool(len(y) & 1)
    output = (len(y), y.dtype)
    assert np.array_equal(c.run(name, p, arguments, output, at_end=at_end), y)
    for argument, distance in distances.items():
        for d in (distance, distance + 3):
            assert np.array_equal(c.run(name, p, arguments, output, overlap=(argument, d), at_end=at_end), y)


@given(st.data())
def test_fully_connected(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    p = {"batches": draw(st.integers(1, 3)), "in_n": draw(st.integers(1, 40)), "out_n": draw(st.integers(1, 7))}
    x = cases.int8_data(draw, p["batches"], p["in_n"])
    weights = cases.int8_data(draw, p["out_n"], p["in_n"])
    multiplier, shift = cases.requantization(draw, 1)
    p |= {"multiplier": int(multiplier[0]), "shift": int(shift[0]), "output_zero_point": draw(cases.int8s)}
    p |= cases.activation(draw)
    bias = cases.bias(draw, np.abs(weights.astype(np.int64)).sum(axis=1))
    y, first = oracle.fully_connected(p, x, weights, bias)
    _check(c, "to_fully_connected_any_s8_c", p, [x, weights, bias], y, {0: least_distance(first, x.size)})


def test_longest_dot_product(c: Kernels) -> None:
    """2^16 - 1 products of 128 * 128 and the largest bias that the header allows for them."""
    n = 2**16 - 1
    x, weights = np.full((1, n), -128, np.int8), np.full((1, n), -128, np.int8)
    p = {"batches": 1, "in_n": n, "out_n": 1, "multiplier": 2**30, "shift": -22, "output_zero_point": 0}
    p |= {"activation_min": -128, "activation_max": 127}
    bias = np.array([2**30 - 1], np.int32)
    y, _ = oracle.fully_connected(p, x, weights, bias)
    assert np.array_equal(c.run("to_fully_connected_any_s8_c", p, [x, weights, bias], (1, np.int8)), y)


def _broadcast(draw: cases.Draw, extents: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in extents)
    strides = contiguous_strides(shape)
    return shape, tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))


@given(st.data())
def test_add(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    extents = tuple(draw(st.lists(st.integers(1, 5), min_size=4, max_size=4)))
    whole = draw(st.booleans())
    p: dict[str, Any] = {"extents": extents, "output_offset": draw(cases.int8s), **cases.activation(draw)}
    operands = []
    for name in "ab":
        shape, strides = (extents, contiguous_strides(extents)) if whole else _broadcast(draw, extents)
        operands.append(cases.int8_data(draw, *shape).reshape(-1))
        p |= {f"{name}_stride": strides, f"{name}_offset": draw(st.integers(-127, 128))}
    for name in ("a", "b", "output"):
        p |= {f"{name}_multiplier": draw(st.integers(2**30, 2**31 - 1)), f"{name}_shift": draw(st.integers(-22, 0))}
    y, at_a, at_b = oracle.add(p, *operands)
    distances = {i: least_distance(at, operands[i].size) for i, at in enumerate((at_a, at_b))}
    _check(c, "to_add_any_s8_c", p, operands, y, distances)


@pytest.mark.parametrize("kind", ["average", "max"])
@given(data=st.data())
def test_pool(c: Kernels, kind: str, data: st.DataObject) -> None:
    p = cases.window(data.draw, max_dilation=1, inside=True) | {"in_c": data.draw(st.integers(1, 7))}
    del p["dilation_h"], p["dilation_w"]
    x = cases.int8_data(data.draw, p["batches"], p["in_h"], p["in_w"], p["in_c"])
    y, first = {"average": oracle.average_pool, "max": oracle.max_pool}[kind](p, x)
    _check(c, f"to_{kind}_pool2d_any_s8_c", p, [x], y, {0: least_distance(first, x.size)})


@pytest.mark.parametrize("kind", ["average", "max"])
@pytest.mark.parametrize("value", [-128, 127])
def test_pool_of_extremes(c: Kernels, kind: str, value: int) -> None:
    p = {"batches": 1, "in_h": 3, "in_w": 4, "in_c": 2, "out_h": 1, "out_w": 2, "kernel_h": 3, "kernel_w": 3}
    p |= {"stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0, "activation_min": -128, "activation_max": 127}
    result = c.run(f"to_{kind}_pool2d_any_s8_c", p, [np.full((1, 3, 4, 2), value, np.int8)], (4, np.int8))
    assert (result == value).all()


@given(st.data())
def test_mean(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
    reduced = [draw(st.booleans()) for _ in shape]
    strides = contiguous_strides(shape)
    p: dict[str, Any] = {"output_zero_point": draw(cases.int8s)}
    for name, chosen in (("kept", [not r for r in reduced]), ("reduced", reduced)):
        extents = [n for n, take in zip(shape, chosen, strict=True) if take]
        steps = [s for s, take in zip(strides, chosen, strict=True) if take]
        merged, (steps_merged,) = merge(extents, steps)
        p |= {f"{name}_extents": lead(merged, 3, 1), f"{name}_strides": lead(steps_merged, 3, 0)}
    count = int(np.prod(p["reduced_extents"]))
    multiplier, shift = cases.requantization(draw, 1)
    p |= {"offset": -draw(cases.int8s) * count, "multiplier": int(multiplier[0]), "shift": int(shift[0])}
    x = cases.int8_data(draw, *shape)
    y, first = oracle.mean(p, x.reshape(-1))
    axes = tuple(k for k, r in enumerate(reduced) if r)
    total = x.astype(np.int64).sum(axis=axes).reshape(-1) + p["offset"]
    scaled = oracle.requantize(total, p["multiplier"], p["shift"])
    assert np.array_equal(y, oracle.output(scaled, p["output_zero_point"], -128, 127))
    _check(c, "to_mean_any_s8_c", p, [x], y, {0: least_distance(first, x.size)})


@given(st.data())
def test_softmax(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    p = {"rows": draw(st.integers(1, 3)), "depth": draw(st.integers(1, 60))}
    table = _exp_table(draw(st.floats(2**-20, 2.0)), draw(st.sampled_from([1.0, 0.5, 4.0])))
    x = cases.int8_data(draw, p["rows"], p["depth"])
    y, _ = oracle.softmax(p, x, table)
    _check(c, "to_softmax_any_s8_c", p, [x, table], y, {0: 0})


def test_softmax_of_many_rows(c: Kernels) -> None:
    """Enough outputs for some to depend on the last bits of the reciprocal."""
    p = {"rows": 6000, "depth": 10}
    x = np.random.default_rng(8).integers(-128, 128, (p["rows"], p["depth"])).astype(np.int8)
    table = _exp_table(0.02, 1.0)
    y, _ = oracle.softmax(p, x, table)
    assert np.array_equal(c.run("to_softmax_any_s8_c", p, [x, table], (x.size, np.int8)), y)


@pytest.mark.parametrize("depth", [1, 511, 512, 513, 1023, 1024, 2048, 4095])
def test_softmax_of_equal_values(c: Kernels, depth: int) -> None:
    """The largest sums of exps: above 511 TFLite stops, here every probability is 0."""
    p = {"rows": 1, "depth": depth}
    x, table = np.zeros((1, depth), np.int8), _exp_table(0.1, 1.0)
    y, _ = oracle.softmax(p, x, table)
    assert np.array_equal(c.run("to_softmax_any_s8_c", p, [x, table], (depth, np.int8)), y)


@given(st.data())
def test_lut(c: Kernels, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 300))
    rng = np.random.default_rng(data.draw(cases.seeds))
    table = rng.integers(0, 256, 256).astype(np.uint8)
    x = rng.integers(0, 256, n).astype(np.uint8)
    for values in (x, x.view(np.int8)):
        _check(c, "to_lut_any_8_c", {"n": n}, [values, table], table[x].view(values.dtype), {0: 0})
