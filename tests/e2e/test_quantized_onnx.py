"""From an exporter's ONNX file to int8: what the generated C computes is what TFLite Micro computes, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.real_models import run_program
from tests.support.semihosted import CORTEX_M4, HOST
from tests.support.tflm import ORACLE
from tinyops.graph import DType, Model, Tensor
from tinyops.load import load_model
from tinyops.lower.compile import compile_model
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.quantize import QuantizationSettings, quantize
from tinyops.save import write_tflite

FILES = sorted((Path(__file__).parents[1] / "load" / "onnx").glob("*.onnx"))
#: Models with operators that TFLite Micro lacks: labels of a classifier by GATHER of int32.
NOT_IN_MICRO = ("sklearn_classifier",)
#: One model of each kind on the emulated processor too.
EMULATED = ("torch_dynamo_attention", "torch_dynamo_mobilenet", "torch_legacy_gru", "torch_legacy_lstm", "qdq_resnet")
SETTINGS = QuantizationSettings(adaround_iterations=5, refine_samples=4)
STEPS = 4


def _values(tensor: Tensor, rng: np.random.Generator) -> Any:
    if tensor.dtype is DType.FLOAT32:
        return rng.normal(size=tensor.shape).astype(np.float32)
    return rng.integers(-128, 128, tensor.shape).astype(tensor.dtype.numpy)


def _quantized(path: Path) -> Model:
    """Models of QDQ files come as int8, but for operators that their exporter left in float32."""
    model, rng = run_passes(load_model(path)), np.random.default_rng(0)
    if all(tensor.dtype is not DType.FLOAT32 for tensor in model.main.tensors):
        return model
    inputs = [model.main.tensors[t] for t in model.main.inputs]
    samples = [[_values(tensor, rng) for tensor in inputs] for _ in range(8)]
    return quantize(model, samples, SETTINGS).model


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_quantized(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(write_tflite(_quantized(path)))
    compiled = compile_model(file, name="model")
    graph, rng = compiled.model.main, np.random.default_rng(1)
    ports = [graph.tensors[t] for t in graph.inputs]
    assert all(tensor.dtype is not DType.FLOAT32 for tensor in graph.tensors)
    inputs = [[_values(t, rng) for t in ports] for _ in range(STEPS)]
    reference = Interpreter(compiled.model)
    wanted: list[list[Any]] = [list(reference.run(*row)) for row in inputs]
    if path.stem not in NOT_IN_MICRO:
        steps = ORACLE.run(file.read_bytes(), inputs, outputs=len(graph.outputs), arena=1 << 20)
        for step, row in zip(steps, wanted, strict=True):
            for ours, theirs in zip(row, step.outputs, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    for target in (HOST, CORTEX_M4) if path.stem in EMULATED else (HOST,):
        target.require()
        folder = tmp_path / target.name
        folder.mkdir()
        got = run_program(compiled.program, target, folder, inputs, wanted)
        flat = [output for row in wanted for output in row]
        for ours, theirs in zip(got, flat, strict=True):
            np.testing.assert_array_equal(ours, theirs.reshape(-1))
