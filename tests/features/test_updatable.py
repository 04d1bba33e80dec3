"""Front ends of updatable firmware: what they make of raw data follows scale and zero point of the running capsule."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.features.models import TABLES, copying_model, random_raw
from tests.support.capsules import FLAGS, SANITIZE
from tinyops.emit.c import emit_binding, emit_factory, emit_library, library_sources
from tinyops.emit.capsule import build_capsule
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.emit.files import write_files
from tinyops.features import ModelFeatures, read_settings
from tinyops.graph import DType, Model, Tensor
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.lower.compile import CompiledModel
from tinyops.passes import run_passes
from tinyops.resources import data_dir

_MAIN = Path(__file__).parents[1] / "firmware" / "features_tool.c"
_COMMON = data_dir("firmware") / "common"


def _model(name: str, scale: float, zero_point: int) -> tuple[CompiledModel, ModelFeatures, DataSection]:
    """A model that copies its input, with a quantized input's scale and zero point, and its front end."""
    table, shape, dtype = TABLES[name]
    model = run_passes(load_tflite(copying_model(shape, dtype), name="copy"))

    def rescaled(tensor: Tensor) -> Tensor:
        if tensor.quantization is None or tensor.dtype is DType.FLOAT32:
            return dataclasses.replace(tensor, quantization=None) if tensor.dtype is DType.FLOAT32 else tensor
        zero = zero_point if tensor.dtype is not DType.INT16 else 0
        quantization = dataclasses.replace(tensor.quantization, scales=(scale,), zero_points=(zero,))
        return dataclasses.replace(tensor, quantization=quantization)

    main = dataclasses.replace(model.main, tensors=tuple(map(rescaled, model.main.tensors)))
    changed = Model(**{**{f.name: getattr(model, f.name) for f in dataclasses.fields(model)}, "graphs": (main,)})
    program = lower(changed, name="copy", by_structure=True)
    features = ModelFeatures.of(read_settings(table, "test"), [port.tensor for port in program.inputs])
    return CompiledModel(Path("copy"), changed, program), features, lay_out(program, features)


def _build(name: str, folder: Path) -> Path:
    compiled, features, data = _model(name, 0.5, 3)
    capsule = build_capsule(compiled, data=data)
    files: dict[str, Any] = emit_library(compiled.program, features=features, data=data)
    files["binding.c"] = emit_binding(compiled.program, features, data=data, capsule=capsule)
    files["factory.c"] = emit_factory(compiled.program, capsule)
    write_files(folder, files)
    own = [*library_sources(compiled.program, features, data=data), "binding.c", "factory.c"]
    sources = [_MAIN, *(folder / file for file in own), *(_COMMON / "src" / f for f in ("to_capsule.c", "to_sha256.c"))]
    include = [f"-I{folder}", f"-I{folder}/kernels", f"-I{_COMMON / 'include'}"]
    program = folder / "features"
    command = ["gcc", *SANITIZE, *FLAGS, "-DTO_FEATURES", *include, *map(str, sources), "-o", str(program), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize("name", sorted(TABLES))
def test_inputs_follow_the_capsule(name: str, tmp_path: Path) -> None:
    """The old firmware with a capsule of another scale and zero point makes the inputs of that model's own twin."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = _build(name, tmp_path)
    _, _, factory = _model(name, 0.5, 3)
    for scale, zero_point in ((0.5, 3), (0.037, 11), (3.25, 0)):
        compiled, features, data = _model(name, scale, zero_point)
        assert data.plan == factory.plan
        raw = random_raw(features, 3)
        capsule = build_capsule(compiled, data=data)
        stdin = struct.pack("<I", len(capsule)) + capsule + raw.tobytes()
        run = subprocess.run([str(program)], input=stdin, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr.decode(errors="replace")
        expected = features.stream().inputs(raw)
        tensor = compiled.program.inputs[0].tensor
        got = np.frombuffer(run.stdout, tensor.dtype.numpy).reshape(-1, *tensor.shape)
        assert len(got) == len(expected) >= 3
        np.testing.assert_array_equal(got, expected)


def test_a_model_for_other_features_has_another_plan() -> None:
    """The same model behind another front end gets other data: it must not run in the same firmware."""
    compiled, features, data = _model("log-mel", 0.5, 0)
    table, _, _ = TABLES["log-mel"]
    other = ModelFeatures.of(read_settings({**table, "low_hz": 60.0}, "test"), [features.tensor])
    assert lay_out(compiled.program, other).plan != data.plan
    assert lay_out(compiled.program).plan != data.plan


def test_quantization_out_of_range_is_refused(tmp_path: Path) -> None:
    """A denominator of 0 would divide by 0: it is out of bounds."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    name = "imu, ring"
    program = _build(name, tmp_path)
    compiled, _, data = _model(name, 0.5, 3)
    capsule = build_capsule(compiled, data=data)
    start = capsule.index(data.content) + data.features["quantization"]
    for place in (0, 4):
        for value in (0, -1, -(2**31)):
            hostile = capsule[: start + place] + struct.pack("<i", value) + capsule[start + place + 4 :]
            stdin = struct.pack("<I", len(hostile)) + hostile
            run = subprocess.run([str(program)], input=stdin, capture_output=True, check=False)
            assert (run.returncode, run.stderr) == (2, b"reason 32\n")
