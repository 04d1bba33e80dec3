"""Functions of one int8 value, QUANTIZE and CAST of every pair of dtypes, LOG_SOFTMAX, L2_NORMALIZATION."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.ops.test_elementwise import SHAPES, build
from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import Activation, operator
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.l2_normalization import L2NormAttrs
from tinyops.ops.leaky_relu import LeakyReluAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.quantize import PAIRS


def _half_away(x: float) -> int:
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def assert_table_same(builder: ModelBuilder, lowest: int = -128) -> None:
    """All int8 inputs from `lowest` on."""
    model, data = builder.build()
    check(model)
    values = np.arange(-128, 128).astype(np.int8)
    allowed = np.maximum(values, np.int8(lowest))
    expected = ORACLE.run(data, [[allowed]])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(allowed)[0], expected)


def unary(
    kind: str, quantization: tuple[float, float], zero_points: tuple[int, int], attrs: Any = None
) -> ModelBuilder:
    return build(kind, (256,), attrs=attrs, quantization=quantization, zero_points=zero_points)


INT16 = (DType.INT16, DType.INT16)
#: Kinds and the exponents of their scales.
RESCALING = {"ABS": (-14, 8), "RELU": (-14, 8), "RELU6": (-14, 8), "ELU": (-12, 6)}


@pytest.mark.parametrize("kind", RESCALING)
@given(st.data(), ZERO_POINTS, ZERO_POINTS, st.booleans())
def test_rescaling_equals_tflite_micro(kind: str, data: st.DataObject, a: int, b: int, same: bool) -> None:
    x, y = data.draw(scales(*RESCALING[kind])), data.draw(scales(*RESCALING[kind]))
    assert_table_same(unary(kind, (x, x if same else y), (a, b)))


@given(scales(-10, 8), scales(-10, 8), ZERO_POINTS, ZERO_POINTS, st.floats(-3, 3, width=32))
def test_leaky_relu_equals_tflite_micro(x: float, y: float, a: int, b: int, alpha: float) -> None:
    assert_table_same(unary("LEAKY_RELU", (x, y), (a, b), LeakyReluAttrs(alpha)))


@st.composite
def int16_functions(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    kind = draw(st.sampled_from(["ABS", "LEAKY_RELU", "RELU", "RELU6"]))
    x, y = draw(scales(-14, 0)), draw(scales(-14, 0))
    attrs = LeakyReluAttrs(draw(st.floats(0, 3, width=32))) if kind == "LEAKY_RELU" else None
    quantization = (x, x if draw(st.booleans()) else y)
    builder = build(kind, (5, 9), attrs=attrs, dtypes=INT16, quantization=quantization, zero_points=(0, 0))
    return builder, draw(SEEDS)


@given(int16_functions())
def test_int16_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(scales(-14, 4), st.floats(-6, 16), ZERO_POINTS, ZERO_POINTS)
@example(x=1.0, ratio=0.4, a=-128, b=-128)
def test_hard_swish_equals_tflite_micro(x: float, ratio: float, a: int, b: int) -> None:
    assert_table_same(unary("HARD_SWISH", (x, float(np.float32(x * 2.0**ratio))), (a, b)))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (0.09100119769573212, 0.13044586777687073),
        (2.541081666946411, 13.716242790222168),
        (0.28343865275382996, 0.9119240045547485),
    ],
)
def test_hard_swish_with_a_multiplier_between_two(x: float, y: float) -> None:
    """The ratio of the scales in single precision is a tie of 16 bits, in double precision it is not."""
    assert_table_same(unary("HARD_SWISH", (x, y), (-128, -128)))


@given(scales(-26, 20), ZERO_POINTS)
def test_tanh_equals_tflite_micro(x: float, a: int) -> None:
    assert_table_same(unary("TANH", (x, 1 / 128), (a, 0)))


@given(scales(-12, 4), scales(-8, 4), ZERO_POINTS, ZERO_POINTS)
def test_rsqrt_equals_tflite_micro(x: float, y: float, a: int, b: int) -> None:
    assert_table_same(unary("RSQRT", (x, y), (a, b)), lowest=a)


def test_rsqrt_of_negative_values_is_that_of_zero() -> None:
    model, _ = unary("RSQRT", (0.1, 0.01), (5, -128)).build()
    outputs = Interpreter(model).run(np.arange(-128, 128).astype(np.int8))[0]
    assert (outputs[: 128 + 6] == 127).all()


@given(scales(-8, 4), st.integers(-6, 2), ZERO_POINTS, ZERO_POINTS)
def test_relu_n1_to_1_is_a_product_with_one_and_that_activation(x: float, y: int, a: int, b: int) -> None:
    # TFLite Micro has no RELU_N1_TO_1; its MUL has it fused, and with a power of two the same ratio in float64.
    model, _ = unary("RELU_N1_TO_1", (x, 2.0**y), (a, b)).build()
    product = ModelBuilder()
    g = product.graph()
    one = g.tensor((256,), scale=1.0, data=np.ones(256))
    g.inputs = (g.tensor((256,), scale=x, zero_point=a),)
    g.outputs = (g.tensor((256,), scale=2.0**y, zero_point=b),)
    g.op("MUL", [g.inputs[0], one], g.outputs, MulAttrs(Activation.RELU_N1_TO_1))
    values = np.arange(-128, 128).astype(np.int8)
    expected = ORACLE.run(product.build()[1], [[values]])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


@given(SHAPES, scales(-20, 12), ZERO_POINTS, SEEDS)
def test_log_softmax_equals_tflite_micro(shape: tuple[int, ...], x: float, a: int, seed: int) -> None:
    assert_same(build("LOG_SOFTMAX", shape, quantization=(x, 1 / 16), zero_points=(a, 127)), seed)


@pytest.mark.parametrize("x", [2.0**-20, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("depth", [300, 4095])
def test_log_softmax_of_long_rows(depth: int, x: float) -> None:
    assert_same(build("LOG_SOFTMAX", (2, depth), quantization=(x, 1 / 16), zero_points=(0, 127)), 1)


@given(SHAPES, ZERO_POINTS, SEEDS)
def test_l2_normalization_equals_tflite_micro(shape: tuple[int, ...], a: int, seed: int) -> None:
    builder = build("L2_NORMALIZATION", shape, attrs=L2NormAttrs(), quantization=(0.1, 1 / 128), zero_points=(a, 0))
    assert_same(builder, seed)


@pytest.mark.parametrize("values", [[0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0], [1, -1, 1], [-128, 127, 0]])
def test_l2_normalization_of_small_sums(values: list[int]) -> None:
    builder = build("L2_NORMALIZATION", (3,), attrs=L2NormAttrs(), quantization=(0.1, 1 / 128), zero_points=(0, 0))
    model, data = builder.build()
    x = np.array(values, np.int8)
    np.testing.assert_array_equal(Interpreter(model).run(x)[0], ORACLE.run(data, [[x]])[0].outputs[0])


@pytest.mark.parametrize("depth", [8000, 33025])
def test_l2_normalization_of_long_rows(depth: int) -> None:
    builder = build(
        "L2_NORMALIZATION", (1, depth), attrs=L2NormAttrs(), quantization=(0.1, 1 / 128), zero_points=(-128, 0)
    )
    assert_same(builder, 3)


#: Integer dtypes; TFLite Micro has no uint8 to uint8.
DTYPE_PAIRS = [
    (a, b)
    for a, outputs in PAIRS.items()
    for b in outputs
    if DType.FLOAT32 not in (a, b) and (a, b) != (DType.UINT8, DType.UINT8)
]


@st.composite
def quantizations(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    dtypes = draw(st.sampled_from(DTYPE_PAIRS))
    low = -30 if dtypes[0] is DType.INT32 else -16
    x, y = draw(scales(low, 8)), draw(scales(-16, 8))
    builder = build(
        "QUANTIZE",
        tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))),
        dtypes=dtypes,
        quantization=(x, x if draw(st.booleans()) else y),
        zero_points=tuple(draw(ZERO_POINTS) + (128 if d is DType.UINT8 else 0) for d in dtypes),  # type: ignore[arg-type]
    )
    return builder, draw(SEEDS)


@given(quantizations())
def test_quantize_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


CASTS = [
    (a, b) for a in (DType.INT8, DType.INT16, DType.INT32, DType.BOOL) for b in (DType.INT8, DType.INT16, DType.INT32)
]


def cast(dtypes: tuple[DType, DType], shape: tuple[int, ...]) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor(shape, dtypes[0]), g.tensor(shape, dtypes[1])
    g.op("CAST", [x], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


@pytest.mark.parametrize("dtypes", CASTS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 3, 1, 2, 4)])
def test_cast_equals_tflite_micro(dtypes: tuple[DType, DType], shape: tuple[int, ...]) -> None:
    assert_same(cast(dtypes, shape), 5)


def logical_not(shape: tuple[int, ...]) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor(shape, DType.BOOL), g.tensor(shape, DType.BOOL)
    g.op("LOGICAL_NOT", [x], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def test_logical_not_equals_tflite_micro() -> None:
    assert_same(logical_not((3, 7)), 1)


#: kind, scales, zero points -> outputs for -128, -120, ... 120 of the reference kernels of LiteRT 2.3.0, the desktop
#: TFLite, as TFLite Micro has these operators for float32 alone. SQRT stops at negative values there.
LITERT = {
    ("EXP", (0.03, 0.2), (10, -100)): (
        "-100 -100 -100 -100 -100 -100 -100 -100 -99 -99 -99 -99 -99 -98 -98 -97 "
        "-96 -95 -94 -92 -90 -88 -84 -80 -75 -68 -59 -48 -34 -16 7 36"
    ),
    ("GELU", (0.05, 0.03), (3, -115)): (
        "-115 -115 -115 -115 -115 -115 -115 -115 -115 -115 -115 -116 -117 -119 -120 "
        "-120 -117 -110 -99 -85 -70 -55 -41 -27 -13 0 13 27 40 53 67 80"
    ),
    ("LOG", (0.07, 0.05), (-110, 5)): (
        "-128 -128 -128 -12 5 14 20 25 28 32 34 37 39 41 43 44 46 47 49 50 51 52 53 54 55 56 57 58 58 59 60 61"
    ),
    ("SQRT", (0.3, 0.05), (-128, -120)): (
        "-120 -90 -77 -67 -59 -51 -45 -39 -33 -28 -23 -18 -13 -9 -5 0 3 7 11 15 18 21 25 28 31 34 37 40 43 46 49 52"
    ),
}


@pytest.mark.parametrize("case", LITERT, ids=lambda case: case[0])
def test_equals_litert(case: tuple[str, tuple[float, float], tuple[int, int]]) -> None:
    model, _ = unary(*case).build()
    outputs = Interpreter(model).run(np.arange(-128, 128).astype(np.int8))[0]
    assert outputs[::8].tolist() == [int(y) for y in LITERT[case].split()]


#: Exact functions of the real value, and how TFLite rounds them.
REAL: dict[str, tuple[Callable[[float], float], Callable[[float], int]]] = {
    "EXP": (lambda x: math.exp(min(x, 700)), _half_away),
    "GELU": (lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)), _half_away),
    "LOG": (lambda x: math.log(x) if x > 0 else -math.inf, _half_away),
    "NEG": (lambda x: -x, _half_away),
    "SQRT": (lambda x: math.sqrt(max(x, 0)), math.trunc),
}


@pytest.mark.parametrize("kind", REAL)
@given(scales(-12, 4), scales(-12, 8), ZERO_POINTS, ZERO_POINTS)
def test_of_the_real_value(kind: str, x: float, y: float, a: int, b: int) -> None:
    """Apart from quotients that float32 may put on the other side of where the rounding changes."""
    function, rounding = REAL[kind]
    model, _ = unary(kind, (x, y), (a, b)).build()
    check(model)
    outputs = Interpreter(model).run(np.arange(-128, 128).astype(np.int8))[0]
    for value, output in zip(range(-128, 128), outputs, strict=True):
        quotient = min(max(function(x * (value - a)) / y, -1e9), 1e9)
        near = {rounding(quotient * (1 + error)) for error in (-1e-6, 0, 1e-6)}
        assert int(output) in {min(max(n + b, -128), 127) for n in near}


@given(SHAPES, scales(-16, 0), SEEDS)
def test_neg_of_int16(shape: tuple[int, ...], scale: float, seed: int) -> None:
    builder = build("NEG", shape, dtypes=INT16, quantization=(scale, scale), zero_points=(0, 0))
    model, _ = builder.build()
    check(model)
    values = random_values(seed, shape, DType.INT16)
    expected = np.clip(-values.astype(np.int32), -(2**15), 2**15 - 1)
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build("ELU", (4,), dtypes=INT16), "int16"),
        (build("ABS", (4,), dtypes=INT16), "zero point -128"),
        (build("LEAKY_RELU", (4,), attrs=LeakyReluAttrs(-1.0), dtypes=INT16, zero_points=(0, 0)), "alpha -1"),
        (unary("RELU", (2.0**20, 2.0**-20), (0, 0)), "scale ratio"),
        (unary("LEAKY_RELU", (1.0, 2.0**-20), (0, 0), LeakyReluAttrs(2.0**11)), "scale ratio"),
        (unary("ELU", (2.0**12, 2.0**-12), (0, 0)), "scale ratio"),
        (unary("EXP", (1.0, 2.0**-130), (0, 0)), "output scale"),
        (build("LOG", (4,), dtypes=INT16), "int16"),
        (build("NEG", (4,), dtypes=INT16, quantization=(0.5, 0.25), zero_points=(0, 0)), "quantized differently"),
        (unary("ELU", (2.0**-130, 2.0**-130), (0, 0)), "output scale"),
        (unary("HARD_SWISH", (1.0, 2.0**-8), (0, 0)), "input scale"),
        (unary("TANH", (1.0, 1 / 256), (0, 0)), "output scale"),
        (unary("TANH", (2.0**-40, 1 / 128), (0, 0)), "input scale"),
        (unary("RSQRT", (2.0**-40, 2.0**-40), (0, 0)), "scale ratio"),
        (unary("LOG_SOFTMAX", (1.0, 1 / 16), (0, 0)), "zero point 0"),
        (build("LOG_SOFTMAX", (1, 4096), quantization=(1.0, 1 / 16), zero_points=(0, 127)), "last dimension"),
        (unary("LOG_SOFTMAX", (2.0**-27, 1 / 16), (0, 127)), "input scale"),
        (unary("L2_NORMALIZATION", (1.0, 1 / 128), (0, 1), L2NormAttrs()), "zero point 1"),
        (unary("L2_NORMALIZATION", (1.0, 1 / 128), (0, 0), L2NormAttrs(Activation.RELU)), "fused activation"),
        (build("QUANTIZE", (4,), dtypes=(DType.INT32, DType.UINT8)), "the output is uint8"),
        (cast((DType.INT8, DType.BOOL), (4,)), "the output is bool"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


@pytest.mark.parametrize(("dtypes", "distance"), [((DType.INT8, DType.INT32), 24), ((DType.INT32, DType.INT8), 0)])
def test_overlap_of_a_change_of_width(dtypes: tuple[DType, DType], distance: int) -> None:
    model, _ = cast(dtypes, (9,)).build()
    rules = operator("CAST")
    assert rules is not None
    assert rules.overlap(next(model.main.views())) == {(0, 0): distance}
