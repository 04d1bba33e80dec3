"""Front ends of every kind before models that copy their input, so that outputs show what the front ends made."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.test_movement import value
from tests.support.tflite_writer import ModelBuilder
from tinyops.features import ModelFeatures, read_settings
from tinyops.graph import DType
from tinyops.load.tflite import load_tflite
from tinyops.lower import lower
from tinyops.lower.program import Program
from tinyops.passes import run_passes

Array = np.ndarray[Any, Any]

_MEL = {"sample_rate": 8000, "window": 200, "hop": 80, "fft": 256, "channels": 12, "low_hz": 20.0, "high_hz": 4000.0}

#: Tables [features] with the shape and dtype of an input that they can make; few steps each, so that C is quick.
TABLES: dict[str, tuple[dict[str, Any], tuple[int, ...], DType]] = {
    "audio, no overlap": ({"kind": "audio-micro"}, (1, 3, 40), DType.INT8),
    "audio, one new frame": ({"kind": "audio-micro", "every": 1}, (1, 3, 40), DType.INT8),
    "audio, ring": ({"kind": "audio-micro", "every": 3}, (5, 40, 1), DType.INT16),
    "audio, frames left out": ({"kind": "audio-micro", "every": 5}, (1, 80), DType.UINT8),
    "audio, one frame": ({"kind": "audio-micro"}, (40,), DType.FLOAT32),
    "log-mel": ({"kind": "log-mel", "every": 2, **_MEL}, (1, 4, 12, 1), DType.INT8),
    "mfcc": ({"kind": "mfcc", "coefficients": 5, **_MEL}, (1, 15), DType.INT8),
    "imu, ring": ({"kind": "imu", "axes": 3, "scale": 0.001, "every": 4}, (1, 10, 3), DType.INT8),
    "imu, decimated": ({"kind": "imu", "axes": 2, "scale": 0.01, "decimation": 3, "every": 7}, (4, 2), DType.FLOAT32),
    "image": ({"kind": "image", "width": 9, "height": 7, "format": "rgb", "range": (0, 1)}, (1, 6, 8, 3), DType.INT8),
    "image, grey": (
        {"kind": "image", "width": 8, "height": 5, "format": "gray", "range": (-1, 1), "resize": "area"},
        (1, 3, 4, 1),
        DType.FLOAT32,
    ),
}


def copying_model(shape: tuple[int, ...], dtype: DType) -> bytes:
    """A .tflite file whose output is its input, flat."""
    builder = ModelBuilder()
    g = builder.graph()
    flat = (int(np.prod(shape)),)
    x, y = (value(g, axes, dtype, -7 if dtype is DType.INT8 else 0) for axes in (shape, flat))
    g.op("RESHAPE", [x, g.constant(flat)], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder.build()[1]


def make(table: dict[str, Any], shape: tuple[int, ...], dtype: DType) -> tuple[Program, ModelFeatures]:
    """A model whose output is its input, and the front end before it."""
    program = lower(run_passes(load_tflite(copying_model(shape, dtype), name="net")), name="net", digest=bytes(32))
    return program, ModelFeatures.of(read_settings(table, "test"), [port.tensor for port in program.inputs])


def random_raw(features: ModelFeatures, inferences: int, seed: int = 5) -> Array:
    """Raw steps of that many inferences and a bit of the next."""
    front_end, rng = features.front_end, np.random.default_rng(seed)
    info = np.iinfo(front_end.raw_dtype)
    steps = features.first_steps + (inferences - 1) * features.next_steps + features.next_steps // 2
    return rng.integers(info.min, info.max, (steps, *front_end.raw_shape), front_end.raw_dtype, endpoint=True)
