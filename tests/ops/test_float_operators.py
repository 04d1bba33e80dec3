"""float32 of the operators beyond those of test_float: equal to TFLite Micro's up to the tolerance.

TFLite Micro has no GELU and no POW; the tests name what those are compared with.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops import (
    test_batch_matmul,
    test_comparison,
    test_fully_connected,
    test_pool,
    test_reduction,
    test_resize,
    test_svdf,
    test_transpose_conv,
    test_unidirectional_sequence_lstm,
)
from tests.ops.test_binary import broadcast_shapes
from tests.ops.test_binary import build as build_binary
from tests.ops.test_elementwise import SHAPES, build
from tests.ops.test_float import as_float, of
from tests.ops.test_unary import cast
from tests.support.compare import ACTIVATIONS, SEEDS, Array, assert_agree, assert_same, assert_same_states
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops import check
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation, Padding
from tinyops.ops.cumsum import CumsumAttrs
from tinyops.ops.div import DivAttrs
from tinyops.ops.float32 import real_values
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.gelu import GeluAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.l2_normalization import L2NormAttrs
from tinyops.ops.leaky_relu import LeakyReluAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.svdf import STATE
from tinyops.ops.unidirectional_sequence_lstm import CELL, HIDDEN, INPUT_WEIGHTS
from tinyops.passes import run_passes

FLOAT = DType.FLOAT32
FLOATS = (FLOAT, FLOAT, FLOAT)
#: Functions of one tensor -> their attributes.
UNARY: dict[str, Any] = {
    "ABS": None,
    "CEIL": None,
    "COS": None,
    "ELU": None,
    "EXP": None,
    "FLOOR": None,
    "HARD_SWISH": None,
    "L2_NORMALIZATION": L2NormAttrs(),
    "LEAKY_RELU": LeakyReluAttrs(float(np.float32(-0.3))),
    "LOG": None,
    "LOG_SOFTMAX": None,
    "NEG": None,
    "ROUND": None,
    "RSQRT": None,
    "SIN": None,
    "SQRT": None,
    "SQUARE": None,
}
#: Functions of two tensors -> the class of their attributes.
BINARY: dict[str, Any] = {
    "DIV": DivAttrs,
    "FLOOR_DIV": None,
    "FLOOR_MOD": None,
    "MAXIMUM": None,
    "MINIMUM": None,
    "PRELU": None,
    "SQUARED_DIFFERENCE": None,
}
#: What no smooth random value shows: ties, zeros, what is too large for an integer, and what is no number.
SPECIAL = np.array(
    [
        *(0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.5, 0.49999997, -0.49999997, 1e-30, -1e-30, 1e-7, 7.0, -7.0),
        *(8388607.5, -8388607.5, 4194303.5, 8388609.0, 2.0**31, -(2.0**31), 3e38, -3e38, 100.0, -100.0),
        *(math.inf, -math.inf, math.nan),
    ],
    np.float32,
)


def unary(kind: str, shape: tuple[int, ...]) -> ModelBuilder:
    return as_float(build(kind, shape, attrs=UNARY[kind]), 0)


def gelu(shape: tuple[int, ...], approximate: bool) -> ModelBuilder:
    return as_float(build("GELU", shape, attrs=GeluAttrs(approximate)), 0)


def pair(kind: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], attrs: Any = None) -> ModelBuilder:
    dtypes = (FLOAT, FLOAT, DType.BOOL) if kind in test_comparison.KINDS else FLOATS
    return build_binary(kind, shapes, attrs=attrs, dtypes=dtypes, quantization=None)


@st.composite
def pairs(draw: st.DrawFn, kind: str) -> tuple[ModelBuilder, int]:
    shapes = draw(broadcast_shapes(rank=4))
    if kind == "PRELU":  # as TFLite, which lets the slope alone broadcast
        shapes = (np.broadcast_shapes(*shapes), shapes[1])
    attributes = BINARY.get(kind)
    return pair(kind, (shapes[0], shapes[1]), attributes and attributes(draw(ACTIVATIONS))), draw(SEEDS)


def computed_layer(
    rows: int, units: int, depth: int, bias: bool, activation: Activation = Activation.NONE
) -> ModelBuilder:
    """FULLY_CONNECTED whose weights, and the bias if there is one, are computed."""
    builder = ModelBuilder()
    g = builder.graph()
    x, w, b = g.tensor((rows, depth), FLOAT), g.tensor((units, depth), FLOAT), g.tensor((units,), FLOAT)
    y = g.tensor((rows, units), FLOAT)
    g.op("FULLY_CONNECTED", [x, w, b] if bias else [x, w], [y], FullyConnectedAttrs(activation))
    g.inputs, g.outputs = (x, w, b) if bias else (x, w), (y,)
    return builder


@st.composite
def computed_layers(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    sizes = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 9))
    return computed_layer(*sizes, draw(st.booleans()), draw(ACTIVATIONS)), draw(SEEDS)


def cumsum(shape: tuple[int, ...], axis: int, exclusive: bool, reverse: bool) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor(shape, FLOAT), g.tensor(shape, FLOAT)
    g.op("CUMSUM", [x, g.constant([axis])], [y], CumsumAttrs(exclusive, reverse))
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def cumsums(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shape = draw(SHAPES)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return cumsum(shape, axis, draw(st.booleans()), draw(st.booleans())), draw(SEEDS)


def add_n(shape: tuple[int, ...], count: int) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    g.inputs = tuple(g.tensor(shape, FLOAT) for _ in range(count))
    g.outputs = (g.tensor(shape, FLOAT),)
    g.op("ADD_N", g.inputs, g.outputs)
    return builder


def l2_pool(image: tuple[int, ...], attrs: Pool2DAttrs) -> ModelBuilder:
    return as_float(test_pool.build("L2_POOL_2D", image, attrs), 0)


@st.composite
def l2_pools(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    """Those of AVERAGE_POOL_2D."""
    builder, seed = draw(test_pool.pools())
    g = as_float(builder, 0).graphs[0]
    g.ops[0] = dataclasses.replace(g.ops[0], kind="L2_POOL_2D")
    return builder, seed


CASES = {
    "add_n": st.builds(lambda shape, n, seed: (add_n(shape, n), seed), SHAPES, st.integers(2, 5), SEEDS),
    "cumsum": cumsums(),
    "l2_pool": l2_pools(),
    "batch_matmul": of(test_batch_matmul.products()),
    "computed_layers": computed_layers(),
    "position": of(test_reduction.positions()),
    "reduce_max": of(test_reduction.reductions("REDUCE_MAX")),
    "reduce_min": of(test_reduction.reductions("REDUCE_MIN")),
    "resize_bilinear": test_resize.resizes(test_resize.BILINEAR, (FLOAT,)).map(lambda case: (as_float(*case), case[1])),
    "select": of(test_comparison.selections()),
    "sum": of(test_reduction.reductions("SUM")),
    "transpose_conv": of(test_transpose_conv.transposed()),
    **{kind.lower(): pairs(kind) for kind in (*BINARY, *test_comparison.KINDS)},
}
#: Operators with states; operand whose values are compared, too.
STATEFUL = {
    "svdf": (of(test_svdf.layers()), STATE),
    "lstm_hidden": (of(test_unidirectional_sequence_lstm.layers()), HIDDEN),
    "lstm_cell": (of(test_unidirectional_sequence_lstm.layers()), CELL),
}


@pytest.mark.parametrize("kind", CASES)
@given(data=st.data())
def test_equals_tflite_micro(kind: str, data: st.DataObject) -> None:
    assert_same(*data.draw(CASES[kind]))


@pytest.mark.parametrize("kind", UNARY)
@given(shape=SHAPES, seed=SEEDS)
def test_functions_equal_tflite_micro(kind: str, shape: tuple[int, ...], seed: int) -> None:
    assert_same(unary(kind, shape), seed)


@pytest.mark.parametrize("kind", STATEFUL)
@given(data=st.data())
def test_states_equal_tflite_micro(kind: str, data: st.DataObject) -> None:
    cases, operand = STATEFUL[kind]
    assert_same_states(*data.draw(cases), operand=operand)


def of_special_values(builder: ModelBuilder, *values: Array) -> None:
    model, data = builder.build()
    check(model)
    (theirs,) = ORACLE.run(data, [list(values)])[0].outputs
    assert_agree(Interpreter(model).run(*values)[0], theirs)


@pytest.mark.parametrize("kind", [kind for kind in UNARY if kind not in ("L2_NORMALIZATION", "LOG_SOFTMAX")])
def test_functions_of_special_values(kind: str) -> None:
    of_special_values(unary(kind, SPECIAL.shape), SPECIAL)


@pytest.mark.parametrize("kind", [*BINARY, *test_comparison.KINDS])
def test_pairs_of_special_values(kind: str) -> None:
    attributes = BINARY.get(kind)
    # TFLite Micro stops at a divisor of 0.
    divisors = SPECIAL[SPECIAL != 0] if kind.startswith("FLOOR") else SPECIAL
    a, b = (np.ascontiguousarray(x) for x in np.meshgrid(SPECIAL, divisors))
    of_special_values(pair(kind, (a.shape, b.shape), attributes and attributes()), a, b)


def extremes_of_special_values(kind: str) -> tuple[ModelBuilder, Array]:
    """The operator along rows of SPECIAL, each with another value in the first place, and rows of one value."""
    rows = np.stack([np.roll(SPECIAL, k) for k in range(len(SPECIAL))])
    rows = np.concatenate([rows, *(np.full_like(rows[:1], x) for x in (np.nan, -np.inf, np.inf))])
    if kind.startswith("ARG"):
        return as_float(test_reduction.position(kind, rows.shape, 1), 0), rows
    return as_float(test_reduction.reduce(kind, rows.shape, [1]), 0), rows


@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN", "REDUCE_MAX", "REDUCE_MIN"])
def test_extremes_of_special_values(kind: str) -> None:
    of_special_values(*extremes_of_special_values(kind))


#: Operators by which models mask scores with infinite constants.
MASKS: dict[str, Any] = {"ADD": AddAttrs(), "MAXIMUM": None, "MINIMUM": None, "SELECT_V2": None}


def masked(kind: str, n: int = 4) -> ModelBuilder:
    """Scores [2, n, n] of which each row has the first ones alone, and a SOFTMAX of them."""
    builder = ModelBuilder()
    g = builder.graph()
    kept = np.tri(n, dtype=bool)
    x, scores, y = (g.tensor((2, n, n), FLOAT) for _ in range(3))
    if kind == "SELECT_V2":
        operands = [g.tensor((n, n), DType.BOOL, data=kept), x, g.tensor((1,), FLOAT, data=[-np.inf])]
    else:
        idle = {"ADD": 0, "MAXIMUM": -np.inf, "MINIMUM": np.inf}[kind]
        mask = np.where(kept, idle, np.inf if kind == "MAXIMUM" else -np.inf)
        operands = [x, g.tensor((n, n), FLOAT, data=mask)]
    g.op(kind, operands, [scores], MASKS[kind])
    g.op("SOFTMAX", [scores], [y], SoftmaxAttrs())
    g.inputs, g.outputs = (x,), (scores, y)
    return builder


@pytest.mark.parametrize("kind", MASKS)
def test_infinite_constants_equal_tflite_micro(kind: str) -> None:
    assert_same(masked(kind), 1)


def test_l2_normalization_of_zeros() -> None:
    rows = np.array([[0, 0], [1e-8, 0], [3e-7, 4e-7], [-3, 4]], np.float32)
    of_special_values(unary("L2_NORMALIZATION", rows.shape), rows)


CASTS = [
    *((FLOAT, to) for to in (DType.INT8, DType.INT16, DType.INT32, FLOAT)),
    *((given_dtype, FLOAT) for given_dtype in (DType.INT8, DType.INT16, DType.INT32, DType.BOOL)),
]


@pytest.mark.parametrize("dtypes", CASTS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7)])
def test_cast_equals_tflite_micro(dtypes: tuple[DType, DType], shape: tuple[int, ...]) -> None:
    assert_same(cast(dtypes, shape), 5)


def test_cast_is_defined_everywhere() -> None:
    """What C leaves undefined, and TFLite Micro to the compiler."""
    model, _ = cast((FLOAT, DType.INT32), (6,)).build()
    values = np.array([np.inf, -np.inf, np.nan, 3e9, -3e9, -1.9], np.float32)
    assert Interpreter(model).run(values)[0].tolist() == [2**31 - 1, -(2**31), 0, 2**31 - 1, -(2**31), -1]


def test_gelu_is_a_product_with_the_cumulative_normal_distribution() -> None:
    """Source: 0.5 * x * erfc(-x / sqrt(2)) of TFLite's reference/gelu.h, by the C library's erfc."""
    model, _ = gelu(SPECIAL.shape, False).build()
    check(model)
    expected = [0.5 * float(x) * math.erfc(-float(x) * math.sqrt(0.5)) for x in SPECIAL]
    assert_agree(Interpreter(model).run(SPECIAL)[0], np.array(expected, np.float32))


def tanh_gelu(n: int) -> ModelBuilder:
    """The approximation of TFLite's reference/gelu.h, of operators that TFLite Micro has."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((n,), FLOAT)

    def step(kind: str, a: int, b: int | float, attrs: Any) -> int:
        other = b if isinstance(b, int) else g.tensor((1,), FLOAT, data=[b])
        y = g.tensor((n,), FLOAT)
        g.op(kind, [a, other] if kind != "TANH" else [a], [y], attrs)
        return y

    square = step("MUL", x, x, MulAttrs())
    cubic = step("MUL", step("MUL", square, x, MulAttrs()), 0.044715, MulAttrs())
    inner = step("MUL", step("ADD", x, cubic, AddAttrs()), math.sqrt(2 / math.pi), MulAttrs())
    factor = step("ADD", step("TANH", inner, x, None), 1.0, AddAttrs())
    y = step("MUL", step("MUL", x, factor, MulAttrs()), 0.5, MulAttrs())
    g.inputs, g.outputs = (x,), (y,)
    return builder


