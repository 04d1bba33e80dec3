"""Lowered float32 operators, run by the C kernels, agree with their references, overlapping their inputs, too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.harness import Array, Kernels
from tests.kernels.test_operators import Bench, verify
from tests.ops import test_comparison, test_float, test_unary
from tests.ops import test_float_operators as operators
from tests.ops.test_elementwise import SHAPES, build
from tests.support.compare import SEEDS, assert_agree
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.interpreter import Interpreter
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


@pytest.mark.parametrize("kind", operators.CASES)
@given(data=st.data())
def test_more_operators(c: Kernels, kind: str, data: st.DataObject) -> None:
    verify(c, *data.draw(operators.CASES[kind]))


@pytest.mark.parametrize("kind", ["svdf", "lstm_hidden"])
@given(data=st.data())
def test_operators_with_states(c: Kernels, kind: str, data: st.DataObject) -> None:
    verify(c, *data.draw(operators.STATEFUL[kind][0]))


@pytest.mark.parametrize("kind", operators.UNARY)
@given(shape=SHAPES, seed=SEEDS)
def test_more_functions(c: Kernels, kind: str, shape: tuple[int, ...], seed: int) -> None:
    verify(c, operators.unary(kind, shape), seed)


@pytest.mark.parametrize("approximate", [False, True])
@given(shape=SHAPES, seed=SEEDS)
def test_gelu(c: Kernels, approximate: bool, shape: tuple[int, ...], seed: int) -> None:
    verify(c, operators.gelu(shape, approximate), seed)


@given(operators.pairs("POW"))
def test_pow(c: Kernels, case: tuple[ModelBuilder, int]) -> None:
    verify(c, *case)


@pytest.mark.parametrize("dtypes", operators.CASTS)
def test_cast(c: Kernels, dtypes: tuple[DType, DType]) -> None:
    verify(c, test_unary.cast(dtypes, (5, 7)), 1)


def special(c: Kernels, builder: ModelBuilder, *values: Array) -> None:
    """The kernel agrees with the reference for these inputs; UBSan watches it."""
    model, _ = builder.build()
    view = next(model.main.views())
    (call,) = Bench(view, dict.fromkeys(range(len(model.main.tensors)), 0)).calls()
    result = view.output()
    got = c.run(call.kernel, call.params, list(values), (result.elements, result.dtype.numpy))
    assert_agree(got, Interpreter(model).run(*values)[0].reshape(-1), view.kind)


#: GREATER and GREATER_EQUAL are LESS and LESS_EQUAL with exchanged operands.
UNSWAPPED = [kind for kind in test_comparison.KINDS if not kind.startswith("GREATER")]
FUNCTIONS = [kind for kind in operators.UNARY if kind not in ("L2_NORMALIZATION", "LOG_SOFTMAX")]


@pytest.mark.parametrize("kind", [*FUNCTIONS, "GELU", "CAST"])
def test_functions_of_special_values(c: Kernels, kind: str) -> None:
    values = operators.SPECIAL
    if kind == "CAST":
        for dtype in (DType.INT8, DType.INT16, DType.INT32):
            special(c, test_unary.cast((DType.FLOAT32, dtype), values.shape), values)
    elif kind == "GELU":
        for approximate in (False, True):
            special(c, operators.gelu(values.shape, approximate), values)
    else:
        special(c, operators.unary(kind, values.shape), values)


@pytest.mark.parametrize("kind", [*operators.BINARY, *UNSWAPPED, "POW"])
def test_pairs_of_special_values(c: Kernels, kind: str) -> None:
    a, b = (np.ascontiguousarray(x) for x in np.meshgrid(operators.SPECIAL, operators.SPECIAL))
    attributes = operators.BINARY.get(kind)
    builder = operators.pair(kind, (a.shape, b.shape), attributes and attributes())
    special(c, builder, a, b)


@pytest.mark.parametrize("kind", ["REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN"])
def test_extremes_of_special_values(c: Kernels, kind: str) -> None:
    builder, rows = operators.extremes_of_special_values(kind)
    special(c, builder, rows)
