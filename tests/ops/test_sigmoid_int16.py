"""LOGISTIC and TANH of int16 by interpolation in a table."""

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

KINDS = ("LOGISTIC", "TANH")


def sigmoid(kind: str, scale: float, n: int, output: tuple[float, int] = (2.0**-15, 0)) -> ModelBuilder:
    dtypes = (DType.INT16, DType.INT16)
    return build(kind, (n,), dtypes=dtypes, quantization=(scale, output[0]), zero_points=(0, output[1]))


@st.composite
def sigmoids(draw: st.DrawFn) -> tuple[ModelBuilder, int]:
    scale = draw(st.one_of(scales(-40, 1), st.floats(0.999, 1.001).map(lambda x: float(np.float32(2.0**-12 * x)))))
    return sigmoid(draw(st.sampled_from(KINDS)), scale, draw(st.integers(1, 300))), draw(SEEDS)


@given(sigmoids())
def test_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same(*case)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 2.0**-13, 0.0003, 1.3])
def test_every_input_equals_tflite_micro(kind: str, scale: float) -> None:
    model, data = sigmoid(kind, scale, 2**16).build()
    values = np.arange(-(2**15), 2**15).astype(np.int16)
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], ORACLE.run(data, [[values]])[0].outputs[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("scale", "output", "message"),
    [
        (1.0, (2.0**-14, 0), "output scale"),
        (1.0, (2.0**-15, 1), "zero point 1"),
        (2.7, (2.0**-15, 0), "input scale 2.7"),
    ],
)
def test_refused(kind: str, scale: float, output: tuple[float, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check(sigmoid(kind, scale, 4, output).build()[0])
