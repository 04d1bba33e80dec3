"""SOFTMAX, LOGISTIC and QUANTIZE."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compare import SEEDS, ZERO_POINTS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.softmax import SoftmaxAttrs


def build(
    kind: str,
    shape: tuple[int, ...],
    *,
    attrs: Any = None,
    dtypes: tuple[DType, DType] = (DType.INT8, DType.INT8),
    quantization: tuple[float, float] = (0.125, 1 / 256),
    zero_points: tuple[int, int] = (0, -128),
) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, dtypes[0], scale=quantization[0], zero_point=zero_points[0])
    y = g.tensor(shape, dtypes[1], scale=quantization[1], zero_point=zero_points[1])
    g.op(kind, [x], [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


def softmax_to_int16(shape: tuple[int, ...], scale: float, beta: float = 1.0) -> ModelBuilder:
    return build(
        "SOFTMAX",
        shape,
        attrs=SoftmaxAttrs(float(np.float32(beta))),
        dtypes=(DType.INT8, DType.INT16),
        quantization=(scale, 2.0**-16),
        zero_points=(0, -(2**15)),
    )


SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@given(SHAPES, scales(-20, 12), st.sampled_from([1.0, 0.5, 1.7, 10.0]), SEEDS)
def test_softmax_equals_tflite_micro(shape: tuple[int, ...], scale: float, beta: float, seed: int) -> None:
    builder = build("SOFTMAX", shape, attrs=SoftmaxAttrs(float(np.float32(beta))), quantization=(scale, 1 / 256))
    assert_same(builder, seed)


@given(SHAPES, scales(-20, 12), st.sampled_from([1.0, 0.5, 1.7, 10.0]), SEEDS)
def test_softmax_to_int16_equals_tflite_micro(shape: tuple[int, ...], scale: float, beta: float, seed: int) -> None:
    assert_same(softmax_to_int16(shape, scale, beta), seed)


@pytest.mark.parametrize("depth", [511, 512, 4095])
def test_softmax_to_int16_of_equal_values(depth: int) -> None:
    model, data = softmax_to_int16((1, depth), 0.1).build()
    values = np.full((1, depth), 77, dtype=np.int8)
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], ORACLE.run(data, [[values]])[0].outputs[0])


@pytest.mark.parametrize("depth", [511, 4095])
def test_softmax_of_long_rows(depth: int) -> None:
    assert_same(build("SOFTMAX", (2, depth), attrs=SoftmaxAttrs()), 1)


@pytest.mark.parametrize("depth", [511, 512, 4095])
def test_softmax_of_long_rows_of_equal_values(depth: int) -> None:
    # From a sum of 512 on every output rounds to 0; TFLite Micro stops there by an assertion.
    model, data = build("SOFTMAX", (1, depth), attrs=SoftmaxAttrs()).build()
    values = np.full((1, depth), 77, dtype=np.int8)
    zeros = np.full((1, depth), -128, dtype=np.int8)
    expected = ORACLE.run(data, [[values]])[0].outputs[0] if depth < 512 else zeros
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


@given(scales(-26, 20), ZERO_POINTS)
def test_logistic_equals_tflite_micro(scale: float, zero_point: int) -> None:
    model, data = build("LOGISTIC", (256,), quantization=(scale, 1 / 256), zero_points=(zero_point, -128)).build()
    values = np.arange(-128, 128).astype(np.int8)
    expected = ORACLE.run(data, [[values]])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


#: TFLite Micro has no uint8 to uint8.
PAIRS = [(DType.INT8, DType.INT8), (DType.INT8, DType.UINT8), (DType.UINT8, DType.INT8)]


@given(st.sampled_from(PAIRS), scales(-20, 12), scales(-16, 12), ZERO_POINTS, ZERO_POINTS, st.booleans())
def test_quantize_equals_tflite_micro(
    dtypes: tuple[DType, DType], a: float, b: float, zero_in: int, zero_out: int, same: bool
) -> None:
    zeros = [z + (128 if d is DType.UINT8 else 0) for z, d in zip((zero_in, zero_out), dtypes, strict=True)]
    builder = build(
        "QUANTIZE",
        (256,),
        dtypes=dtypes,
        quantization=(a, a if same else b),
        zero_points=(zeros[0], zeros[1]),
    )
    model, data = builder.build()
    info = np.iinfo(dtypes[0].numpy)
    values = np.arange(info.min, info.max + 1).astype(dtypes[0].numpy)
    expected = ORACLE.run(data, [[values]])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (build("SOFTMAX", (1, 4), attrs=SoftmaxAttrs(), quantization=(1.0, 1 / 128)), "output scale"),
        (build("SOFTMAX", (1, 4096), attrs=SoftmaxAttrs()), "a last dimension of 1 to 4095"),
        (build("SOFTMAX", (1, 4), attrs=SoftmaxAttrs(0.0)), "beta 0"),
        (build("LOGISTIC", (4,), zero_points=(0, 0)), "zero point 0"),
        (build("LOGISTIC", (4,), quantization=(2.0**-40, 1 / 256)), "input scale"),
        (build("QUANTIZE", (4,), dtypes=(DType.INT16, DType.UINT8)), "uint8"),
        (build("QUANTIZE", (4,), quantization=(2.0**20, 2.0**-20)), "scale ratio"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(builder.build()[0])
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOGISTIC", "QUANTIZE"])
def test_in_place(kind: str) -> None:
    attrs = SoftmaxAttrs() if kind == "SOFTMAX" else None
    model, _ = build(kind, (2, 5), attrs=attrs).build()
    rules = operator(kind)
    assert rules is not None
    assert rules.overlap(next(model.main.views())) == {(0, 0): 0}
