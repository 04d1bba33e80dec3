"""Elementwise functions, comparisons, reductions, softmaxes and pooling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.cases.case import Case
from tests.ops import test_add, test_binary, test_comparison, test_mean, test_pool, test_reduction
from tests.ops import test_unary as unary
from tests.ops.test_elementwise import build, softmax_to_int16
from tests.support.compare import random_values
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.base import Activation, Padding
from tinyops.ops.div import DivAttrs
from tinyops.ops.l2_normalization import L2NormAttrs
from tinyops.ops.leaky_relu import LeakyReluAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.sub import SubAttrs

_SHAPES: tuple[tuple[int, ...], ...] = ((7,), (1, 3, 5, 2), (2, 9, 1, 3, 2))
#: Shapes of two operands: alike, a channel, a scalar, a row and a column, different ranks.
_PAIRS: tuple[test_binary.Shapes, ...] = (
    ((1, 3, 4, 5), (1, 3, 4, 5)),
    ((2, 3, 4, 5), (5,)),
    ((1, 7, 3), (1,)),
    ((4, 1, 3), (1, 5, 3)),
    ((2, 3), (3, 2, 1)),
)
#: kind -> (scales of input and output, zero points), three each.
_UNARY: dict[str, tuple[tuple[tuple[float, float], tuple[int, int]], ...]] = {
    "ABS": (((0.1, 0.1), (0, 0)), ((0.1, 0.07), (-5, -128)), ((0.02, 0.3), (127, 10))),
    "ELU": (((0.05, 0.03), (3, -90)), ((0.5, 0.1), (0, -118)), ((0.004, 0.004), (-128, -128))),
    "HARD_SWISH": (((0.05, 0.03), (3, -115)), ((0.4, 0.2), (0, -126)), ((0.01, 0.02), (-9, 11))),
    "LOGISTIC": (((0.05, 1 / 256), (3, -128)), ((0.3, 1 / 256), (-128, -128)), ((0.004, 1 / 256), (9, -128))),
    "RELU": (((0.1, 0.1), (0, 0)), ((0.1, 0.05), (-5, -128)), ((0.02, 0.3), (127, 10))),
    "RELU6": (((0.05, 0.05), (-4, -4)), ((0.1, 0.1), (-128, -128)), ((0.01, 0.01), (20, 20))),
    "RSQRT": (((0.1, 0.01), (-128, -128)), ((0.7, 0.02), (-128, -100)), ((0.01, 0.1), (-128, 5))),
    "TANH": (((0.05, 1 / 128), (3, 0)), ((0.3, 1 / 128), (-128, 0)), ((0.004, 1 / 128), (9, 0))),
}


#: Those that TFLite Micro has no int8 kernel for.
_UNARY_NUMPY: dict[str, tuple[tuple[tuple[float, float], tuple[int, int]], ...]] = {
    "EXP": (((0.03, 0.2), (10, -100)), ((0.02, 0.05), (100, -128)), ((0.004, 0.01), (0, -70))),
    "GELU": (((0.05, 0.03), (3, -115)), ((0.02, 0.02), (0, -120)), ((0.004, 0.004), (-50, -60))),
    "LOG": (((0.07, 0.05), (-110, 5)), ((0.3, 0.03), (-128, 0)), ((0.004, 0.03), (-128, 100))),
    "NEG": (((0.1, 0.1), (0, 0)), ((0.1, 0.07), (-5, 30)), ((0.02, 0.3), (127, -128))),
    "RELU_N1_TO_1": (((0.01, 0.01), (0, 0)), ((0.05, 0.01), (-5, 3)), ((0.02, 0.3), (127, 10))),
    "SQRT": (((0.3, 0.05), (-128, -120)), ((0.1, 0.02), (0, -128)), ((0.004, 0.01), (-100, 0))),
}


def _case(name: str, builder: ModelBuilder) -> Case:
    return Case(name, builder.build()[1])


def _numpy(name: str, builder: ModelBuilder) -> Case:
    return Case(name, builder.build()[1], numpy=True)


def cases() -> Iterator[Case]:
    yield from _functions()
    yield from _conversions()
    yield from _binary()
    yield from _logic()
    yield from _rows()
    yield from _reductions()
    yield from _pools()


def _functions() -> Iterator[Case]:
    for kind, variants in _UNARY.items():
        for k, (quantization, zero_points) in enumerate(variants):
            builder = build(kind, _SHAPES[k], quantization=quantization, zero_points=zero_points)
            yield _case(f"{kind.lower()}_{k}", builder)
    for k, alpha in enumerate((0.1, 1.5, -0.3)):
        attrs = LeakyReluAttrs(alpha)
        builder = build("LEAKY_RELU", _SHAPES[k], attrs=attrs, quantization=(0.1, 0.07), zero_points=(k - 9, 4 * k))
        yield _case(f"leaky_relu_{k}", builder)
    for kind in ("ABS", "LEAKY_RELU", "RELU", "RELU6"):
        slope = LeakyReluAttrs(0.3) if kind == "LEAKY_RELU" else None
        builder = build(kind, (3, 11), attrs=slope, dtypes=unary.INT16, quantization=(4e-4, 3e-4), zero_points=(0, 0))
        yield _case(f"{kind.lower()}_int16", builder)
    for kind, variants in _UNARY_NUMPY.items():
        for k, (quantization, zero_points) in enumerate(variants):
            builder = build(kind, _SHAPES[k], quantization=quantization, zero_points=zero_points)
            yield _numpy(f"{kind.lower()}_{k}", builder)
    for kind in ("NEG", "RELU_N1_TO_1"):
        scales = (1e-4, 1e-4 if kind == "NEG" else 3e-5)
        builder = build(kind, (3, 11), dtypes=unary.INT16, quantization=scales, zero_points=(0, 0))
        yield _numpy(f"{kind.lower()}_int16", builder)
    for k, shape in enumerate(_SHAPES):
        yield _case(f"logical_not_{k}", unary.logical_not(shape))


def _conversions() -> Iterator[Case]:
    for a, b in unary.DTYPE_PAIRS:
        zeros = tuple({DType.UINT8: 131, DType.INT8: -7}.get(dtype, 0) for dtype in (a, b))
        builder = build("QUANTIZE", (3, 11), dtypes=(a, b), quantization=(0.03, 0.05), zero_points=(zeros[0], zeros[1]))
        yield _case(f"quantize_{a}_{b}", builder)
    for a, b in unary.CASTS:
        yield _case(f"cast_{a}_{b}", unary.cast((a, b), (5, 7)))
    yield _numpy("cast_uint8_float32", unary.cast((DType.UINT8, DType.FLOAT32), (5, 7)))


def _binary() -> Iterator[Case]:
    for k, shapes in enumerate(_PAIRS):
        activation = list(Activation)[k % 4]
        zeros = (k - 9, 10 - 3 * k, 5 * k)
        attributes: dict[str, Any] = {
            "SUB": SubAttrs(activation),
            "MUL": MulAttrs(activation),
            "SQUARED_DIFFERENCE": None,
            "MINIMUM": None,
            "MAXIMUM": None,
        }
        for kind, attrs in attributes.items():
            quantization = (0.05, 0.05 if kind in ("MINIMUM", "MAXIMUM") else 0.03, 0.05)
            builder = test_binary.build(kind, shapes, attrs=attrs, quantization=quantization, zero_points=zeros)
            yield _case(f"{kind.lower()}_{k}", builder)
            if k in (1, 2):
                constants = {1: random_values(k, shapes[1], DType.INT8)}
                builder = test_binary.build(
                    kind, shapes, attrs=attrs, quantization=quantization, zero_points=zeros, constants=constants
                )
                yield _case(f"{kind.lower()}_constant_{k}", builder)
            if k == 3:
                dtypes = (DType.INT16, DType.INT16, DType.INT16)
                builder = test_binary.build(kind, shapes, attrs=attrs, dtypes=dtypes, quantization=(2e-4, 1e-4, 3e-4))
                yield _case(f"{kind.lower()}_int16", builder)
        yield _case(
            f"add_{k}",
            test_add.build(*shapes, activation=activation, quantization=(0.05, 0.03, 0.07), zero_points=zeros),
        )
    for kind in test_binary.INTEGER:
        attrs = test_binary.INTEGER[kind]
        divisors = {1: [[-7], [3], [1], [1000], [2**31 - 1]]} if "DIV" in kind or "MOD" in kind else None
        builder = test_binary.build(
            kind,
            ((4, 1, 3), (1, 5, 1)),
            attrs=attrs and attrs(),
            dtypes=test_binary.INT32,
            quantization=None,
            constants=divisors,
        )
        yield Case(f"{kind.lower()}_int32", builder.build()[1], numpy=kind.startswith("FLOOR"))
    yield _case("add_int16", test_add.build((4, 1, 3), (1, 5, 3), quantization=(2e-4, 1e-4, 3e-4), dtype=DType.INT16))
    yield _case("add_constant", test_add.build((2, 5), (1,), constant=True))
    for k, shapes in enumerate((((1, 3, 4, 5), (5,)), ((2, 3, 5), (3, 5)), ((3, 4), (1,)))):
        zeros, constants = (2 * k, 3 * k, -k), {1: random_values(k, shapes[1], DType.INT8)}
        builder = test_binary.build(
            "PRELU", shapes, quantization=(0.05, 0.01, 0.04), zero_points=zeros, constants=constants
        )
        yield _case(f"prelu_{k}", builder)
    for k, divisor in enumerate((9, -128, 100)):
        zeros = (0, -3, 5 * k)
        builder = test_binary.build(
            "DIV",
            (_SHAPES[k], (1,)),
            attrs=DivAttrs(list(Activation)[k]),
            quantization=(0.5, 0.02, 0.01),
            zero_points=zeros,
            constants={1: divisor},
        )
        yield _case(f"div_{k}", builder)
    builder = test_binary.build(
        "DIV",
        ((3, 4, 5), (5,)),
        attrs=DivAttrs(),
        quantization=(0.5, 0.02, 0.5),
        zero_points=(4, -3, 7),
        constants={1: [1, -128, 127, 60, -4]},
    )
    yield _case("div_per_channel", builder)
    builder = test_binary.build("DIV", ((3, 4), (3, 4)), attrs=DivAttrs(), quantization=(0.5, 0.02, 0.5))
    yield _numpy("div_computed", builder)


def _logic() -> Iterator[Case]:
    for k, shapes in enumerate(_PAIRS):
        for kind in test_comparison.KINDS:
            if k < 3:
                builder = test_binary.build(
                    kind,
                    shapes,
                    dtypes=(DType.INT8, DType.INT8, DType.BOOL),
                    quantization=(0.05, 0.03, 1.0),
                    zero_points=(k, -9, 0),
                    constants={1: 40 * k - 30} if k == 2 else None,
                )
                yield _case(f"{kind.lower()}_{k}", builder)
            elif k == 3:
                dtypes = (DType.INT32, DType.INT32, DType.BOOL)
                builder = test_binary.build(kind, shapes, dtypes=dtypes, quantization=None)
                yield _case(f"{kind.lower()}_int32", builder)
        for kind in ("LOGICAL_AND", "LOGICAL_OR"):
            builder = test_binary.build(kind, shapes, dtypes=test_comparison.BOOLS, quantization=None)
            yield _case(f"{kind.lower()}_{k}", builder)
    selections = (((3, 5), (3, 5), (3, 5)), ((3, 1), (3, 4), (1,)), ((2, 1, 4), (1,), (3, 1)))
    for k, operands in enumerate(selections):
        if k == 0:
            yield _numpy("select", test_comparison.select(operands, kind="SELECT"))
        yield _case(f"select_v2_{k}", test_comparison.select(operands))
        yield _case(f"select_v2_int16_{k}", test_comparison.select(operands, DType.INT16))


def _rows() -> Iterator[Case]:
    for k, (shape, scale) in enumerate((((1, 10), 0.2), ((2, 3, 7), 0.03), ((5, 1), 1.0), ((1, 300), 0.01))):
        beta = (1.0, 0.5)[k % 2]
        builder = build("SOFTMAX", shape, attrs=SoftmaxAttrs(beta), quantization=(scale, 1 / 256))
        yield _case(f"softmax_{k}", builder)
        yield _case(f"softmax_to_int16_{k}", softmax_to_int16(shape, scale, beta))
        builder = build("LOG_SOFTMAX", shape, quantization=(scale, 1 / 16), zero_points=(3 * k, 127))
        yield _case(f"log_softmax_{k}", builder)
        attrs = L2NormAttrs()
        builder = build("L2_NORMALIZATION", shape, attrs=attrs, quantization=(scale, 1 / 128), zero_points=(7 * k, 0))
        yield _case(f"l2_normalization_{k}", builder)


def _reductions() -> Iterator[Case]:
    variants = (((1, 4, 5, 6), [1, 2], True), ((2, 3, 5), [-1], False), ((3, 4, 2), [0], False), ((7, 3), [0, 1], True))
    for k, (shape, axes, keep) in enumerate(variants):
        zeros = (k - 5, 6 * k)
        mean = test_mean.build(shape, axes, keep=keep, quantization=(0.05, 0.02), zero_points=zeros)
        yield _case(f"mean_{k}", mean)
        total = test_reduction.reduce("SUM", shape, axes, keep=keep, quantization=(0.05, 0.2), zero_points=zeros)
        yield _case(f"sum_{k}", total)
        if k < 2:
            for kind in ("MEAN", "SUM"):
                wide = test_reduction.reduce(kind, shape, axes, keep=keep, quantization=(5e-4, 2e-3), dtype=DType.INT16)
                yield _case(f"{kind.lower()}_int16_{k}", wide)
        truth = test_reduction.reduce("REDUCE_ALL", shape, axes, keep=keep, dtype=DType.BOOL)
        yield _case(f"reduce_all_{k}", truth)
        for kind in ("REDUCE_MAX", "REDUCE_MIN"):
            yield _case(f"{kind.lower()}_{k}", test_reduction.reduce(kind, shape, axes, keep=keep))
        for kind in ("ARG_MAX", "ARG_MIN"):
            yield _case(f"{kind.lower()}_{k}", test_reduction.position(kind, shape, axes[-1]))


def _pools() -> Iterator[Case]:
    variants = (
        ((1, 6, 6, 3), Pool2DAttrs(Padding.VALID, 2, 2, 2, 2)),
        ((2, 5, 7, 2), Pool2DAttrs(Padding.SAME, 1, 2, 3, 3, Activation.RELU)),
        ((1, 9, 4, 1), Pool2DAttrs(Padding.SAME, 3, 1, 2, 5, Activation.RELU6)),
    )
    for k, (image, attrs) in enumerate(variants):
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield _case(
                f"{kind.lower()}_{k}", test_pool.build(kind, image, attrs, zero_points=(10 * k - 9, 10 * k - 9))
            )
