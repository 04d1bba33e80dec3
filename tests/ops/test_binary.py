"""SUB, MUL, DIV, MINIMUM, MAXIMUM, SQUARED_DIFFERENCE, PRELU."""

from __future__ import annotations

import math
import operator as operator_
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import ACTIVATIONS, SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation, operator
from tinyops.ops.div import DivAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.mul import MulAttrs
from tinyops.ops.sub import SubAttrs

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def build(
    kind: str,
    shapes: Shapes,
    *,
    attrs: Any = None,
    dtypes: tuple[DType, DType, DType] = (DType.INT8, DType.INT8, DType.INT8),
    quantization: tuple[float, float, float] | None = (0.5, 0.25, 0.75),
    zero_points: tuple[int, int, int] = (0, 0, 0),
    constants: dict[int, Any] | None = None,
) -> ModelBuilder:
    """`constants` gives inputs a value."""
    builder = ModelBuilder()
    g = builder.graph()
    tensors = []
    for k, shape in enumerate((*shapes, np.broadcast_shapes(*shapes))):
        data = (constants or {}).get(k)
        if data is not None:
            data = np.broadcast_to(np.asarray(data), shape)
        scale = None if quantization is None else quantization[k]
        tensors.append(g.tensor(shape, dtypes[k], scale=scale, zero_point=zero_points[k], data=data))
    g.op(kind, tensors[:2], tensors[2:], attrs)
    g.inputs = tuple(t for k, t in enumerate(tensors[:2]) if k not in (constants or {}))
    g.outputs = (tensors[2],)
    return builder


