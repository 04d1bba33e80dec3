"""Capsules under a fuzzer, for a bounded time: whatever is accepted runs without undefined behaviour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.capsules import link_model, updatable
from tests.support.fuzzing import FUZZER, find_clang, run_fuzzer
from tests.support.reference_models import own_models
from tinyops.emit.capsule import read_capsule, recorded_vectors, seeded_inputs
from tinyops.resources import data_dir


def _write_seeds(path: Path, folder: Path) -> None:
    """A factory capsule, one with recorded inputs, one of other numbers; each with all that can be made right."""
    folder.mkdir()
    compiled, data, capsule = updatable(path)
    read = read_capsule(capsule)
    tensors = [compiled.model.main.tensors[t] for t in compiled.model.main.inputs]
    recorded = replace(read, golden=recorded_vectors(compiled.model, [seeded_inputs(tensors, k) for k in range(2)]))
    noise = np.random.default_rng(1).integers(0, 256, len(data.content), dtype=np.uint8).tobytes()
    capsules = {"factory": capsule, "recorded": recorded.encode(), "noise": replace(read, data=noise).encode()}
    for name, content in capsules.items():
        for fix in (0, 7, 15):
            (folder / f"{name}_{fix}").write_bytes(bytes([fix]) + content)


@pytest.mark.slow
@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_fuzz_capsule(path: Path, tmp_path: Path) -> None:
    program = tmp_path / "fuzz_capsule"
    main = data_dir("firmware") / "fuzz" / "fuzz_capsule.c"
    link_model(path, tmp_path / "model", program, main, compiler=find_clang(tmp_path), sanitize=FUZZER)
    _write_seeds(path, tmp_path / "seeds")
    run_fuzzer(program, tmp_path / "seeds", tmp_path, max_bytes=3 * len(updatable(path)[2]))