def test_approximate_gelu_equals_its_parts_in_tflite_micro() -> None:
    values = np.linspace(-9, 9, 401, dtype=np.float32)
    model, _ = gelu(values.shape, True).build()
    (theirs,) = ORACLE.run(tanh_gelu(len(values)).build()[1], [[values]])[0].outputs
    assert_agree(Interpreter(model).run(values)[0], theirs)


def test_pow() -> None:
    """Source: the C library's pow, which TFLite calls."""
    a, b = (np.ascontiguousarray(x) for x in np.meshgrid(SPECIAL[:18], SPECIAL[:18]))
    builder = pair("POW", (a.shape, b.shape))
    model, _ = builder.build()
    check(model)

    def power(x: float, y: float) -> float:
        try:
            return math.pow(x, y)
        except OverflowError:
            return math.inf
        except ValueError:  # a negative base with a fraction as exponent; 0 with a negative one
            return math.nan if x else math.inf

    with np.errstate(over="ignore"):
        expected = np.array([[power(x, y) for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)])
        (ours,) = Interpreter(model).run(a, b)
        assert_agree(np.abs(ours), np.abs(expected.astype(np.float32)))


@pytest.mark.parametrize(
    ("builder", "weights"),
    [
        (test_svdf.build(1, 4, 3, 2, 5, dtype=DType.INT8), 1),
        (test_unidirectional_sequence_lstm.build(1, 2, 3, 4), INPUT_WEIGHTS),
    ],
)
def test_hybrid_recurrent_operators(builder: ModelBuilder, weights: int) -> None:
    """The importer makes floats of int8 weights: compared with TFLite Micro on the model that has these floats."""
    tensors = builder.graphs[0].tensors
    integers = tensors[weights]
    as_float(builder, 1).graphs[0].tensors[weights] = integers
    model, hybrid_file = builder.build()
    with pytest.raises(ModelError, match="input 1 is int8"):
        check(model)
    assert integers.data is not None
    floats = real_values(integers, integers.data)
    builder.graphs[0].tensors[weights] = dataclasses.replace(integers, dtype=FLOAT, quantization=None, data=floats)
    values = np.random.default_rng(1).normal(size=model.main.tensors[model.main.inputs[0]].shape).astype(np.float32)
    (theirs,) = ORACLE.run(builder.build()[1], [[values]])[0].outputs
    assert_agree(Interpreter(run_passes(load_tflite(hybrid_file))).run(values)[0], theirs)