@st.composite
def broadcast_shapes(draw: st.DrawFn, inputs: int = 2, rank: int = 5) -> tuple[tuple[int, ...], ...]:
    """Shapes that broadcast with each other, of equal and of different ranks."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=rank))
    shapes = []
    for _ in range(inputs):
        part = [1 if draw(st.integers(0, 3)) == 0 else n for n in shape]
        shapes.append(tuple(part[draw(st.integers(0, len(shape) - 1)) :] if draw(st.booleans()) else part))
    return tuple(shapes)


def draw_constants(draw: st.DrawFn, shapes: tuple[tuple[int, ...], ...], dtypes: tuple[DType, ...]) -> dict[int, Any]:
    """No input, or one, is constant: with equal elements or random ones."""
    k = draw(st.integers(-1, 1))
    if k < 0:
        return {}
    if draw(st.booleans()):
        return {k: draw(st.integers(-128, 127))}
    return {k: random_values(draw(SEEDS), shapes[k], dtypes[k])}


#: kind -> the class of its attributes, which hold an activation.
QUANTIZED: dict[str, Any] = {
    "SUB": SubAttrs,
    "MUL": MulAttrs,
    "SQUARED_DIFFERENCE": None,
    "PRELU": None,
}


@st.composite
def quantized(draw: st.DrawFn, kind: str) -> tuple[ModelBuilder, int]:
    dtype = draw(st.sampled_from([DType.INT8, DType.INT8, DType.INT16]))
    dtypes = (dtype, DType.INT8 if kind == "PRELU" else dtype, dtype)
    shapes = draw(broadcast_shapes())
    if kind == "PRELU":  # as TFLite, which lets the slope alone broadcast
        shapes = (np.broadcast_shapes(*shapes), shapes[1])
    zeros = [0 if dtype is DType.INT16 else draw(ZERO_POINTS) for _ in range(3)]
    attributes = QUANTIZED[kind]
    low = {"SUB": -10.0, "MUL": -14.0, "SQUARED_DIFFERENCE": -6.0, "PRELU": -14.0}[kind]
    builder = build(
        kind,
        (shapes[0], shapes[1]),
        attrs=attributes and attributes(draw(ACTIVATIONS)),
        dtypes=dtypes,
        quantization=(draw(scales(-8, 3)), draw(scales(-8, 3)), draw(scales(low, 12))),
        zero_points=(zeros[0], zeros[1], zeros[2]),
        constants=draw_constants(draw, shapes, dtypes),
    )
    return builder, draw(SEEDS)


@pytest.mark.parametrize("kind", QUANTIZED)
@given(data=st.data())
def test_quantized_equals_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(quantized(kind)))


INT32 = (DType.INT32, DType.INT32, DType.INT32)
#: Kinds that take int32 values as they are, and the class of their attributes.
INTEGER: dict[str, Any] = {
    "ADD": AddAttrs,
    "SUB": SubAttrs,
    "MUL": MulAttrs,
    "SQUARED_DIFFERENCE": None,
    "DIV": DivAttrs,
    "FLOOR_DIV": None,
    "FLOOR_MOD": None,
}


@st.composite
def integers(draw: st.DrawFn, kind: str, dtypes: tuple[DType, ...] = (DType.INT32,)) -> tuple[ModelBuilder, int]:
    """Divisors are constants other than 0."""
    dtype = draw(st.sampled_from(dtypes))
    shapes = draw(broadcast_shapes())
    constants = draw_constants(draw, shapes, (dtype, dtype))
    if kind in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        divisors = random_values(draw(SEEDS), shapes[1], dtype) >> draw(st.integers(0, dtype.itemsize * 8 - 2))
        constants = {1: np.where(np.isin(divisors, [0, -1]), 7, divisors)}  # TFLite Micro dies on lowest / -1
    attributes = INTEGER[kind]
    attrs = attributes and attributes(Activation.NONE if kind == "ADD" else draw(ACTIVATIONS))
    builder = build(
        kind, (shapes[0], shapes[1]), attrs=attrs, dtypes=(dtype, dtype, dtype), quantization=None, constants=constants
    )
    return builder, draw(SEEDS)


@pytest.mark.parametrize("kind", [kind for kind in INTEGER if not kind.startswith("FLOOR")])
@given(data=st.data())
def test_int32_equals_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(integers(kind)))


@pytest.mark.parametrize(("kind", "function"), [("FLOOR_DIV", operator_.floordiv), ("FLOOR_MOD", operator_.mod)])
@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16, DType.INT32])
def test_division_rounds_down(kind: str, function: Any, dtype: DType) -> None:
    # TFLite Micro has float32 alone. Source: FloorDiv and FloorMod of TFLite's kernels, which are Python's // and %.
    info = np.iinfo(dtype.numpy)
    values = [info.min, info.min + 1, -9, -8, -7, -1, 0, 1, 7, 8, 9, info.max]
    divisors = [info.min, -8, -3, -1, 1, 3, 8, info.max]
    shapes: Shapes = ((len(values), 1), (len(divisors),))
    builder = build(kind, shapes, dtypes=(dtype,) * 3, quantization=None, constants={1: divisors})
    (got,) = Interpreter(builder.build()[0]).run(np.array(values, dtype.numpy).reshape(-1, 1))
    expected = np.array([[function(x, y) for y in divisors] for x in values])
    np.testing.assert_array_equal(got, expected.astype(dtype.numpy))  # the lowest value // -1 wraps


@st.composite
def extremes(draw: st.DrawFn, kind: str) -> tuple[ModelBuilder, int]:
    dtype = draw(st.sampled_from([DType.INT8, DType.INT16, DType.INT32]))
    shapes = draw(broadcast_shapes())
    builder = build(
        kind,
        (shapes[0], shapes[1]),
        dtypes=(dtype, dtype, dtype),
        quantization=None if dtype is DType.INT32 else (0.5, 0.5, 0.5),
        constants=draw_constants(draw, shapes, (dtype, dtype)),
    )
    return builder, draw(SEEDS)


@pytest.mark.parametrize("kind", ["MINIMUM", "MAXIMUM"])
@given(data=st.data())
def test_extremes_equal_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(extremes(kind)))


@st.composite
def quotients(draw: st.DrawFn, computed: bool = False) -> tuple[ModelBuilder, int]:
    """Final shifts of 31 at most, beyond which TFLite Micro stops, unless the divisor is computed."""
    zeros = draw(ZERO_POINTS), draw(ZERO_POINTS), draw(ZERO_POINTS)
    shapes = draw(broadcast_shapes(rank=4))
    divisors = random_values(draw(SEEDS), shapes[1])
    if draw(st.booleans()):
        divisors = np.full(shapes[1], draw(st.integers(-128, 127)), np.int8)
    divisors = np.where(divisors == zeros[1], zeros[1] - 1 if zeros[1] > 0 else zeros[1] + 1, divisors)
    scale = draw(scales(-6, 3)), draw(scales(-6, 3))
    ratio = math.log2(scale[0] / scale[1])
    largest = np.abs(divisors.astype(np.int64) - zeros[1]).max()
    exponent = draw(st.floats(ratio - 22, ratio - math.log2(largest) - 1.5))
    builder = build(
        "DIV",
        (shapes[0], shapes[1]),
        attrs=DivAttrs(draw(ACTIVATIONS)),
        quantization=(*scale, float(np.float32(2.0**exponent))),
        zero_points=zeros,
        constants=None if computed else {1: divisors},
    )
    return builder, draw(SEEDS)


@given(quotients())
def test_div_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


def test_div_by_computed_values_equals_tflite_micro() -> None:
    builder = build("DIV", ((255, 1), (4,)), attrs=DivAttrs(), quantization=(0.5, 0.25, 0.02), zero_points=(3, 9, -2))
    model, data = builder.build()
    inputs = [np.arange(-128, 127).astype(np.int8).reshape(-1, 1), np.array([-128, 8, 10, 127], np.int8)]
    expected = ORACLE.run(data, [inputs])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(*inputs)[0], expected)


def test_a_computed_divisor_of_zero_counts_as_one() -> None:
    builder = build("DIV", ((256,), (1,)), attrs=DivAttrs(), quantization=(0.5, 0.5, 1.0), zero_points=(0, 9, 0))
    interpreter = Interpreter(builder.build()[0])
    values = np.arange(-128, 128).astype(np.int8)
    by_zero, by_one = (interpreter.run(values, np.array([d], np.int8))[0].copy() for d in (9, 10))
    np.testing.assert_array_equal(by_zero, by_one)


def test_a_quotient_below_half_a_step_is_zero() -> None:
    model, _ = build("DIV", ((256,), ()), attrs=DivAttrs(), quantization=(0.1, 1.0, 1.0), constants={1: 127}).build()
    outputs = Interpreter(model).run(np.arange(-128, 128).astype(np.int8))[0]
    assert (outputs == 0).all()


@pytest.mark.parametrize("kind", ["SUB", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("ratio", [2.0**-30, 2.0**-36, 1.0])
def test_extreme_scales(kind: str, ratio: float) -> None:
    attrs = SubAttrs() if kind == "SUB" else None
    builder = build(kind, ((8, 8), (8, 8)), attrs=attrs, quantization=(1.0, ratio, 2.0**-12), zero_points=(3, -7, 11))
    assert_same(builder, 1)


@pytest.mark.parametrize("kind", ["MUL", "SUB", "SQUARED_DIFFERENCE"])
def test_of_a_tensor_with_itself(kind: str) -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor((5, 7), scale=0.1, zero_point=-20), g.tensor((5, 7), scale=0.9, zero_point=4)
    g.op(kind, [x, x], [y], {"MUL": MulAttrs(), "SUB": SubAttrs()}.get(kind))
    g.inputs, g.outputs = (x,), (y,)
    assert_same(builder, 2)


INT16 = (DType.INT16, DType.INT16, DType.INT16)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build("SUB", ((4,), (4,)), attrs=SubAttrs(), quantization=(1.0, 1.0, 2.0**-19)), "scale ratio"),
        (build("SUB", ((4,), (4,)), attrs=SubAttrs(), dtypes=INT16, zero_points=(0, 1, 0)), "zero point 1"),
        (build("MUL", ((4,), (4,)), attrs=MulAttrs(), quantization=(2.0**20, 1.0, 2.0**-20)), "scale ratio"),
        (build("MUL", ((4,), (4,)), attrs=MulAttrs(), quantization=None), "no quantization"),
        (build("SQUARED_DIFFERENCE", ((4,), (4,)), quantization=(2.0**20, 1.0, 2.0**-20)), "scale ratio"),
        (build("PRELU", ((4,), (4,)), dtypes=INT16), "the slope is int16"),
        (build("MINIMUM", ((4,), (4,)), dtypes=(DType.INT8, DType.INT16, DType.INT8)), "input 1 is int16"),
        (build("DIV", ((4,), (4,)), attrs=DivAttrs(), dtypes=INT32), "computed at run time"),
        (build("DIV", ((4,), ()), attrs=DivAttrs(), zero_points=(0, 9, 0), constants={1: 9}), "division by 0"),
        (build("DIV", ((4,), (4,)), attrs=DivAttrs(), constants={1: [1, 2, 0, 3]}), "division by 0"),
        (build("DIV", ((4,), ()), attrs=DivAttrs(), quantization=(1.0, 2.0**-20, 2.0**-20), constants={1: 1}), "ratio"),
        (build("DIV", ((4,), (4,)), attrs=DivAttrs(), dtypes=INT16, constants={1: 1}), "int16"),
        (build("DIV", ((4,), (4,)), attrs=DivAttrs(), dtypes=INT32, constants={1: [1, 2, 0, 3]}), "division by 0"),
        (build("ADD", ((4,), (4,)), attrs=AddAttrs(Activation.RELU), dtypes=INT32), "a fused activation"),
        (build("FLOOR_DIV", ((4,), (4,)), dtypes=INT32), "computed at run time"),
        (build("FLOOR_MOD", ((4,), ()), dtypes=INT32, constants={1: 0}), "division by 0"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("shapes", "distances"),
    [
        (((2, 3), (2, 3)), {(0, 0): 0, (1, 0): 0}),
        (((2, 3), (3,)), {(0, 0): 0, (1, 0): 3}),
        (((2, 1), (2, 3)), {(0, 0): 4, (1, 0): 0}),
    ],
)
def test_overlap(shapes: Shapes, distances: dict[tuple[int, int], int]) -> None:
    model, _ = build("MUL", shapes, attrs=MulAttrs(Activation.RELU)).build()
    rules = operator("MUL")
    assert rules is not None
    assert rules.overlap(next(model.main.views())) == distances
