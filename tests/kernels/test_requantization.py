"""to_requant.h against gemmlowp's own formulas: every shift, every rounding edge."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kernels import oracle
from tests.kernels.conftest import UBSAN
from tests.kernels.harness import STRICT, Array
from tinyops.kernels import kernel
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier

PROBE = """
#include "to_requant.h"
void requantize(const int32_t *x, int32_t n, int32_t multiplier, int32_t shift, int32_t *out);
void requantize(const int32_t *x, int32_t n, int32_t multiplier, int32_t shift, int32_t *out) {
    for (int32_t i = 0; i < n; i++) {
        out[i] = to_requantize(x[i], multiplier, shift);
    }
}
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("requantize")
    source, library = folder / "probe.c", folder / "probe.so"
    source.write_text(PROBE)
    include: Path = kernel("to_mean_any_s8_c").files[-1].parent
    command = ["gcc", *STRICT, *UBSAN, f"-I{include}", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def _accumulators(shift: int) -> Array:
    """Both ends of int32, around 0, ties of the right shift and their neighbours, and random values."""
    rng = np.random.default_rng(shift + 31)
    ties = (2 * np.arange(-20, 20) + 1) << max(0, -shift)
    near = np.concatenate([centre + np.arange(-3, 4) for centre in (*ties.tolist(), 0, -(2**31) + 3, 2**31 - 4)])
    near = near[(near >= -(2**31)) & (near < 2**31)]
    return np.concatenate([near, rng.integers(-(2**31), 2**31, 200), rng.integers(-(2**20), 2**20, 200)]).astype(
        np.int32
    )


@pytest.mark.parametrize("shift", range(-31, 31))
def test_requantize(probe: ctypes.CDLL, shift: int) -> None:
    x = _accumulators(shift)
    out = np.zeros_like(x)
    pointer = ctypes.POINTER(ctypes.c_int32)
    for multiplier in (0, 1, 2**30, 2**30 + 1, 1518500250, 2**31 - 2, 2**31 - 1):
        probe.requantize(x.ctypes.data_as(pointer), len(x), multiplier, shift, out.ctypes.data_as(pointer))
        assert np.array_equal(out, oracle.requantize(x, multiplier, shift))
        assert np.array_equal(out, multiply_by_quantized_multiplier(x, multiplier, shift))
