from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.batch_matmul import BatchMatmulAttrs


def build(
    x: tuple[int, ...],
    y: tuple[int, ...],
    adjoint: tuple[bool, bool] = (False, False),
    *,
    seed: int = 0,
    quantization: tuple[float, float, float] = (0.5, 0.25, 16.0),
    zero_points: tuple[int, int, int] = (0, 0, 0),
    constant: int | None = None,
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    """One BATCH_MATMUL; `constant` is the operand that is."""
    left = (*x[:-2], x[-1], x[-2]) if adjoint[0] else x
    right = (*y[:-2], y[-1], y[-2]) if adjoint[1] else y
    result = (*np.broadcast_shapes(x[:-2], y[:-2]), left[-2], right[-1])
    builder = ModelBuilder()
    g = builder.graph()
    operands = [
        g.tensor(
            shape,
            dtype,
            scale=quantization[i],
            zero_point=zero_points[i],
            data=random_values(seed + 5, shape, dtype) if constant == i else None,
        )
        for i, shape in enumerate((x, y))
    ]
    out = g.tensor(result, dtype, scale=quantization[2], zero_point=zero_points[2])
    g.op("BATCH_MATMUL", operands, [out], BatchMatmulAttrs(*adjoint))
    g.inputs, g.outputs = tuple(t for i, t in enumerate(operands) if i != constant), (out,)
    return builder


@st.composite
def products(draw: st.DrawFn, dtype: DType = DType.INT8) -> tuple[ModelBuilder, int]:
    rows, depth, columns = draw(st.integers(1, 6)), draw(st.integers(1, 20)), draw(st.integers(1, 6))
    batch = draw(st.lists(st.integers(1, 3), max_size=3))
    shapes = []
    for matrix in ((rows, depth), (depth, columns)):
        own = [n if draw(st.booleans()) else 1 for n in batch]
        shapes.append((*own[draw(st.integers(0, len(own))) :], *matrix))
    adjoint = draw(st.booleans()), draw(st.booleans())
    x, y = ((*s[:-2], s[-1], s[-2]) if a else s for s, a in zip(shapes, adjoint, strict=True))
    seed = draw(SEEDS)
    builder = build(
        x,
        y,
        adjoint,
        seed=seed,
        quantization=(draw(scales()), draw(scales()), draw(scales(-10, 14) if dtype is DType.INT8 else scales(2, 24))),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS), draw(ZERO_POINTS)) if dtype is DType.INT8 else (0, 0, 0),
        dtype=dtype,
        constant=draw(st.sampled_from([None, 1, 0])),
    )
    return builder, seed


@given(products())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@given(products(dtype=DType.INT16))
def test_int16_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zero_points": (0, 1, 0)}, "zero point 1"),
        ({"quantization": (1.0, 1.0, 2.0**-8)}, "a scale ratio is too large"),
        ({"x": (1, 2**17), "y": (2**17, 1)}, "the accumulator can reach"),
    ],
)
def test_int16_bounds(arguments: dict[str, Any], message: str) -> None:
    shapes: dict[str, Any] = {"x": (2, 3), "y": (3, 4)}
    with pytest.raises(ModelError, match=message):
        check(build(**shapes | arguments, dtype=DType.INT16).build()[0])


def test_scale_product() -> None:
    rng = np.random.default_rng(5)
    for seed in range(60):
        a, b = (float(np.float32(2.0 ** rng.uniform(-3, 3))) for _ in range(2))
        assert_same(build((24, 64), (64, 24), seed=seed, quantization=(a, b, a * b * 128)), seed)


def test_deep_accumulators() -> None:
    builder = build((2, 3000), (3000, 3), quantization=(0.5, 0.25, 8000.0), zero_points=(-128, 127, 9))
    assert_same(builder, 3)


def test_overlap() -> None:
    model, _ = build((3, 8), (8, 2)).build()
    rules = operator("BATCH_MATMUL")
    assert rules is not None
    # Row r of the left operand lives until 2 * r + 1 outputs are written; the right one until 5 are.
    assert rules.overlap(next(model.main.views())) == {(0, 0): 1, (1, 0): 4}


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((4,), (4, 2), "input 0 has shape"),
        ((2, 3), (4, 2), "3 columns times 4 rows"),
        ((2, 2, 3), (3, 3, 2), "shape mismatch"),
    ],
)
def test_refused(x: tuple[int, ...], y: tuple[int, ...], message: str) -> None:
    builder = ModelBuilder()
    g = builder.graph()
    operands = [g.tensor(shape, scale=0.5) for shape in (x, y)]
    out = g.tensor((2, 2), scale=0.5)
    g.op("BATCH_MATMUL", operands, [out], BatchMatmulAttrs())
    g.inputs, g.outputs = tuple(operands), (out,)
    with pytest.raises(ModelError, match=message):
        check(builder.build()[0])
