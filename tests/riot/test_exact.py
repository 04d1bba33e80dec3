"""Applications of RIOT compute what TFLite Micro computes: as a process, and on two processors that QEMU emulates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.inputs import sequence
from tests.support.reference_models import mlperf_models, own_models, wakeword_models
from tests.support.riot_builds import need_emulator, riot_build
from tests.support.tflm import ORACLE
from tinyops.device.emulator import launch
from tinyops.device.riot.base import RiotBase
from tinyops.device.session import RunResult, run_sequence
from tinyops.load import load_model
from tinyops.passes import run_passes

pytestmark = [pytest.mark.riot, pytest.mark.slow]

#: What fits 16 KiB of RAM.
_SMALL = [path for path in own_models() if path.stem in ("digits", "motions")]
_LARGER = [path for path in mlperf_models() if "float" not in path.stem]


def _compare(base: RiotBase, name: str, path: Path, folder: Path, steps: int) -> RunResult:
    model = run_passes(load_model(path))
    rows = sequence(model, path, steps)
    build = riot_build(base, name, path, folder)
    need_emulator(build.board)
    with launch(build.board, build.elf) as client:
        result = run_sequence(client, rows, profile=True)
        info = client.info()
    wanted = ORACLE.run(path.read_bytes(), rows, outputs=len(model.main.outputs), seconds=180)
    assert len(result.outputs) == len(wanted) == steps
    for got, want in zip(result.outputs, wanted, strict=True):
        for g, w in zip(got, want.outputs, strict=True):
            np.testing.assert_array_equal(g, w)
    assert info.arena_bytes == build.report["memory"]["arena_bytes"]
    assert info.digest.hex() == build.report["model"]["sha256"]
    assert [layer.name for layer in result.layers] == [layer["name"] for layer in build.report["layers"]]
    return result


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_own_models_as_a_process(riot_base: RiotBase, path: Path, tmp_path: Path) -> None:
    _compare(riot_base, "native64", path, tmp_path / "build", 20)


@pytest.mark.parametrize("path", _LARGER, ids=lambda path: path.stem)
def test_mlperf_models_as_a_process(riot_base: RiotBase, path: Path, tmp_path: Path) -> None:
    _compare(riot_base, "native64", path, tmp_path / "build", 3)


@pytest.mark.parametrize("path", wakeword_models(), ids=lambda path: path.stem)
def test_streaming_wake_words_as_a_process(riot_base: RiotBase, path: Path, tmp_path: Path) -> None:
    """State is carried over all steps of recorded speech."""
    _compare(riot_base, "native64", path, tmp_path / "build", 300)


@pytest.mark.parametrize("path", _SMALL, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["microbit", "hifive1b"])
def test_small_models_on_emulated_chips(riot_base: RiotBase, name: str, path: Path, tmp_path: Path) -> None:
    """Firmware for the chip itself, in QEMU's model of it: results are exact, counts would not be those of hardware."""
    result = _compare(riot_base, name, path, tmp_path / "build", 10)
    assert result.kind != "measured-on-board"
