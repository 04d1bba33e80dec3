"""TFLite Micro (PyPI tflite-micro) on a written file, in a process of its own: the runtime aborts on some models."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyops.errors import MissingToolError, TinyopsError
from tinyops.ops.base import Array

__all__ = ["is_installed", "run_tflite_micro"]

_SECONDS = 120
_WORKER = Path(__file__).with_name("tflm_worker.py")


def is_installed() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def run_tflite_micro(model: bytes, steps: Sequence[Sequence[Array]], outputs: int) -> list[list[Array]]:
    """The outputs of one invocation after the other, state carried between them.

    Raises MissingToolError where it is not installed, TinyopsError where it refuses the model or dies.
    """
    if not is_installed():
        raise MissingToolError(
            "the Python package tflite-micro is not installed", hint='pip install "tinyops[reference]"'
        )
    with tempfile.TemporaryDirectory(prefix="tinyops-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(model)
        columns = {f"x{k}": np.stack(column) for k, column in enumerate(zip(*steps, strict=True))}
        np.savez(folder / "in.npz", **columns)  # type: ignore[arg-type]
        # -P: the worker's folder is no place to import from.
        command = [sys.executable, "-P", str(_WORKER), "model", "in.npz", "out.npz", str(outputs)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise TinyopsError("TFLite Micro ran out of time", allowed=f"{_SECONDS} seconds") from error
        if done.returncode or not (folder / "out.npz").is_file():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise TinyopsError(f"TFLite Micro refuses the file: {lines[-1][:200] if lines else 'it died'}")
        with np.load(folder / "out.npz", allow_pickle=False) as found:
            return [list(row) for row in zip(*(found[f"y{k}"] for k in range(outputs)), strict=True)]