def test_computed_weights_of_other_dtypes_are_refused() -> None:
    builder = test_fully_connected.build((2, 3), 4, 3)
    g = builder.graphs[0]
    g.tensors[1] = g.tensors[1].__class__("w", DType.INT8, (4, 3), g.tensors[1].quantization)
    with pytest.raises(ModelError, match="computed at run time"):
        check(builder.build()[0])


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build_binary("POW", ((4,), (4,))), "input 0 is int8"),
        (build("FLOOR", (4,)), "the input is int8"),
        (cumsum((2, 3), 2, False, False), "axis [2]"),
        (test_pool.build("L2_POOL_2D", (1, 4, 4, 1), Pool2DAttrs(Padding.SAME, 1, 1, 2, 2)), "the input is int8"),
        (as_float(build("LEAKY_RELU", (4,), attrs=LeakyReluAttrs(math.nan)), 0), "alpha is nan"),
        (as_float(test_resize.resize("RESIZE_BILINEAR", (1, 2, 2, 1), (4, 4), test_resize.BOTH), 0), "align_corners"),
        (build_binary("DIV", ((4,), (4,)), attrs=DivAttrs(), dtypes=(FLOAT, DType.INT8, FLOAT)), "input 1 is int8"),
        (build_binary("PRELU", ((4,), (4,)), dtypes=(FLOAT, DType.INT8, FLOAT)), "the slope is int8"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)
