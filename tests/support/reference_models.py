"""The models that tests run on: the project's own, and others where they are on this machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tinyops.resources import data_dir


def own_models() -> list[Path]:
    """The models in models/, which every clone has."""
    return sorted(data_dir("models").glob("*/*.tflite"))


def mlperf_models() -> list[Path]:
    """The int8 reference models of MLPerf Tiny, where TINYOPS_SHARED or ../shared holds them."""
    shared = Path(os.environ.get("TINYOPS_SHARED", Path(__file__).parents[2].parent / "shared"))
    return sorted((shared / "models" / "mlperf-tiny").glob("*_int8.tflite"))


def wakeword_models() -> list[Path]:
    """The streaming models of the package pymicro-wakeword, where it is installed."""
    spec = importlib.util.find_spec("pymicro_wakeword")
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "models").glob("*.tflite"))


def all_models() -> list[Path]:
    return [*own_models(), *mlperf_models(), *wakeword_models()]
