"""Lowered float32 operators, run by the C kernels, agree with their references, overlapping their inputs, too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.harness import Array, Kernels
from tests.kernels.test_operators import verify
from tests.ops import test_float
from tests.ops.test_elementwise import SHAPES, build
from tests.support.compare import SEEDS
from tests.support.tflite_writer import ModelBuilder
from tinyops.ops.softmax import SoftmaxAttrs


@pytest.mark.parametrize("kind", test_float.CASES)
@given(data=st.data())
def test_operators(c: Kernels, kind: str, data: st.DataObject) -> None:
    verify(c, *data.draw(test_float.CASES[kind]))


@given(test_float.conversions())
def test_conversions(c: Kernels, case: tuple[ModelBuilder, int]) -> None:
    verify(c, *case)


@pytest.mark.parametrize("kind", test_float.UNARY)
@given(shape=SHAPES, seed=SEEDS)
def test_functions(c: Kernels, kind: str, shape: tuple[int, ...], seed: int) -> None:
    verify(c, test_float.unary(kind, shape), seed)


@given(SHAPES, st.sampled_from([1.0, 0.5, 3.0]), SEEDS)
def test_softmax(c: Kernels, shape: tuple[int, ...], beta: float, seed: int) -> None:
    verify(c, test_float.as_float(build("SOFTMAX", shape, attrs=SoftmaxAttrs(beta)), 0), seed)


@pytest.mark.parametrize("scale", [[0.02], [0.02, 0.0005]])
def test_hybrid(c: Kernels, scale: list[float]) -> None:
    verify(c, test_float.hybrid(scale), 1)


def quantize(c: Kernels, values: Array, size: int, low: int, high: int) -> Array:
    params = {"n": values.size, "scale": 0.5, "zero_point": -7, "low": low, "high": high, "output_size": size}
    return c.run("to_quantize_any_f32_c", params, [values], (values.size, f"i{size}"))


@pytest.mark.parametrize(("size", "low", "high"), [(1, -128, 127), (2, -32768, 32767)])
def test_quantize_is_defined_everywhere(c: Kernels, size: int, low: int, high: int) -> None:
    """UBSan sees a conversion of what no integer holds."""
    values = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 0.25, -0.25, 1e-45, 0.24999999], np.float32)
    expected = [high, low, low, high, low, -6, -8, -7, -7]
    assert quantize(c, values, size, low, high).tolist() == expected


@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_activation_keeps_nan(c: Kernels, values: list[float]) -> None:
    x = np.array(values, np.float32)
    got = c.run("to_clamp_any_f32_c", {"n": x.size, "low": 0.0, "high": 6.0}, [x], (x.size, np.float32))
    np.testing.assert_array_equal(got, np.clip(x, 0, 6))
