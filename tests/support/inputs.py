"""Inputs for whole models: real data where there is some, seeded random otherwise."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.reference_models import mlperf_models
from tinyops.emit.golden import random_inputs
from tinyops.graph import DType, Model, Tensor

Array = np.ndarray[Any, Any]

_PHRASES = {
    "alexa": "alexa, what is the weather. tell me alexa, how far is the moon. alexa stop",
    "hey_jarvis": "hey jarvis, open the door. is it late, hey jarvis? hey jarvis good night",
    "hey_mycroft": "hey mycroft, play some music. thank you hey mycroft. hey mycroft louder",
    "okay_nabu": "okay nabu, turn on the light. okay nabu, turn it off again. okay nabu",
}


def sequence(model: Model, path: Path, steps: int) -> list[list[Array]]:
    """`steps` rows of inputs: speech for the wake-word models, recorded data for those that have some."""
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    real = _real(model, path)
    rows = [[array.reshape(t.shape)] for array in real[:steps] for t in tensors[:1]] if len(tensors) == 1 else []
    extremes = random_inputs(tensors, 3, seed=11)[: max(steps - len(rows), 0)]
    rng = np.random.default_rng(11)
    missing = max(steps - len(rows) - len(extremes), 0)
    return rows + extremes + [[_smooth(rng, t) for t in tensors] for _ in range(missing)]


def _smooth(rng: np.random.Generator, tensor: Tensor) -> Array:
    """A random field with neighbours alike, of random contrast around the zero point: more like data than noise."""
    field = rng.standard_normal(tensor.shape)
    for axis, size in enumerate(tensor.shape):
        if size > 3:
            field = sum(np.roll(field, k, axis) for k in range(min(size // 2, rng.integers(1, 9)))) + 0 * field
    field /= max(float(np.abs(field).max()), 1e-9)
    if tensor.dtype is DType.FLOAT32:
        return (field * rng.uniform(0.1, 4)).astype(np.float32)
    if tensor.dtype is DType.BOOL:
        return np.asarray(field > 0)
    zero_point = tensor.zero_point if tensor.quantization else 0
    values = np.round(field * rng.uniform(10, 160)) + zero_point + rng.integers(-40, 40)
    info = np.iinfo(tensor.dtype.numpy)
    return np.clip(values, info.min, info.max).astype(tensor.dtype.numpy)


def _real(model: Model, path: Path) -> Array:
    tensor = model.main.tensors[model.main.inputs[0]]
    beside = path.parent / "test.npz"
    if beside.exists():
        with np.load(beside, allow_pickle=False) as arrays:
            return np.asarray(arrays["inputs"].reshape(-1, *tensor.shape))
    if path.stem in _PHRASES:
        return speech(path.stem, tensor.scale, tensor.zero_point, tensor.shape)
    shared = mlperf_models()[0].parent if mlperf_models() else None
    if shared is not None and path.stem == "kws_int8":
        return np.asarray(np.load(shared / "kws_sample_int8.npy", allow_pickle=False))
    if shared is not None and path.stem == "sww_int8":
        with np.load(shared / "sww_calibration.npz", allow_pickle=False) as arrays:
            scaled = np.round(arrays["specs"] / tensor.scale) + tensor.zero_point
            return np.clip(scaled, -128, 127).astype(np.int8)
    return np.zeros((0, *tensor.shape), np.int8)


@cache
def speech(word: str, scale: float, zero_point: int, shape: tuple[int, ...]) -> Array:
    """int8[n, *shape]: features of spoken text by the TFLite Micro audio front end, or none without espeak-ng."""
    if shutil.which("espeak-ng") is None:
        return np.zeros((0, *shape), np.int8)
    from pymicro_features import MicroFrontend

    frontend, frames = MicroFrontend(), []
    for voice, speed in (("en-us", 150), ("en-us+f3", 130), ("en-gb", 130), ("en-us+klatt", 120)):
        audio = spoken(_PHRASES[word], voice, speed)
        while len(audio) >= 320:
            result = frontend.process_samples(audio[:320])
            audio = audio[2 * result.samples_read :] if result.samples_read else audio[320:]
            if result.features:
                frames.append(result.features)
    features = np.asarray(frames, np.float32)
    rows = len(features) // shape[1]
    quantized = np.clip(np.round(features / scale) + zero_point, -128, 127).astype(np.int8)
    return quantized[: rows * shape[1]].reshape(rows, *shape)


def spoken(text: str, voice: str, speed: int) -> bytes:
    """16 kHz mono 16-bit samples by espeak-ng."""
    wav = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text], capture_output=True, check=True
    ).stdout
    with wave.open(io.BytesIO(wav)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(1 << 26), "<i2").astype(np.float64)
    moments = np.arange(0, len(samples) - 1, rate / 16000)
    return np.interp(moments, np.arange(len(samples)), samples).astype("<i2").tobytes()
