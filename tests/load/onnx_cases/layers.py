"""Convolutions, pooling, products, normalization, resizing and recurrent layers."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np

from tests.load.onnx_cases.case import Cases, add_case, add_node, i64, weights
from tests.support.onnx_writer import OnnxBuilder

CASES: Cases = {}


def _convolutions() -> None:
    for pads, strides, dilations in itertools.product(
        ([0] * 4, [1, 1, 1, 1], [2, 0, 1, 3]), ([1, 1], [2, 3]), ([1, 1], [2, 1])
    ):
        add_node(
            CASES,
            "Conv",
            (1, 4, 9, 10),
            weights(6, 4, 3, 2),
            weights(6),
            pads=pads,
            strides=strides,
            dilations=dilations,
        )
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        add_node(CASES, "Conv", (1, 3, 7, 8), weights(2, 3, 2, 4), auto_pad=auto, strides=[2, 2])
        add_node(CASES, "MaxPool", (1, 2, 7, 8), auto_pad=auto, kernel_shape=[2, 3], strides=[2, 2])
    add_node(CASES, "Conv", (1, 4, 6, 6), weights(8, 2, 3, 3), weights(8), group=2, pads=[1] * 4)
    add_node(CASES, "Conv", (1, 4, 6, 6), weights(8, 1, 3, 3), weights(8), group=4, pads=[0, 1, 1, 0])
    add_node(CASES, "Conv", (1, 4, 12), weights(5, 4, 3), weights(5), pads=[2, 1], strides=[2], dilations=[2])
    add_node(CASES, "Conv", (1, 4, 12), weights(4, 1, 5), group=4, pads=[2, 2])
    add_node(CASES, "Conv", (1, 1, 6, 6), weights(3, 1, 3, 3))
    for pads, strides, extra in itertools.product(
        ([0] * 4, [1, 1, 1, 1], [1, 0, 0, 2]), ([1, 1], [2, 3]), ([0, 0], [0, 1])
    ):
        if all(e < s for e, s in zip(extra, strides, strict=True)):
            add_node(
                CASES,
                "ConvTranspose",
                (1, 3, 4, 5),
                weights(3, 2, 3, 3),
                weights(2),
                pads=pads,
                strides=strides,
                output_padding=extra,
            )
    add_node(CASES, "ConvTranspose", (1, 3, 7), weights(3, 2, 4), weights(2), pads=[1, 1], strides=[2])
    add_node(CASES, "ConvTranspose", (1, 2, 4, 4), weights(2, 2, 3, 2), dilations=[2, 1], strides=[1, 2])
    add_node(CASES, "ConvTranspose", (1, 4, 4, 4), weights(4, 3, 3, 3), weights(6), group=2, strides=[2, 2])
    add_node(CASES, "ConvTranspose", (1, 4, 5), weights(4, 1, 3), group=4, pads=[1, 1])
    add_node(CASES, "ConvTranspose", (1, 2, 4, 4), weights(2, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    add_node(CASES, "ConvTranspose", (1, 2, 4, 4), weights(2, 2, 3, 3), output_shape=[8, 9], strides=[2, 2])


def _pools() -> None:
    for kind, pads, ceil in itertools.product(
        ("MaxPool", "AveragePool"), ([0] * 4, [1, 1, 1, 1], [0, 1, 2, 1]), (0, 1)
    ):
        add_node(CASES, kind, (1, 2, 8, 9), pads=pads, strides=[2, 2], kernel_shape=[3, 3], ceil_mode=ceil)
    for pads, ceil in itertools.product(([1, 1, 1, 1], [0, 1, 2, 1]), (0, 1)):
        add_node(
            CASES,
            "AveragePool",
            (1, 2, 8, 9),
            pads=pads,
            strides=[2, 1],
            kernel_shape=[3, 3],
            ceil_mode=ceil,
            count_include_pad=1,
        )
    add_node(CASES, "MaxPool", (1, 3, 11), kernel_shape=[3], strides=[2], pads=[1, 1])
    add_node(CASES, "AveragePool", (1, 3, 11), kernel_shape=[4], strides=[3], pads=[1, 2])
    add_node(CASES, "MaxPool", (1, 1, 4, 4), kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    for kind in ("GlobalAveragePool", "GlobalMaxPool"):
        add_node(CASES, kind, (1, 3, 4, 5))
        add_node(CASES, kind, (1, 3, 7))

    def after_relu(b: OnnxBuilder) -> Any:
        return b.node(
            "MaxPool", b.node("Relu", b.input((1, 2, 6, 6))), kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]
        )

    add_case(CASES, "MaxPool after Relu", after_relu)


def _products() -> None:
    for a, b in itertools.product((0, 1), repeat=2):
        x, y = ((4, 3) if a else (3, 4)), ((5, 4) if b else (4, 5))
        add_node(CASES, "Gemm", x, weights(*y), weights(5), transA=a, transB=b, alpha=0.5, beta=2.0)
    add_node(CASES, "Gemm", (1, 4), weights(4, 5), label="no C")
    add_node(CASES, "Gemm", (3, 4), weights(4, 5), weights(3, 1), label="C per row")
    add_node(CASES, "Gemm", (3, 4), weights(4, 5), weights(1), label="C single")
    add_node(CASES, "Gemm", (5, 4), weights(4, 5), weights(5, 1), label="C per row, as many as columns")
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((1, 2, 3, 4), (4, 5)),
    ]
    for shape, w in pairs:
        add_node(CASES, "MatMul", shape, weights(*w), label=f"by {list(w)}")

    def two(b: OnnxBuilder) -> Any:
        return b.node("MatMul", b.input((1, 2, 3, 4)), b.input((1, 2, 4, 5)))

    def constant_first(b: OnnxBuilder) -> Any:
        return b.node("MatMul", b.constant(weights(5, 3)), b.input((2, 3, 4)))

    def gemm(b: OnnxBuilder) -> Any:
        return b.node("Gemm", b.input((2, 3)), b.input((5, 3)), b.input((5,)), transB=1, alpha=2.0)

    add_case(CASES, "MatMul of two inputs", two)
    add_case(CASES, "MatMul constant first", constant_first)

    def gemm_of_constants(b: OnnxBuilder) -> Any:
        return b.node("Gemm", b.constant(weights(2, 3)), b.constant(weights(3, 4)), b.input((4,)), beta=2.0)

    add_case(CASES, "Gemm of inputs", gemm)
    add_case(CASES, "Gemm of constants, C computed", gemm_of_constants)


def _normalization() -> None:
    def batch_norm(b: OnnxBuilder, shape: tuple[int, ...] = (1, 3, 4, 5)) -> Any:
        statistics = [weights(3), weights(3), weights(3), np.abs(weights(3)) + 0.1]
        return b.node("BatchNormalization", b.input(shape), *[b.constant(s) for s in statistics], epsilon=1e-3)

    for shape in ((1, 3, 4, 5), (1, 3, 7), (2, 3)):
        add_case(CASES, f"BatchNormalization {list(shape)}", partial(batch_norm, shape=shape))
    for shape, axis, size in (((2, 3, 4), -1, (4,)), ((2, 3, 4), 1, (3, 4))):
        add_node(CASES, "LayerNormalization", shape, weights(*size), weights(*size), axis=axis, epsilon=1e-3)
    add_node(CASES, "InstanceNormalization", (1, 3, 4, 5), weights(3), weights(3))
    add_node(CASES, "GroupNormalization", (1, 4, 3, 5), weights(4), weights(4), opset=21, num_groups=2)
    add_node(CASES, "LpNormalization", (2, 5), axis=-1, p=2)
    for kind in ("Softmax", "LogSoftmax"):
        add_node(CASES, kind, (2, 3, 4), axis=-1)
        add_node(CASES, kind, (2, 3, 4), axis=1)
        add_node(CASES, kind, (2, 3, 4), axis=1, opset=11)
        add_node(CASES, kind, (2, 3, 4), axis=2, opset=11)


def _resizes() -> None:
    coordinates = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    for kind, rounding in itertools.product(coordinates, ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")):
        for sizes in ((8, 10), (6, 5), (2, 3)):
            add_node(
                CASES,
                "Resize",
                (1, 2, 4, 5),
                None,
                None,
                i64(1, 2, *sizes),
                label=f"nearest {kind} {rounding} {sizes}",
                coordinate_transformation_mode=kind,
                nearest_mode=rounding,
            )
    for kind, sizes in itertools.product(coordinates, ((8, 10), (7, 5), (2, 3))):
        add_node(
            CASES,
            "Resize",
            (1, 2, 4, 5),
            None,
            None,
            i64(1, 2, *sizes),
            label=f"linear {kind} {sizes}",
            mode="linear",
            coordinate_transformation_mode=kind,
        )
    add_node(CASES, "Resize", (1, 2, 4, 5), None, np.array([1, 1, 2, 3], np.float32), label="scales")
    add_node(CASES, "Resize", (1, 2, 5), None, np.array([1, 1, 2], np.float32), label="one dimension")
    add_node(
        CASES, "Resize", (1, 2, 5), None, np.array([1, 1, 2], np.float32), mode="linear", label="one dimension linear"
    )


def _recurrent() -> None:
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        for direction, initial, before in itertools.product(
            ("forward", "reverse", "bidirectional"), (False, True), (0, 1)
        ):
            if kind == "LSTM" and before:
                continue

            def make(
                b: OnnxBuilder,
                kind: str = kind,
                gates: int = gates,
                way: str = direction,
                initial: bool = initial,
                before: int = before,
            ) -> Any:
                d, units = (2 if way == "bidirectional" else 1), 3
                operands = [
                    b.input((4, 1, 2)),
                    b.constant(weights(d, gates * units, 2)),
                    b.constant(weights(d, gates * units, units)),
                ]
                operands.append(b.constant(weights(d, 2 * gates * units)))
                if initial:
                    operands += ["", *[b.input((d, 1, units)) for _ in range(2 if kind == "LSTM" else 1)]]
                extra: dict[str, Any] = {"linear_before_reset": before} if kind == "GRU" else {}
                return b.node(
                    kind, *operands, outputs=3 if kind == "LSTM" else 2, hidden_size=units, direction=way, **extra
                )

            add_case(CASES, f"{kind} {direction}, initial {initial}, linear_before_reset {before}", make, 14)

    def no_bias(b: OnnxBuilder) -> Any:
        return b.node(
            "LSTM",
            b.input((2, 1, 2)),
            b.constant(weights(1, 12, 2)),
            b.constant(weights(1, 12, 3)),
            outputs=2,
            hidden_size=3,
        )

    add_case(CASES, "LSTM without bias", no_bias, 14)


for _add in (_convolutions, _pools, _products, _normalization, _resizes, _recurrent):
    _add()
