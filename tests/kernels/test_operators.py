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
    test_batch_matmul,
    test_binary,
    test_comparison,
    test_conv_2d,
    test_elementwise,
    test_fully_connected,
    test_mean,
    test_movement,
    test_pool,
    test_reduction,
    test_sigmoid_int16,
    test_softmax_int16,
    test_svdf,
    test_transpose_conv,
    test_unary,
    test_unidirectional_sequence_lstm,
)
from tests.support.compare import SEEDS, ZERO_POINTS, assert_agree, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType, OpView
from tinyops.lower.lowering import ConstantPool, Lowering, rule_of
from tinyops.lower.program import ArenaRef, Call, ConstantRef, Ref, Role
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.gelu import GeluAttrs
from tinyops.ops.l2_normalization import L2NormAttrs
from tinyops.ops.leaky_relu import LeakyReluAttrs
from tinyops.ops.movement import DTYPES
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs


class Bench(Lowering):
    """One op whose tensors lie where the test says, none of them in place of another."""

    def __init__(self, view: OpView, offsets: dict[int, int]) -> None:
        self.view = view
        self.isa = "c"
        self.by_structure = False
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
        found = rule_of(self.view)
        assert found is not None
        return found(self)

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
    except ModelError as refused:  # the reference wraps an accumulator as TFLite Micro does, and takes any rank
        if "accumulator" not in refused.what and "broadcasting over" not in refused.what:
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
            assert_agree(ours, theirs, f"{view.kind}, overlap {overlap} at {distance}")


