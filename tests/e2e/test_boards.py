"""Whole models on every board: firmware built, booted, fed over the device protocol; outputs equal TFLite Micro's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.inputs import sequence
from tests.support.reference_models import mlperf_models, own_models, wakeword_models
from tests.support.tflm import ORACLE
from tinyops.device.board import Board, find_board
from tinyops.device.build import build_firmware
from tinyops.device.emulator import launch
from tinyops.device.flash import flash_build
from tinyops.device.session import run_sequence
from tinyops.load import load_model
from tinyops.passes import run_passes

#: The boards that the larger models run on; the others run the project's own models.
_MAIN = ("host", "qemu-cortex-m4", "qemu-cortex-m0plus", "qemu-cortex-m55", "qemu-riscv32")
_FURTHER = ("qemu-cortex-m3", "qemu-cortex-m7", "qemu-cortex-m33")
_SPEECH_STEPS = 500
_INPUTS = 50


def _board(name: str) -> Board:
    board = find_board(name)
    compiler = "gcc" if board.toolchain.name == "host" else f"{board.toolchain.name}-gcc"
    for program in (compiler, *([board.emulator.program] if board.emulator else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return board


def _compare(path: Path, board: Board, folder: Path, steps: int) -> None:
    model = run_passes(load_model(path))
    rows = sequence(model, path, steps)
    build = build_firmware(path, board, folder, name="model")
    with launch(board, flash_build(folder, board).image) as client:
        result = run_sequence(client, rows, profile=True)
        info = client.info()
    wanted = ORACLE.run(path.read_bytes(), rows, outputs=len(model.main.outputs), seconds=180)
    assert len(result.outputs) == len(wanted) == steps
    for got, want in zip(result.outputs, wanted, strict=True):
        for g, w in zip(got, want.outputs, strict=True):
            np.testing.assert_array_equal(g, w)
    assert info.arena_bytes == build.report["memory"]["arena_bytes"]
    if board.kind == "emulated":
        assert result.kind == "emulated-instructions"
        counted = sum(layer.instructions or 0 for layer in result.layers)
        assert result.instructions == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", [*_MAIN, *_FURTHER])
def test_own_models(name: str, path: Path, tmp_path: Path) -> None:
    _compare(path, _board(name), tmp_path, _INPUTS)


@pytest.mark.slow
@pytest.mark.parametrize("path", mlperf_models(), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", _MAIN)
def test_mlperf_tiny(name: str, path: Path, tmp_path: Path) -> None:
    _compare(path, _board(name), tmp_path, _INPUTS)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("path", wakeword_models(), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", _MAIN)
def test_streaming_wake_words(name: str, path: Path, tmp_path: Path) -> None:
    _compare(path, _board(name), tmp_path, _SPEECH_STEPS)
