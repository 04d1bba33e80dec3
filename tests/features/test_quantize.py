"""From frames to stored values: NumPy and C against the exact formula."""

from __future__ import annotations

import ctypes
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels import harness
from tinyops.emit.c.library import _environment
from tinyops.errors import ModelError
from tinyops.features import FeatureQuantization
from tinyops.graph import DType, Quantization, Tensor

Array = np.ndarray[Any, Any]

_UNIT = Fraction(10, 256)
_SCALES = [26 / 255, 0.1, 10 / 256, 20 / 256, 40 / 256, 0.01, 3.0, 1e-3, 1e-7, 1e4]
_LIBRARY = """{% import "features_config.j2" as c %}
#include <stdint.h>
{{ c.stored(q, frame_ctype, stored_ctype) }}
void quantize(const {{ frame_ctype }} *frames, long count, {{ stored_ctype }} *values);
void quantize(const {{ frame_ctype }} *frames, long count, {{ stored_ctype }} *values)
{
    for (long i = 0; i < count; i++) {
        values[i] = stored(frames[i]);
    }
}
"""


def _input(scale: float, zero_point: int, dtype: DType = DType.INT8) -> Tensor:
    return Tensor("x", dtype, (1, 3, 40), Quantization((float(np.float32(scale)),), (zero_point,)))


def _exact(frames: Array, ratio: Fraction, found: FeatureQuantization) -> list[int]:
    """Python rounds ties to even, as the definition does."""
    low, high = found.limits
    return [min(max(round(int(frame) * ratio + found.zero_point), low), high) for frame in frames.ravel()]


def _in_c(found: FeatureQuantization, frames: Array, folder: Path) -> Array:
    ctype = _environment().filters["dtype_ctype"]
    types = {"frame_ctype": ctype(frames.dtype), "stored_ctype": ctype(found.dtype.numpy)}
    (folder / "q.c").write_text(_environment().from_string(_LIBRARY).render(q=found, **types))
    strict = [*harness.STRICT, "-O2", "-Wshadow", "-pedantic", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *strict, "-shared", "-fPIC", "-o", str(folder / "q.so"), str(folder / "q.c")], check=True)
    values = np.zeros(frames.shape, found.dtype.numpy)
    library = ctypes.CDLL(str(folder / "q.so"))
    library.quantize(
        frames.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(frames.size), values.ctypes.data_as(ctypes.c_void_p)
    )
    return values


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8])
@pytest.mark.parametrize("scale", _SCALES[:8])
@pytest.mark.parametrize("offset", [0, 1, 77])
def test_every_feature_is_quantized_as_pymicro_wakeword_does(scale: float, offset: int, dtype: DType) -> None:
    """Ties (of 20 / 256, 40 / 256 and 3) go to even."""
    scale, low = float(np.float32(scale)), int(np.iinfo(dtype.numpy).min)
    found = FeatureQuantization.of(_UNIT, _input(scale, low + offset, dtype))
    values = np.arange(1 << 16, dtype=np.uint16)
    real = np.clip(np.round(values * 0.0390625 / scale + low + offset), low, low + 255).astype(dtype.numpy)
    assert np.array_equal(found.apply(values), real)


def _frames(dtype: Any) -> Array:
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, info.min // 2, info.max // 2, info.max - 1, info.max]
    rng = np.random.default_rng(1)
    parts = [rng.integers(max(info.min, -(2**bits)), min(info.max, 2**bits), 400) for bits in (3, 8, 15, 20, 31)]
    return np.concatenate([np.array(ends), *parts]).astype(dtype)


@pytest.mark.parametrize("frames", [np.uint16, np.int16, np.int32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.INT16])
@pytest.mark.parametrize("scale", _SCALES)
def test_c_and_numpy_are_exact(scale: float, dtype: DType, frames: Any, tmp_path: Path) -> None:
    tensor = _input(scale, 0 if dtype is DType.INT16 else int(np.iinfo(dtype.numpy).min) + 9, dtype)
    found, values = FeatureQuantization.of(_UNIT, tensor), _frames(frames)
    ratio = Fraction(found.numerator, found.denominator)
    assert abs(float(ratio * Fraction(tensor.scale) / _UNIT) - 1) < 2**-30
    expected = _exact(values, ratio, found)
    assert found.apply(values).ravel().tolist() == expected
    assert _in_c(found, values, tmp_path).tolist() == expected


@pytest.mark.parametrize("frames", [np.uint16, np.int32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("unit", [_UNIT, Fraction(1, 65536), Fraction(1, 3)])
def test_float32(unit: Fraction, frames: Any, tmp_path: Path) -> None:
    found, values = FeatureQuantization.of(unit, Tensor("x", DType.FLOAT32, (1, 4))), _frames(frames)
    expected = values.astype(np.float32) * np.float32(float(unit))
    assert found.apply(values).dtype == np.float32
    assert np.array_equal(found.apply(values), expected)
    assert np.array_equal(_in_c(found, values, tmp_path), expected)


@settings(max_examples=200, deadline=None)
@given(
    unit=st.fractions(Fraction(1, 10**6), 1000, max_denominator=10**6),
    scale=st.floats(2**-20, 2**10, width=32),
    frame=st.integers(-(2**31), 2**31 - 1),
)
def test_any_scale(unit: Fraction, scale: float, frame: int) -> None:
    """The nearest fraction moves a value by less than a hundredth of a step of 8 bits, and of most 16-bit ones."""
    found = FeatureQuantization.of(unit, _input(scale, -3))
    exact = frame * unit / Fraction(float(np.float32(scale))) - 3
    value = int(found.apply(np.array([frame], np.int32))[0])
    if -128 <= exact <= 127:
        assert abs(value - exact) <= Fraction(1, 2) + Fraction(1, 100)
    else:
        assert value in ((-128, -127) if exact < 0 else (127, 126))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("x", DType.INT32, (1, 40), Quantization((0.1,), (0,))), "dtype int32"),
        (Tensor("x", DType.INT8, (1, 40)), "dtype int8, not quantized"),
        (_input(1e-20, 0), "scale"),
        (_input(1e20, 0), "scale"),
    ],
)
def test_other_inputs_are_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        FeatureQuantization.of(_UNIT, tensor)