CASES = {
    "conv_2d": test_conv_2d.convolutions(depthwise=False),
    "depthwise_conv_2d": test_conv_2d.convolutions(depthwise=True),
    "fully_connected": test_fully_connected.layers(),
    "conv_2d_int16": test_conv_2d.convolutions(depthwise=False, dtype=DType.INT16),
    "depthwise_conv_2d_int16": test_conv_2d.convolutions(depthwise=True, dtype=DType.INT16),
    "fully_connected_int16": test_fully_connected.layers(dtype=DType.INT16),
    "transpose_conv": test_transpose_conv.transposed(),
    "transpose_conv_int16": test_transpose_conv.transposed(dtype=DType.INT16),
    "batch_matmul_int16": test_batch_matmul.products(dtype=DType.INT16),
    "svdf": test_svdf.layers(),
    "softmax_int16": test_softmax_int16.softmaxes(),
    "sigmoid_int16": test_sigmoid_int16.sigmoids(),
    "lstm": test_unidirectional_sequence_lstm.layers(),
    "lstm_int16": test_unidirectional_sequence_lstm.layers(dtype=DType.INT16),
    "batch_matmul": test_batch_matmul.products(),
    "add": test_add.additions(),
    "pool": test_pool.pools(),
    "mean": test_mean.means(),
    "mean_int16": test_reduction.reductions("MEAN"),
    "sum": test_reduction.reductions("SUM"),
    "reduce_all": test_reduction.reductions("REDUCE_ALL"),
    "reduce_max": test_reduction.reductions("REDUCE_MAX"),
    "reduce_min": test_reduction.reductions("REDUCE_MIN"),
    "position": test_reduction.positions(),
    "quantize": test_unary.quantizations(),
    "sub": test_binary.quantized("SUB"),
    "mul": test_binary.quantized("MUL"),
    "squared_difference": test_binary.quantized("SQUARED_DIFFERENCE"),
    "prelu": test_binary.quantized("PRELU"),
    "minimum": test_binary.extremes("MINIMUM"),
    "maximum": test_binary.extremes("MAXIMUM"),
    "div": test_binary.quotients(),
    "div_computed": test_binary.quotients(computed=True),
    **{f"{kind.lower()}_int32": test_binary.integers(kind) for kind in test_binary.INTEGER},
    "floor_div": test_binary.integers("FLOOR_DIV", (DType.INT8, DType.INT16)),
    "floor_mod": test_binary.integers("FLOOR_MOD", (DType.INT8, DType.INT16)),
    "int16": test_unary.int16_functions(),
    "logical": test_comparison.logical(),
    "select": test_comparison.selections(),
    **{kind.lower(): test_comparison.comparisons(kind) for kind in test_comparison.KINDS},
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
    verify(c, test_elementwise.softmax_to_int16(shape, scale, beta), seed)


UNARY = {
    "ABS": (0.5, 0.3, -4, None),
    "ELU": (0.05, 0.02, -20, None),
    "EXP": (0.02, 0.1, -100, None),
    "GELU": (0.05, 0.04, -100, GeluAttrs(approximate=True)),
    "HARD_SWISH": (0.05, 0.04, -100, None),
    "LEAKY_RELU": (0.5, 0.4, -7, LeakyReluAttrs(-0.25)),
    "LOG": (0.05, 0.02, 3, None),
    "LOGISTIC": (0.05, 1 / 256, -128, None),
    "NEG": (0.05, 0.04, 9, None),
    "RELU": (0.5, 0.3, -128, None),
    "RELU6": (0.05, 0.05, -4, None),
    "RELU_N1_TO_1": (0.05, 0.01, 1, None),
    "RSQRT": (0.05, 0.02, -128, None),
    "SQRT": (0.05, 0.02, -128, None),
    "TANH": (0.05, 1 / 128, 0, None),
}


@pytest.mark.parametrize("kind", UNARY)
def test_functions_of_one_byte(c: Kernels, kind: str) -> None:
    x, y, zero_point, attrs = UNARY[kind]
    builder = test_elementwise.build(kind, (1025,), attrs=attrs, quantization=(x, y), zero_points=(-4, zero_point))
    verify(c, builder, 1)


def test_logical_not(c: Kernels) -> None:
    verify(c, test_unary.logical_not((5, 7)), 1)


@pytest.mark.parametrize("dtypes", test_unary.CASTS)
def test_cast(c: Kernels, dtypes: tuple[DType, DType]) -> None:
    verify(c, test_unary.cast(dtypes, (5, 7)), 1)


@given(test_elementwise.SHAPES, scales(-20, 12), ZERO_POINTS, SEEDS)
def test_log_softmax(c: Kernels, shape: tuple[int, ...], scale: float, zero_point: int, seed: int) -> None:
    quantization, zero_points = (scale, 1 / 16), (zero_point, 127)
    verify(c, test_elementwise.build("LOG_SOFTMAX", shape, quantization=quantization, zero_points=zero_points), seed)


@pytest.mark.parametrize("scale", [2.0**-20, 0.01, 0.1])
def test_log_softmax_of_long_rows(c: Kernels, scale: float) -> None:
    builder = test_elementwise.build("LOG_SOFTMAX", (2, 4095), quantization=(scale, 1 / 16), zero_points=(0, 127))
    verify(c, builder, 1)


@given(st.one_of(test_elementwise.SHAPES, st.sampled_from([(1, 9000), (1, 33025)])), ZERO_POINTS, SEEDS)
def test_l2_normalization(c: Kernels, shape: tuple[int, ...], zero_point: int, seed: int) -> None:
    builder = test_elementwise.build(
        "L2_NORMALIZATION", shape, attrs=L2NormAttrs(), quantization=(0.1, 1 / 128), zero_points=(zero_point, 0)
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


def _calls(builder: ModelBuilder) -> Sequence[Call]:
    model, _ = builder.build()
    view = next(model.main.views())
    return Bench(view, {index: 256 * index for index in range(len(model.main.tensors))}).calls()


def test_broadcasting_over_too_many_dimensions_is_refused() -> None:
    shapes = ((2, 1, 2, 1, 2), (1, 2, 1, 2, 1))
    with pytest.raises(ModelError, match="broadcasting over 5 dimensions"):
        _calls(test_binary.build("MINIMUM", shapes))


@pytest.mark.parametrize("constants", [{1: 7}, {0: -3}])
def test_one_constant_value_makes_a_table(constants: dict[int, int]) -> None:
    shapes = ((3, 5), (3, 5))
    (call,) = _calls(test_binary.build("SQUARED_DIFFERENCE", shapes, constants=constants))
    assert call.kernel == "to_lut_any_8_c"


def test_a_constant_that_enlarges_the_other_input_makes_no_table() -> None:
    (call,) = _calls(test_binary.build("MINIMUM", ((1, 5), (3, 5)), constants={1: 7}))
    assert call.kernel == "to_binary_any_b_c"
