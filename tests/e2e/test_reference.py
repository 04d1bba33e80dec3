"""Whole models: the NumPy reference against TFLite Micro, every tensor of every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.inputs import sequence
from tests.support.reference_models import all_models, wakeword_models
from tests.support.tflm import ORACLE
from tinyops.load import load_model
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes

pytestmark = pytest.mark.slow


def steps_of(path: Path) -> int:
    """At least 50 inputs; 500 steps of speech for the streaming models."""
    return 520 if path in wakeword_models() else 50


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_reference_equals_tflm(path: Path) -> None:
    model = run_passes(load_model(path))
    rows = sequence(model, path, steps_of(path))
    interpreter = Interpreter(model)
    wanted = ORACLE.run(path.read_bytes(), rows, outputs=len(model.main.outputs), seconds=120)
    seen = set()
    for row, want in zip(rows, wanted, strict=True):
        got = interpreter.run(*row)
        for g, w in zip(got, want.outputs, strict=True):
            np.testing.assert_array_equal(g, w)
            seen.add(g.tobytes())
    assert len(seen) > 5, "the outputs hardly vary: the inputs test nothing"


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_intermediate_tensors_equal_tflm(path: Path) -> None:
    """Tensors by their names, which passes keep; what an operator makes is compared, whatever comes after it."""
    source = load_model(path)
    model = run_passes(source)
    rows = sequence(model, path, 3)
    made = [t for op in model.main.ops for t in op.outputs]
    indices = {tensor.name: k for k, tensor in enumerate(source.main.tensors)}
    pairs = [(t, indices[model.main.tensors[t].name]) for t in made]
    interpreter = Interpreter(model)
    for row, want in zip(
        rows, ORACLE.run(path.read_bytes(), rows, tensors=[k for _, k in pairs], seconds=60), strict=True
    ):
        interpreter.run(*row)
        for t, k in pairs:
            np.testing.assert_array_equal(interpreter.tensors[t], want.tensors[k], err_msg=model.main.tensors[t].name)
