"""float32 operators, conversions from and to float32; compared with a tolerance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.cases.case import Case
from tests.ops import (
    test_add,
    test_batch_matmul,
    test_binary,
    test_comparison,
    test_conv_2d,
    test_fully_connected,
    test_mean,
    test_pool,
    test_reduction,
    test_resize,
    test_svdf,
    test_transpose_conv,
    test_unary,
    test_unidirectional_sequence_lstm,
)
from tests.ops import test_float as floats
from tests.ops import test_float_operators as more
from tests.ops.test_elementwise import build
from tests.ops.test_movement import concatenation, pad, reshape, strided_slice
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation, Padding
from tinyops.ops.batch_matmul import BatchMatmulAttrs
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.depthwise_conv_2d import DepthwiseConv2DAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.mul import MulAttrs
from tinyops.ops.pool import Pool2DAttrs
from tinyops.ops.reduction import ReducerAttrs
from tinyops.ops.softmax import SoftmaxAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs
from tinyops.ops.sub import SubAttrs
from tinyops.ops.transpose_conv import TransposeConvAttrs

_FLOAT = DType.FLOAT32


def _case(name: str, builder: ModelBuilder, seed: int = 1) -> Case:
    return Case(f"float_{name}", floats.as_float(builder, seed).build()[1])


def cases() -> Iterator[Case]:
    yield from _products()
    yield from _elementwise()
    yield from _windows()
    yield from _movements()
    yield from _conversions()
    yield from _functions()
    yield from _matrices()
    yield from _reductions()
    yield from _states()
    yield Case("float_attention", _attention(6, 8, 2).build()[1])


def _products() -> Iterator[Case]:
    convolutions = (
        ((1, 6, 5, 3), (4, 3, 3, 3), Conv2DAttrs(Padding.SAME, 1, 2, Activation.RELU)),
        ((2, 7, 7, 4), (6, 1, 1, 4), Conv2DAttrs(Padding.VALID, 1, 1, Activation.RELU6)),
        ((1, 8, 9, 4), (4, 3, 2, 2), Conv2DAttrs(Padding.VALID, 2, 1, dilation_w_factor=2, dilation_h_factor=3)),
    )
    for k, (image, weights, attrs) in enumerate(convolutions):
        bias = "none" if k == 1 else "small"
        yield _case(f"conv_2d_{k}", test_conv_2d.build(image, weights, attrs, bias=bias))
    depthwise = (
        ((1, 6, 5, 3), (1, 3, 3, 3), DepthwiseConv2DAttrs(Padding.SAME, 1, 1)),
        ((1, 7, 8, 2), (1, 2, 3, 6), DepthwiseConv2DAttrs(Padding.VALID, 2, 2, 3, Activation.RELU6)),
    )
    for k, (image, weights, channel_attrs) in enumerate(depthwise):
        yield _case(f"depthwise_conv_2d_{k}", test_conv_2d.build(image, weights, channel_attrs))
    for k, (rows, units, depth) in enumerate(((1, 10, 33), (3, 4, 7), (2, 1, 1))):
        yield _case(f"fully_connected_{k}", test_fully_connected.build((rows, depth), units, depth))


def _elementwise() -> Iterator[Case]:
    pairs = (((1, 3, 4, 5), (1, 3, 4, 5)), ((2, 3, 5), (5,)), ((4, 1, 3), (1, 5, 3)))
    for k, shapes in enumerate(pairs):
        activation = list(Activation)[k]
        yield _case(f"add_{k}", test_add.build(*shapes, activation=activation))
        yield _case(f"sub_{k}", test_binary.build("SUB", shapes, attrs=SubAttrs(activation)))
        yield _case(f"mul_{k}", test_binary.build("MUL", shapes, attrs=MulAttrs(activation)))
    for kind in floats.UNARY:
        if kind != "RELU_N1_TO_1":
            yield _case(kind.lower(), build(kind, (2, 3, 7)))
    for k, (shape, beta) in enumerate((((1, 10), 1.0), ((2, 3, 7), 0.5))):
        yield _case(f"softmax_{k}", build("SOFTMAX", shape, attrs=SoftmaxAttrs(beta)))


def _windows() -> Iterator[Case]:
    windows = (
        ((1, 6, 6, 3), Pool2DAttrs(Padding.VALID, 2, 2, 2, 2)),
        ((2, 5, 7, 2), Pool2DAttrs(Padding.SAME, 1, 2, 3, 3, Activation.RELU)),
    )
    for k, (image, attrs) in enumerate(windows):
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield _case(f"{kind.lower()}_{k}", test_pool.build(kind, image, attrs))
        yield Case(f"float_l2_pool_2d_{k}", more.l2_pool(image, attrs).build()[1])
    yield _case("mean_0", test_mean.build((1, 4, 5, 6), [1, 2], keep=True))
    yield _case("mean_1", test_mean.build((2, 3, 5), [-1], keep=False))


def _movements() -> Iterator[Case]:
    yield _case("reshape", reshape((2, 6), (3, 4), _FLOAT))
    yield _case("pad", pad((1, 3, 2), [(0, 0), (1, 0), (0, 2)], _FLOAT))
    yield _case("concatenation", concatenation([(2, 3), (2, 1)], 1, _FLOAT))
    yield _case("strided_slice", strided_slice((4, 5), [0, 1], [4, 5], [2, 2], StridedSliceAttrs(), _FLOAT))


def _conversions() -> Iterator[Case]:
    for dtype, zero_point in ((DType.INT8, -9), (DType.INT16, 0)):
        builder = floats.quantization((3, 11), dtype, 0.03, zero_point)
        yield Case(f"quantize_float_{dtype}", builder.build()[1])
    for dtype, zero_point in ((DType.INT8, -9), (DType.UINT8, 131), (DType.INT16, 0)):
        yield Case(
            f"dequantize_{dtype}", floats.dequantization((3, 11), dtype, float(np.float32(0.03)), zero_point).build()[1]
        )


def _of_positive(kind: str, shape: tuple[int, ...]) -> ModelBuilder:
    """`kind` after SQUARE: of negative numbers it is none."""
    builder = ModelBuilder()
    g = builder.graph()
    x, square, y = (g.tensor(shape, _FLOAT) for _ in range(3))
    g.op("SQUARE", [x], [square])
    g.op(kind, [square], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def _functions() -> Iterator[Case]:
    for kind in more.UNARY:
        for k, shape in enumerate(((2, 3, 7), (1, 4, 5, 6), (11,))):
            positive = kind in ("LOG", "RSQRT", "SQRT")
            builder = _of_positive(kind, shape) if positive else more.unary(kind, shape)
            yield Case(f"float_{kind.lower()}_{k}", builder.build()[1])
    for k, approximate in enumerate((False, True)):
        yield Case(f"float_gelu_{k}", more.gelu((3, 17), approximate).build()[1], numpy=True)
    pairs = (((1, 3, 4, 5), (1, 3, 4, 5)), ((2, 3, 5), (5,)), ((4, 1, 3), (1, 5, 3)))
    for kind in (*more.BINARY, *test_comparison.KINDS):
        attributes = more.BINARY.get(kind)
        for k, shapes in enumerate(pairs):
            if kind == "PRELU" and k == 2:
                shapes = ((4, 5, 3), (1, 5, 3))
            builder = more.pair(kind, shapes, attributes and attributes(list(Activation)[k]))
            yield Case(f"float_{kind.lower()}_{k}", builder.build()[1])
    yield Case("float_pow", more.pair("POW", ((3, 4, 5), (5,))).build()[1], numpy=True)
    for kind in more.MASKS:
        yield Case(f"float_infinite_{kind.lower()}", more.masked(kind).build()[1])
    for k, shapes3 in enumerate((((3, 4), (3, 4), (3, 4)), ((2, 1, 3), (4, 1), (2, 4, 3)), ((1,), (5, 2), (2,)))):
        yield _case(f"select_{k}", test_comparison.select(shapes3))


def _matrices() -> Iterator[Case]:
    products = (
        ((4, 7), (7, 3), (False, False)),
        ((2, 1, 7, 4), (3, 7, 5), (True, False)),
        ((3, 5), (6, 5), (False, True)),
    )
    for k, (x, y, adjoint) in enumerate(products):
        yield _case(f"batch_matmul_{k}", test_batch_matmul.build(x, y, adjoint, constant=1 if k == 2 else None))
    for k, bias in enumerate((False, True)):
        yield Case(f"float_fully_connected_computed_{k}", more.computed_layer(2, 3, 5, bias).build()[1])
    transposed = (
        ((1, 6, 6), (4, 3, 3, 5), TransposeConvAttrs(Padding.SAME, 2, 2, Activation.RELU)),
        ((2, 7, 8), (3, 2, 4, 2), TransposeConvAttrs(Padding.VALID, 1, 3)),
        ((1, 9, 5), (1, 1, 2, 7), TransposeConvAttrs(Padding.VALID, 3, 2)),
    )
    for k, (output, weights, attrs) in enumerate(transposed):
        yield _case(f"transpose_conv_{k}", test_transpose_conv.build(output, weights, attrs, bias=None if k else 5))
    resizes = (
        ((1, 4, 5, 3), (8, 10), test_resize.PLAIN),
        ((2, 7, 3, 2), (5, 11), test_resize.CENTERS),
        ((1, 3, 6, 1), (10, 4), test_resize.CORNERS),
    )
    for k, (shape, size, resize_attrs) in enumerate(resizes):
        yield _case(f"resize_bilinear_{k}", test_resize.resize("RESIZE_BILINEAR", shape, size, resize_attrs))


def _reductions() -> Iterator[Case]:
    shapes: tuple[tuple[tuple[int, ...], list[int]], ...] = (
        ((1, 4, 5, 6), [1, 2]),
        ((2, 3, 5), [-1]),
        ((4, 3, 2), [0, 2]),
    )
    for k, (shape, axes) in enumerate(shapes):
        for kind in ("SUM", "REDUCE_MAX", "REDUCE_MIN"):
            yield _case(f"{kind.lower()}_{k}", test_reduction.reduce(kind, shape, axes, keep=k == 0))
        for kind in ("ARG_MAX", "ARG_MIN"):
            yield _case(f"{kind.lower()}_{k}", test_reduction.position(kind, shape, axes[0]))
        yield Case(f"float_cumsum_{k}", more.cumsum(shape, axes[0], k == 1, k == 2).build()[1])
        yield Case(f"float_add_n_{k}", more.add_n(shape, k + 2).build()[1])
    for given, result in more.CASTS:
        yield Case(f"float_cast_{given}_{result}", test_unary.cast((given, result), (3, 7)).build()[1])


def _states() -> Iterator[Case]:
    for k, sizes in enumerate(((1, 4, 3, 1, 5), (2, 7, 2, 3, 4), (1, 9, 5, 2, 1))):
        yield _case(f"svdf_{k}", test_svdf.build(*sizes))
    lstm = test_unidirectional_sequence_lstm.build
    yield _case("lstm_0", lstm(1, 4, 5, 6))
    yield _case("lstm_1", lstm(3, 2, 4, 7, time_major=True))
    yield _case("lstm_2", lstm(2, 5, 3, 2, clip=0.5))


def _attention(steps: int, width: int, heads: int) -> ModelBuilder:
    """Layer normalization, self-attention of several heads, residual connection; as exporters write them."""
    builder, rng = ModelBuilder(), np.random.default_rng(3)
    g = builder.graph()

    def tensor(*shape: int) -> int:
        return g.tensor(shape, _FLOAT)

    def constant(*shape: int) -> int:
        return g.tensor(shape, _FLOAT, data=rng.normal(0, 0.5, shape))

    def apply(kind: str, inputs: list[int], shape: tuple[int, ...], attrs: object = None) -> int:
        y = tensor(*shape)
        g.op(kind, inputs, [y], attrs)
        return y

    x, axis, whole = tensor(1, steps, width), g.constant([2]), (1, steps, width)
    mean = apply("MEAN", [x, axis], (1, steps, 1), ReducerAttrs(True))
    square = apply("SQUARED_DIFFERENCE", [x, mean], whole)
    variance = apply("MEAN", [square, axis], (1, steps, 1), ReducerAttrs(True))
    epsilon = g.tensor((1,), _FLOAT, data=[1e-5])
    scale = apply("RSQRT", [apply("ADD", [variance, epsilon], (1, steps, 1), AddAttrs())], (1, steps, 1))
    normal = apply("MUL", [apply("SUB", [x, mean], whole, SubAttrs()), scale], whole, MulAttrs())
    parts, split = [], (1, steps, heads, width // heads)
    order = g.constant([0, 2, 1, 3])
    for _ in range(3):
        dense = apply(
            "FULLY_CONNECTED",
            [normal, constant(width, width), constant(width)],
            whole,
            FullyConnectedAttrs(keep_num_dims=True),
        )
        rows = apply("RESHAPE", [dense, g.constant(split)], split)
        parts.append(apply("TRANSPOSE", [rows, order], (1, heads, steps, width // heads)))
    query, key, value = parts
    scores = apply("BATCH_MATMUL", [query, key], (1, heads, steps, steps), BatchMatmulAttrs(adj_y=True))
    weights = apply("SOFTMAX", [scores], (1, heads, steps, steps), SoftmaxAttrs())
    mixed = apply("BATCH_MATMUL", [weights, value], (1, heads, steps, width // heads), BatchMatmulAttrs())
    joined = apply("RESHAPE", [apply("TRANSPOSE", [mixed, order], split), g.constant(whole)], whole)
    y = apply("ADD", [x, joined], whole, AddAttrs())
    g.inputs, g.outputs = (x,), (y,)
    return builder
