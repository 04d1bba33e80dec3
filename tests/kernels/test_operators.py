"""Each operator's lowering, run by the kernels, equals its reference: apart from its inputs and overlapping them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kernels.harness import Array, Kernels
from tests.ops import (
    test_add,
    test_conv_2d,
    test_elementwise,
    test_fully_connected,
    test_mean,
    test_movement,
    test_pool,
)
from tests.support.compare import SEEDS, ZERO_POINTS, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType, OpView
from tinyops.lower.lowering import ConstantPool, Lowering, _load_rules, _rules
from tinyops.lower.program import ArenaRef, Call, ConstantRef, Ref, Role
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.movement import DTYPES
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs


class Bench(Lowering):
    """One op whose tensors lie where the test says, none of them in place of another."""

    def __init__(self, view: OpView, offsets: dict[int, int]) -> None:
        self.view = view
        self.isa = "c"
        self._pool = ConstantPool()
        self._offsets = offsets

    def input_needs_copy(self, i: int) -> bool:
        return True

    def output_needs_copy(self, o: int = 0) -> bool:
        return True

    def _ref(self, index: int) -> Ref:
        tensor = self.view.graph.tensors[index]
        if tensor.data is not None:
            return self._pool.add(tensor.name, Role.DATA, tensor.data)
        return ArenaRef(self._offsets[index], tensor.dtype)

    def calls(self) -> Sequence[Call]:
        _load_rules()
        return _rules[self.view.kind](self)

    def constant_value(self, ref: ConstantRef) -> Array:
        (found,) = (x.data for x in self._pool.constants if x.name == ref.name)
        return found.reshape(-1).view(np.uint8)[ref.offset :]


def _layout(view: OpView, overlap: tuple[int, int] | None, distance: int) -> tuple[dict[int, int], int]:
    """Byte offsets of the run-time tensors and the arena's size; output o starts `distance` bytes before input i,
    or after it where that is negative."""
    offsets: dict[int, int] = {}
    end = 0

    def place(index: int) -> None:
        nonlocal end
        tensor = view.graph.tensors[index]
        if tensor.data is None and index not in offsets:
            offsets[index] = end
            end += -(-tensor.nbytes // 4) * 4 + 4

    if overlap is not None:
        i, o = overlap
        first, second = view.op.inputs[i], view.op.outputs[o]
        assert first is not None
        gap = -(-max(distance, 0) // 4) * 4
        offsets |= {first: gap, second: gap - distance}
        end = gap + max(view.input(i).nbytes, view.output(o).nbytes - distance)
        end = -(-end // 4) * 4 + 4
    for index in (*view.op.inputs, *view.op.outputs):
        if index is not None:
            place(index)
    return offsets, end


def _run(
    c: Kernels, view: OpView, values: dict[int, Array], overlap: tuple[int, int] | None, distance: int
) -> list[Array]:
    offsets, size = _layout(view, overlap, distance)
    bench = Bench(view, offsets)
    try:
        calls = bench.calls()
    except ModelError as refused:  # the accumulator could overflow; the reference wraps as TFLite Micro does
        if "accumulator" not in refused.what:
            raise
        assume(False)
    memory = c.arena(size)
    for index, value in values.items():
        raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        memory[offsets[index] : offsets[index] + raw.size] = raw
    for call in calls:
        places = [
            memory[ref.offset :] if isinstance(ref, ArenaRef) else bench.constant_value(ref)
            for ref in call.arguments
            if isinstance(ref, (ArenaRef, ConstantRef))
        ]
        assert len(places) == len(call.arguments)
        c.call(call.kernel, call.params, places)
    found = []
    for index in view.op.outputs:
        tensor = view.graph.tensors[index]
        raw = memory[offsets[index] : offsets[index] + tensor.nbytes]
        found.append(raw.copy().view(tensor.dtype.numpy).reshape(tensor.shape))
    return found


def verify(c: Kernels, builder: ModelBuilder, seed: int) -> None:
    model, _ = builder.build()
    check(model)
    view = next(model.main.views())
    rules = operator(view.kind)
    assert rules is not None
    tensors = model.main.tensors
    values = {
        index: random_values(seed + k, tensors[index].shape, tensors[index].dtype)
        for k, index in enumerate(view.op.inputs)
        if index is not None and tensors[index].data is None
    }
    given_values = [None if t is None else tensors[t].data if t not in values else values[t] for t in view.op.inputs]
    expected = rules.reference(view, given_values)
    layouts: list[tuple[tuple[int, int] | None, int]] = [(None, 0)]
    for pair, distance in rules.overlap(view).items():
        if view.op.inputs[pair[0]] in values:
            layouts += [(pair, distance), (pair, distance + tensors[view.op.outputs[pair[1]]].dtype.itemsize)]
    layouts += [(pair, -d - more) for pair, d in rules.overlap_descending(view).items() for more in (0, 1)]
    for overlap, distance in layouts:
        for ours, theirs in zip(_run(c, view, values, overlap, distance), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{view.kind}, overlap {overlap} at {distance}")


CASES = {
    "conv_2d": test_conv_2d.convolutions(depthwise=False),
    "depthwise_conv_2d": test_conv_2d.convolutions(depthwise=True),
    "fully_connected": test_fully_connected.layers(),
    "add": test_add.additions(),
    "pool": test_pool.pools(),
    "mean": test_mean.means(),
}


@pytest.mark.parametrize("kind", CASES)
@given(data=st.data())
def test_arithmetic(c: Kernels, kind: str, data: st.DataObject) -> None:
    verify(c, *data.draw(CASES[kind]))


@given(st.tuples(*(st.integers(1, n) for n in (2, 4, 4, 9))), st.integers(1, 12), ZERO_POINTS, SEEDS)
def test_pointwise(c: Kernels, image: tuple[int, ...], channels: int, zero_point: int, seed: int) -> None:
    """1x1 convolutions, which may also run from the last pixel to the first."""
    builder = test_conv_2d.build(
        image, (channels, 1, 1, image[3]), test_conv_2d.SAME, seed=seed, zero_points=(zero_point, 5), bias="none"
    )
    verify(c, builder, seed)


@given(test_elementwise.SHAPES, scales(-20, 12), st.sampled_from([1.0, 0.5, 1.7, 10.0]), SEEDS)
def test_softmax(c: Kernels, shape: tuple[int, ...], scale: float, beta: float, seed: int) -> None:
    attrs = SoftmaxAttrs(float(np.float32(beta)))
    verify(c, test_elementwise.build("SOFTMAX", shape, attrs=attrs, quantization=(scale, 1 / 256)), seed)


@given(scales(-26, 20), ZERO_POINTS, SEEDS)
def test_logistic(c: Kernels, scale: float, zero_point: int, seed: int) -> None:
    verify(
        c,
        test_elementwise.build("LOGISTIC", (257,), quantization=(scale, 1 / 256), zero_points=(zero_point, -128)),
        seed,
    )


@given(st.sampled_from(test_elementwise.PAIRS), scales(-20, 12), scales(-16, 12), ZERO_POINTS, ZERO_POINTS, SEEDS)
def test_quantize(
    c: Kernels, dtypes: tuple[DType, DType], a: float, b: float, zero_in: int, zero_out: int, seed: int
) -> None:
    zeros = [z + (128 if d is DType.UINT8 else 0) for z, d in zip((zero_in, zero_out), dtypes, strict=True)]
    builder = test_elementwise.build(
        "QUANTIZE", (300,), dtypes=dtypes, quantization=(a, b), zero_points=(zeros[0], zeros[1])
    )
    verify(c, builder, seed)


@given(st.data(), st.sampled_from(DTYPES), ZERO_POINTS, SEEDS)
def test_pad(c: Kernels, data: st.DataObject, dtype: DType, zero_point: int, seed: int) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    border = st.tuples(st.integers(0, 3), st.integers(0, 3))
    verify(c, test_movement.pad(shape, [data.draw(border) for _ in shape], dtype, zero_point), seed)


@given(st.data(), test_movement.SHAPES, st.sampled_from(DTYPES), SEEDS)
def test_concatenation(c: Kernels, data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    shapes = [(*shape[:axis], n, *shape[axis + 1 :]) for n in sizes]
    verify(c, test_movement.concatenation(shapes, axis, dtype), seed)


@given(st.data(), test_movement.SHAPES, st.sampled_from(DTYPES), SEEDS)
def test_split_v(c: Kernels, data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    verify(c, test_movement.split_v((*shape[:axis], sum(sizes), *shape[axis + 1 :]), sizes, axis, dtype), seed)


@given(st.data(), test_movement.SHAPES, st.sampled_from(DTYPES), SEEDS)
def test_strided_slice(c: Kernels, data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int) -> None:
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    strides = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    end = [data.draw(st.integers(-n - 1, n)) for n in shape]
    attrs = StridedSliceAttrs(begin_mask=data.draw(st.integers(0, 15)), end_mask=data.draw(st.integers(0, 15)))
    builder = test_movement.strided_slice(shape, begin, end, strides, attrs, dtype)
    assume(math.prod(builder.graphs[0].tensors[1].shape) > 0)
    verify(c, builder, seed)
