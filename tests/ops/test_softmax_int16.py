from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.test_elementwise import build
from tests.support.compare import SEEDS, assert_same, scales
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.ops import check
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.softmax import SoftmaxAttrs


def softmax(
    shape: tuple[int, ...], scale: float, beta: float = 1.0, output: tuple[float, int] = (2.0**-15, 0)
) -> ModelBuilder:
    return build(
        "SOFTMAX",
        shape,
        attrs=SoftmaxAttrs(float(np.float32(beta))),
        dtypes=(DType.INT16, DType.INT16),
        quantization=(scale, output[0]),
        zero_points=(0, output[1]),
    )


@st.composite
def softmaxes(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    return softmax(shape, draw(scales(-20, -2)), draw(st.sampled_from([1.0, 0.5, 1.7, 10.0]))), draw(SEEDS)


@given(softmaxes())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("scale", [10 / 65535, 0.00005])
def test_every_difference_equals_tflite_micro(scale: float) -> None:
    """A row of the largest value and one other: all entries of both tables, interpolated."""
    model, data = softmax((2**16, 2), scale).build()
    values = np.stack([np.full(2**16, 2**15 - 1), np.arange(-(2**15), 2**15)], axis=1).astype(np.int16)
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], ORACLE.run(data, [[values]])[0].outputs[0])


@pytest.mark.parametrize("depth", [3, 700, 5000])
def test_depths(depth: int) -> None:
    assert_same(softmax((2, depth), 0.00001), 1)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (softmax((1, 4), 0.001, output=(2.0**-14, 0)), "output scale"),
        (softmax((1, 4), 0.001, output=(2.0**-15, 3)), "zero points 0 and 3"),
        (softmax((1, 4), 6.0), "beta 1 with input scale 6"),
    ],
)
def test_refused(builder: ModelBuilder, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check(builder.build()[0])
