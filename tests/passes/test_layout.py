"""Transposes move, cancel and are taken up, and the model computes what it did."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_writer import our_outputs
from tinyops.graph import DType, Graph, Model, verify
from tinyops.load.onnx.arithmetic import binary, reduce, unary
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import broadcast, concat, cut, pad_zeros, reshape, split, take, transpose
from tinyops.load.onnx.value import Value
from tinyops.ops import check
from tinyops.ops.base import Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.passes import fold_constants, input_permutation, layout, output_permutation, prune, run_passes
from tinyops.passes.views import View

GRAPHS = 60
Array = np.ndarray[Any, Any]


def _model(g: Builder, inputs: list[Value], outputs: list[Value]) -> Model:
    return Model("m", (g.graph([v.index for v in inputs if v.index is not None], outputs),))


def _input(g: Builder, *shape: int) -> Value:
    return g.add_input(f"input{len(g.tensors)}", DType.FLOAT32, shape)


def _passed(model: Model) -> Model:
    return run_passes(model, (fold_constants, prune, layout, prune))


def _same(model: Model, seed: int = 0) -> Model:
    """After the pass, which has been compared with the model as it was."""
    rng = np.random.default_rng(seed)
    passed = _passed(model)
    graph = model.main
    values = [rng.normal(size=graph.tensors[t].shape).astype(np.float32) for t in graph.inputs]
    for got, expected in zip(our_outputs(passed, values), our_outputs(model, values), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    return passed


def _kinds(model: Model) -> list[str]:
    return [op.kind for op in model.main.ops]


def _conv(g: Builder, x: Value, channels: int) -> Value:
    """A 1x1 convolution of [n, channels, rows, columns]."""
    weights = g.constant(np.random.default_rng(1).normal(size=(channels, 1, 1, x.shape[1])).astype(np.float32))
    image = transpose(g, x, (0, 2, 3, 1))
    y = g.op("CONV_2D", [image, weights, None], (*image.shape[:3], channels), Conv2DAttrs(Padding.VALID, 1, 1))
    return transpose(g, y, (0, 3, 1, 2))


def _step(g: Builder, rng: np.random.Generator, x: Value) -> Value:
    """A random operator on a value of any shape."""
    rank = x.rank
    axis = int(rng.integers(rank))
    match rng.integers(15):
        case 0 | 1 | 2:
            return transpose(g, x, [int(k) for k in rng.permutation(rank)])
        case 3:
            return unary(g, "RELU", x)
        case 4:
            shape = [n if rng.random() < 0.5 else 1 for n in x.shape][int(rng.integers(rank)) :]
            return binary(g, "MUL", x, g.constant(rng.normal(size=shape).astype(np.float32)))
        case 5:
            return binary(g, "ADD", x, unary(g, "TANH", x))
        case 6:
            order = [int(k) for k in rng.permutation(rank)]
            back = sorted(range(rank), key=order.__getitem__)
            return binary(g, "SUB", transpose(g, unary(g, "LOGISTIC", transpose(g, x, order)), back), x)
        case 7:
            return concat(g, [x, unary(g, "RELU", x)], axis)
        case 8 if x.shape[axis] > 1:
            parts = split(g, x, axis, [1, x.shape[axis] - 1])
            return concat(g, [parts[1], parts[0]], axis)
        case 9:
            return pad_zeros(g, x, [(int(rng.integers(2)), int(rng.integers(2))) for _ in x.shape]) if rank <= 5 else x
        case 10:
            return cut(g, x, [range(int(rng.integers(n)), n) for n in x.shape])
        case 11:
            return reduce(g, "MEAN", x, [axis], keep=bool(rng.integers(2)) or rank == 1)
        case 12:
            return take(g, x, axis, rng.integers(0, x.shape[axis], 2))
        case 13:
            return g.op("SOFTMAX", [x], x.shape, SoftmaxAttrs(1.0))
    divisors = [d for d in range(1, x.shape[axis] + 1) if x.shape[axis] % d == 0]
    part = int(rng.choice(divisors))
    if rank < 5 and rng.random() < 0.5:
        return reshape(g, x, (*x.shape[:axis], part, x.shape[axis] // part, *x.shape[axis + 1 :]))
    if rank > 1 and axis + 1 < rank:
        return reshape(g, x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))
    return broadcast(g, x, x.shape)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_random_graphs_compute_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = Builder()
    inputs = [_input(g, *[int(n) for n in rng.integers(1, 5, size=rng.integers(2, 5))]) for _ in range(2)]
    outputs = []
    for x in inputs:
        y = x
        for _ in range(int(rng.integers(2, 12))):
            if math.prod(y.shape) < 2000:
                y = _step(g, rng, y)
        outputs += [y, unary(g, "RELU", y)]
    model = _model(g, inputs, outputs)
    verify(model)
    check(model)
    passed = _same(model, seed)
    assert _moved(passed.main) <= _moved(model.main)


def _moved(graph: Graph) -> int:
    return sum(graph.tensors[op.outputs[0]].elements for op in graph.ops if op.kind == "TRANSPOSE")


def test_convolutions_need_no_transpose() -> None:
    g = Builder()
    x = _input(g, 1, 3, 4, 5)
    first = unary(g, "RELU", _conv(g, x, 8))
    second = binary(g, "ADD", _conv(g, first, 8), first)
    scaled = binary(g, "MUL", second, g.constant(np.arange(8, dtype=np.float32).reshape(8, 1, 1)))
    joined = concat(g, [scaled, first], 1)
    passed = _same(_model(g, [x], [joined]))
    assert _kinds(passed) == ["CONV_2D", "RELU", "CONV_2D", "ADD", "MUL", "CONCATENATION"]
    assert passed.main.tensors[passed.main.inputs[0]].shape == (1, 4, 5, 3)
    assert passed.main.tensors[passed.main.outputs[0]].shape == (1, 4, 5, 16)
    assert input_permutation(passed, 0) == output_permutation(passed, 0) == (0, 2, 3, 1)
    assert input_permutation(passed, 1) is None


def test_reductions_slices_and_pads_follow_the_axes() -> None:
    g = Builder()
    x = _input(g, 1, 4, 6, 5)
    y = _conv(g, pad_zeros(g, x, [(0, 0), (0, 0), (1, 2), (0, 1)]), 4)
    part = cut(g, y, [range(1), range(1, 3), range(0, 9, 2), range(6)])
    mean = reduce(g, "MEAN", part, [2, 3], keep=True)
    passed = _same(_model(g, [x], [mean]))
    assert _kinds(passed) == ["PAD", "CONV_2D", "STRIDED_SLICE", "MEAN", "RESHAPE"]


def test_flattened_image_moves_the_columns_of_the_weights() -> None:
    g = Builder()
    x = _input(g, 1, 3, 4, 5)
    y = reshape(g, _conv(g, x, 2), (1, 40))
    weights = g.constant(np.random.default_rng(2).normal(size=(3, 40)).astype(np.float32))
    z = g.op("FULLY_CONNECTED", [y, weights, None], (1, 3), FullyConnectedAttrs())
    passed = _same(_model(g, [x], [z]))
    assert _kinds(passed) == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


def test_channel_shuffle_stays_channels_last() -> None:
    g = Builder()
    x = _input(g, 1, 3, 4, 5)
    y = _conv(g, x, 8)
    apart = transpose(g, reshape(g, y, (1, 2, 4, 4, 5)), (0, 2, 1, 3, 4))
    passed = _same(_model(g, [x], [_conv(g, reshape(g, apart, (1, 8, 4, 5)), 2)]))
    assert _kinds(passed) == ["CONV_2D", "RESHAPE", "TRANSPOSE", "RESHAPE", "CONV_2D"]
    assert sum(op.kind == "TRANSPOSE" for op in passed.main.ops) == 1


def test_swapped_operand_of_a_product_is_taken_as_it_is() -> None:
    g = Builder()
    x, y = _input(g, 1, 2, 3, 4), _input(g, 1, 2, 5, 4)
    from tinyops.ops.batch_matmul import BatchMatmulAttrs

    z = g.op("BATCH_MATMUL", [x, transpose(g, y, (0, 1, 3, 2))], (1, 2, 3, 5), BatchMatmulAttrs())
    passed = _same(_model(g, [x, y], [z]))
    assert _kinds(passed) == ["BATCH_MATMUL"]
    assert passed.main.ops[0].attrs.adj_y


def test_permutations_add_up_over_two_runs() -> None:
    g = Builder()
    x = _input(g, 1, 3, 4, 5)
    model = _model(g, [x], [_conv(g, x, 2)])
    once = _passed(model)
    twice = layout(once)
    assert input_permutation(twice, 0) == input_permutation(once, 0) == (0, 2, 3, 1)


def test_model_without_transposes_is_left_alone() -> None:
    g = Builder()
    x = _input(g, 1, 3)
    model = _model(g, [x], [unary(g, "RELU", x)])
    assert layout(model) is model


@pytest.mark.parametrize("seed", range(40))
def test_settled_view_holds_the_same_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = tuple(int(n) for n in rng.choice([1, 2, 3, 4], rng.integers(1, 5)))
    permutation = tuple(int(k) for k in rng.permutation(len(stored)))
    data: Array = np.arange(math.prod(stored)).reshape(stored)
    moved = data.transpose(permutation)
    shape: list[int] = []
    for n in moved.shape:  # divide and merge at random
        if shape and rng.random() < 0.4:
            shape[-1] *= n
        elif n == 4 and rng.random() < 0.5:
            shape += [2, 2]
        else:
            shape += [n] * 1 + [1] * int(rng.integers(2))
    view = View(0, stored, permutation, tuple(shape))
    order, new, axes = view.settled()
    assert np.array_equal(data.transpose(order).reshape(new).transpose(axes), moved.reshape(shape))
    if view.keeps_order:
        assert np.array_equal(data.reshape(-1), moved.reshape(-1))
