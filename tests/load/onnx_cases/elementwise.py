"""Elementwise operators, reductions, movement and constants."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from onnx import TensorProto

from tests.load.onnx_cases.case import Cases, add_case, add_node, i64, weights
from tests.support.onnx_writer import OnnxBuilder

CASES: Cases = {}


def _elementwise() -> None:
    for kind in ("Add", "Sub", "Mul", "Div"):
        for other in ((), (1,), (3, 1, 1), (1, 3, 2, 4), (2, 1, 3, 1, 1)):
            add_node(CASES, kind, (1, 3, 2, 4), np.abs(weights(*other)) + 0.5, label=f"by {list(other)}")

        def first(b: OnnxBuilder, kind: str = kind) -> Any:
            return b.node(kind, b.constant(weights(3, 1, 1)), b.node("Exp", b.input((1, 3, 2, 4))))

        def both(b: OnnxBuilder, kind: str = kind) -> Any:
            return b.node(kind, b.input((1, 3, 2, 4)), b.node("Exp", b.input((3, 1, 4))))

        add_case(CASES, f"{kind} constant first", first)
        add_case(CASES, f"{kind} of inputs", both)
    for kind in ("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Floor", "Ceil", "HardSwish", "Identity", "Dropout"):
        add_node(CASES, kind, (1, 3, 4))
    for kind in ("Sin", "Cos", "Round", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "LeakyRelu"):
        add_node(CASES, kind, (2, 5))
    add_node(CASES, "Mish", (2, 5), opset=18)
    add_node(CASES, "Gelu", (2, 5), opset=20)
    add_node(CASES, "Gelu", (2, 5), opset=20, approximate="tanh")
    add_node(CASES, "Elu", (2, 5), alpha=0.3)
    add_node(CASES, "LeakyRelu", (2, 5), alpha=0.25)
    add_node(CASES, "HardSigmoid", (2, 5), alpha=1 / 6, beta=0.5)
    add_node(CASES, "PRelu", (1, 3, 4, 2), weights(3, 1, 1))
    add_node(CASES, "PRelu", (1, 3, 4, 2), weights(1), label="one slope")
    for low, high in ((0, 6), (0, None), (-1, 1), (-0.5, 0.75), (None, 0.5)):
        bounds = [None if v is None else np.array(v, np.float32) for v in (low, high)]
        add_node(CASES, "Clip", (2, 6), *bounds, label=f"{low} to {high}")
    for kind in ("Log", "Sqrt", "Reciprocal"):

        def positive(b: OnnxBuilder, kind: str = kind) -> Any:
            return b.node(kind, b.node("Exp", b.input((2, 5))))

        add_case(CASES, f"{kind} of positive numbers", positive)
    for exponent in (0.5, 1.0, 2.0, 3.0, 7.0, 1.5):

        def power(b: OnnxBuilder, exponent: float = exponent) -> Any:
            return b.node("Pow", b.node("Exp", b.input((2, 5))), b.constant(exponent, np.float32))

        add_case(CASES, f"Pow {exponent}", power)
    for kind in ("Min", "Max", "Sum", "Mean"):

        def three(b: OnnxBuilder, kind: str = kind) -> Any:
            return b.node(kind, b.input((2, 3)), b.constant(weights(3)), b.input((2, 1)))

        add_case(CASES, f"{kind} of three", three)

    def by_root(b: OnnxBuilder) -> Any:
        root = b.node("Sqrt", b.node("Exp", b.input((2, 3))))
        one = b.constant(1.0, np.float32)
        return b.node(
            "Add",
            b.node("Div", b.input((2, 3)), root),
            b.node("Add", b.node("Div", one, root), b.node("Reciprocal", root)),
        )

    add_case(CASES, "Div by Sqrt", by_root)

    def chosen(b: OnnxBuilder) -> Any:
        x, y = b.input((2, 3)), b.input((1, 3))
        where = b.node("Where", b.node("Greater", x, y), x, b.node("Neg", y))
        return b.node("Add", where, b.node("Cast", b.node("LessOrEqual", x, y), to=TensorProto.FLOAT))

    add_case(CASES, "Where at run time", chosen)


def _gelus() -> None:
    """All orders in which the factors of a GELU may stand."""
    for order, divide in itertools.product(range(4), (False, True)):

        def gelu(b: OnnxBuilder, order: int = order, divide: bool = divide) -> Any:
            x = b.input((2, 5))
            half, one = b.constant(0.5, np.float32), b.constant(1.0, np.float32)
            scale = b.constant(2**0.5 if divide else 0.5**0.5, np.float32)
            erf = b.node("Erf", b.node("Div" if divide else "Mul", x, scale))
            total = b.node("Add", one, erf) if divide else b.node("Add", erf, one)
            if order == 0:
                return b.node("Mul", b.node("Mul", x, half), total)
            if order == 1:
                return b.node("Mul", half, b.node("Mul", x, total))
            if order == 2:
                return b.node("Mul", x, b.node("Mul", half, total))
            return b.node("Mul", b.node("Mul", total, x), half)

        add_case(CASES, f"GELU in order {order}, divided {divide}", gelu)
    for order in range(4):

        def approximation(b: OnnxBuilder, order: int = order) -> Any:
            x = b.node("Exp", b.input((2, 5)))
            half, one, cubic, scale = (b.constant(v, np.float32) for v in (0.5, 1.0, 0.044715, (2 / np.pi) ** 0.5))
            if order % 2:
                cube = b.node("Mul", b.node("Pow", x, b.constant(3.0, np.float32)), cubic)
                tanh = b.node("Tanh", b.node("Mul", b.node("Add", x, cube), scale))
            else:
                square = b.node("Mul", cubic, b.node("Mul", x, x))
                tanh = b.node("Tanh", b.node("Mul", b.node("Mul", scale, x), b.node("Add", one, square)))
            total = b.node("Add", tanh, one)
            if order < 2:
                return b.node("Mul", b.node("Mul", x, half), total)
            return b.node("Mul", x, b.node("Mul", total, half))

        add_case(CASES, f"GELU by tanh in order {order}", approximation)
    for order in range(3):

        def swish(b: OnnxBuilder, order: int = order) -> Any:
            x = b.input((2, 5))
            three, six = b.constant(3.0, np.float32), b.constant(6.0, np.float32)
            clipped = b.node("Clip", b.node("Add", x, three), b.constant(0.0, np.float32), six)
            if order == 0:
                return b.node("Div", b.node("Mul", x, clipped), six)
            if order == 1:
                return b.node("Mul", x, b.node("Div", clipped, six))
            return b.node("Mul", b.node("HardSigmoid", x, alpha=1 / 6, beta=0.5), x)

        add_case(CASES, f"hard swish in order {order}", swish)


def _reductions() -> None:
    for kind in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"):
        add_node(CASES, kind, (1, 3, 4, 5), i64(2, 3), opset=18, keepdims=1)
        add_node(CASES, kind, (1, 3, 4, 5), i64(1, -1), opset=18, keepdims=0)
        if kind != "ReduceSum":
            add_node(CASES, kind, (1, 3, 4, 5), axes=[2, 3], keepdims=0, opset=13)
        add_node(CASES, kind, (2, 3), opset=18, label="all")
    add_node(CASES, "ReduceSum", (2, 3, 4), axes=[1], opset=11)
    for kind in ("ArgMax", "ArgMin"):
        add_node(CASES, kind, (2, 5), axis=1, keepdims=0)
        add_node(CASES, kind, (1, 3, 4), axis=1)


def _movement() -> None:
    x = (1, 4, 6, 3)
    add_node(CASES, "Transpose", x, perm=[0, 3, 1, 2])
    add_node(CASES, "Transpose", (2, 3), label="reversed")
    add_node(CASES, "Reshape", x, i64(0, -1, 2), label="0 -1 2")
    add_node(CASES, "Flatten", x, axis=2)
    add_node(CASES, "Flatten", x, axis=-1)
    add_node(CASES, "Squeeze", (1, 3, 1), i64(0))
    add_node(CASES, "Squeeze", (1, 3, 1), label="all")
    add_node(CASES, "Squeeze", (1, 3, 1), axes=[2], opset=11)
    add_node(CASES, "Unsqueeze", (2, 3), i64(0, -1))
    add_node(CASES, "Unsqueeze", (2, 3), axes=[1], opset=11)
    add_node(CASES, "Expand", (1, 3, 1), i64(2, 1, 4))
    add_node(CASES, "Tile", (1, 3, 2), i64(2, 1, 3))
    add_node(CASES, "Slice", x, i64(1, -3), i64(3, 100), i64(1, 2), label="two axes")
    add_node(CASES, "Slice", x, i64(5), i64(-100), i64(2), i64(-2), label="backwards")
    add_node(CASES, "Slice", x, i64(0, 1), i64(4, 6), i64(1, 2), i64(2, 2), label="steps")
    add_node(CASES, "Gather", x, i64(3, 0, -1), axis=1)
    add_node(CASES, "Gather", x, np.array(2, np.int64), axis=2)
    add_node(CASES, "Gather", x, np.array([[1, 2], [2, 1]], np.int64), axis=1, label="two dimensions")
    add_node(CASES, "DepthToSpace", (1, 8, 2, 3), blocksize=2)
    add_node(CASES, "DepthToSpace", (1, 8, 2, 3), blocksize=2, mode="CRD")
    add_node(CASES, "SpaceToDepth", (1, 2, 4, 6), blocksize=2)
    for mode in ("constant", "reflect", "edge"):
        add_node(CASES, "Pad", (1, 2, 4, 5), i64(0, 0, 1, 2, 0, 0, 2, 1), mode=mode)
    add_node(CASES, "Pad", (2, 5), i64(0, -1, 1, 2), np.array(1.5, np.float32), label="value, negative")
    for count, sizes in ((2, None), (2, i64(1, 3)), (3, i64(1, 1, 2))):

        def split(b: OnnxBuilder, count: int = count, sizes: Any = sizes) -> Any:
            parts = b.node("Split", b.input(x), *([] if sizes is None else [b.constant(sizes)]), outputs=count, axis=1)
            return b.node("Concat", *reversed(parts), axis=1)

        add_case(CASES, f"Split in {count} of {sizes} and Concat", split)

    def old_split(b: OnnxBuilder) -> Any:
        return b.node("Concat", *reversed(b.node("Split", b.input(x), outputs=2, axis=2, split=[2, 4])), axis=2)

    def uneven(b: OnnxBuilder) -> Any:
        return b.node("Split", b.input((1, 5)), outputs=2, axis=1, num_outputs=2)[0]

    add_case(CASES, "Split of opset 11", old_split, 11)
    add_case(CASES, "Split unevenly", uneven, 18)

    def embedding(b: OnnxBuilder) -> Any:
        return b.node("Gather", b.constant(weights(7, 4)), b.input((1, 3), TensorProto.INT64))

    add_case(CASES, "Gather at computed indices", embedding)

    def labels(b: OnnxBuilder) -> Any:
        best = b.node("ArgMax", b.input((1, 3)), axis=1)
        return b.node("ArrayFeatureExtractor", b.constant([3, 5, 9], np.int64), best, domain="ai.onnx.ml")

    add_case(CASES, "ArrayFeatureExtractor", labels)


def _constants() -> None:
    """Shapes and other constants are computed while importing."""

    def reshaped(b: OnnxBuilder) -> Any:
        x = b.input((1, 2, 3, 4))
        shape = b.node("Shape", x)
        n = b.node("Unsqueeze", b.node("Gather", shape, b.constant(0, np.int64)), b.constant([0]))
        rest = b.node("Slice", shape, b.constant([1]), b.constant([3]))
        product = b.node("ReduceProd", rest, keepdims=1, axes=[0])
        product = b.node("Cast", b.node("Cast", product, to=TensorProto.FLOAT), to=TensorProto.INT64)
        minus = b.node("Neg", b.node("Div", b.constant([3]), b.constant([2])))
        wanted = b.node("Concat", b.node("Mul", n, b.constant([2])), minus, product, axis=0)
        x = b.node("Concat", x, x, axis=3)
        return b.node("Reshape", x, wanted)

    def filled(b: OnnxBuilder) -> Any:
        x = b.input((2, 3))
        shape = b.node("Shape", x)
        zeros = b.node("ConstantOfShape", shape)
        index = b.node("Cast", b.node("Range", b.constant(0), b.constant(3), b.constant(1)), to=TensorProto.FLOAT)
        mask = b.node("Not", b.node("Less", index, b.constant(1.0, np.float32)))
        chosen = b.node("Where", mask, b.node("Add", zeros, index), b.constant(0.5, np.float32))
        size = b.node("Cast", b.node("Size", x), to=TensorProto.FLOAT)
        even = b.node("Mod", b.node("CumSum", b.constant([1, 2, 3]), b.constant(0)), b.constant([2]))
        places = b.node("Cast", b.node("Squeeze", b.node("NonZero", even)), to=TensorProto.FLOAT)
        total = b.node("Mul", b.node("Add", chosen, size), b.node("CastLike", even, x))
        return b.node("Add", b.node("Mul", x, total), b.node("ReduceSum", places))

    def masked(b: OnnxBuilder) -> Any:
        keep = b.node(
            "And", b.constant(np.tri(3) > 0), b.node("Or", b.constant([True, True, False]), b.constant([True]))
        )
        same = b.node("Equal", b.constant(1), b.constant(1))
        keep = b.node("And", keep, b.node("And", same, b.node("GreaterOrEqual", b.constant(2), b.constant(1))))
        keep = b.node(
            "And",
            keep,
            b.node(
                "And",
                b.node("Greater", b.constant(2), b.constant(1)),
                b.node("LessOrEqual", b.constant(1), b.constant(1)),
            ),
        )
        scores = b.node("Where", keep, b.input((2, 3, 3)), b.constant(-np.inf, np.float32))
        weights = b.node("Softmax", scores, axis=-1)
        return b.node("Where", b.node("IsNaN", weights), b.constant(0.0, np.float32), weights)

    def added_mask(b: OnnxBuilder) -> Any:
        mask = b.constant(np.where(np.tri(3) > 0, 0, -np.inf), np.float32)
        scores = b.node("Add", b.input((2, 3, 3)), mask)
        low = b.node("Min", scores, b.constant(np.inf, np.float32))
        return b.node("Softmax", low, axis=-1)

    def constant_nodes(b: OnnxBuilder) -> Any:
        x = b.node("Mul", b.input((2, 3)), b.node("Constant", value_floats=[1.0, 2.0, 3.0]))
        return b.node(
            "Add",
            x,
            b.node("Where", b.node("IsInf", x), b.constant(1.0, np.float32), b.node("Constant", value_float=2.0)),
        )

    def drawn(b: OnnxBuilder) -> Any:
        lower = b.node("Trilu", b.constant(np.ones((3, 3)), np.float32), b.constant(-1), upper=0)
        upper = b.node("Trilu", lower)
        places, values = b.constant([[0, 1], [2, -1]]), b.constant([5, 6], np.float32)
        rows = b.node("ScatterND", upper, b.constant([[1]]), b.constant([[7, 8, 9]], np.float32))
        return b.node("Add", b.node("Sub", b.input((3, 3)), lower), b.node("ScatterND", rows, places, values))

    add_case(CASES, "Trilu and ScatterND", drawn)
    add_case(CASES, "Shape to Reshape", reshaped)
    add_case(CASES, "ConstantOfShape, Range, Where, Mod, CumSum, NonZero", filled, 15)
    add_case(CASES, "mask of attention", masked)
    add_case(CASES, "mask of attention, added", added_mask)
    add_case(CASES, "Constant", constant_nodes)


for _add in (_elementwise, _gelus, _reductions, _movement, _constants):
    _add()
