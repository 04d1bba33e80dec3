"""Libraries with float32 outputs: linked with libm where needed, compared with a tolerance that can fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.ops.test_float import unary
from tinyops.emit.c import emit_library
from tinyops.emit.files import write_files
from tinyops.emit.golden import Golden, make_golden
from tinyops.lower import lower
from tinyops.passes import run_passes

_FLAGS = "-O2 -Werror -Wshadow -Wstrict-prototypes -Wsign-conversion -pedantic"


def _test(kind: str, folder: Path, error: float, layout: str = "plain") -> subprocess.CompletedProcess[str]:
    """The library's own test, with golden outputs that are off by `error`."""
    model = run_passes(unary(kind, (2, 3)).build()[0])
    golden = make_golden(model)
    outputs = tuple(tuple(output + np.float32(error) for output in step) for step in golden.outputs)
    write_files(folder, emit_library(lower(model, name="net"), Golden(golden.inputs, outputs), layout))
    command = ["make", "-C", str(folder), "test", f"CFLAGS={_FLAGS}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
