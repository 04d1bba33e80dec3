"""Libraries with float32 outputs: linked with libm where needed, compared with a tolerance that can fail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ops.test_elementwise import build
from tests.ops.test_float import unary
from tests.support.tflite_writer import ModelBuilder
from tinyops.emit.c import emit_library
from tinyops.emit.files import write_files
from tinyops.emit.golden import Golden, make_golden
from tinyops.graph import DType
from tinyops.lower import lower
from tinyops.passes import run_passes

Array = np.ndarray[Any, Any]
_FLAGS = "-O2 -Werror -Wshadow -Wstrict-prototypes -Wsign-conversion -pedantic"


def _run(
    builder: ModelBuilder, folder: Path, outputs: Callable[[Array], Array], layout: str = "plain"
) -> subprocess.CompletedProcess[str]:
    """The library's own test, with golden outputs changed by `outputs`."""
    model = run_passes(builder.build()[0])
    golden = make_golden(model)
    changed = tuple(tuple(map(outputs, step)) for step in golden.outputs)
    write_files(folder, emit_library(lower(model, name="net"), Golden(golden.inputs, changed), layout))
    command = ["make", "-C", str(folder), "test", f"CFLAGS={_FLAGS}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _test(kind: str, folder: Path, error: float, layout: str = "plain") -> subprocess.CompletedProcess[str]:
    """With golden outputs that are off by `error`."""
    return _run(unary(kind, (2, 3)), folder, lambda output: output + np.float32(error), layout)


@pytest.mark.parametrize("layout", ["plain", "make"])
@pytest.mark.parametrize(("kind", "libm"), [("TANH", True), ("RELU", False)])
def test_passes_within_the_tolerance(kind: str, libm: bool, layout: str, tmp_path: Path) -> None:
    done = _test(kind, tmp_path, 5e-6, layout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "net: 4 invocations, 0 mismatching values: passed" in done.stdout
    assert (" -lm" in done.stdout) is libm


def test_fails_beyond_the_tolerance(tmp_path: Path) -> None:
    done = _test("TANH", tmp_path, 2e-5)
    assert done.returncode != 0
    assert "net: 4 invocations, 24 mismatching values: FAILED" in done.stdout


def test_numbers_that_c_has_no_literal_for(tmp_path: Path) -> None:
    """Logarithms, of negative numbers among others."""
    done = _run(build("LOG", (2, 3), dtypes=(DType.FLOAT32, DType.FLOAT32)), tmp_path, lambda output: output)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "net: 4 invocations, 0 mismatching values: passed" in done.stdout
    assert "NAN" in (tmp_path / "test/test_net.c").read_text()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_infinity_and_nan_are_no_numbers(value: float, tmp_path: Path) -> None:
    done = _run(unary("RELU", (2, 3)), tmp_path, lambda output: np.full_like(output, value))
    assert "net: 4 invocations, 24 mismatching values: FAILED" in done.stdout
