"""Inputs like those that the MLPerf Tiny models were trained on, made from what Python packages and tools bring.

Images are crops of scikit-learn's two photographs, the left halves for calibration and the right ones held out; words
are spoken by espeak-ng in different voices; machine sounds are harmonics with noise. All are deterministic by `seed`.
"""

from __future__ import annotations

import io
import subprocess
import wave
from typing import Any

import numpy as np
from sklearn.datasets import load_sample_images

Array = np.ndarray[Any, Any]
Samples = list[list[Array]]

_WORDS = "yes no up down left right on off stop go happy marvin seven visual learn follow three".split()  # noqa: SIM905
_RATE = 16_000


def images(size: int, scale: float) -> Any:
    """A function (count, held out) -> float32[1, size, size, 3] of pixels 0..255 times `scale`."""

    def make(count: int, held_out: bool) -> Samples:
        rng = np.random.default_rng(1000 * size + held_out)
        photographs = load_sample_images().images
        found = []
        for _ in range(count):
            photograph = photographs[int(rng.integers(len(photographs)))]
            middle = photograph.shape[1] // 2
            part = photograph[:, middle:] if held_out else photograph[:, :middle]
            zoom = int(rng.integers(1, min(part.shape[:2]) // size + 1))
            side = zoom * size
            top, left = (int(rng.integers(n - side + 1)) for n in part.shape[:2])
            crop = part[top : top + side, left : left + side].astype(np.float64)
            crop = crop.reshape(size, zoom, size, zoom, 3).mean(axis=(1, 3))
            crop = np.clip(crop * rng.uniform(0.6, 1.2), 0, 255)
            crop = crop[:, ::-1] if rng.random() < 0.5 else crop
            found.append([np.ascontiguousarray(crop[None] * scale).astype(np.float32)])
        return found

    return make


def words(count: int, held_out: bool) -> Samples:
    """float32[1, 49, 10, 1]: MFCCs as MLPerf Tiny's keyword spotting computes them (TensorFlow's mfcc, 40 mel bins)."""
    rng = np.random.default_rng(77 + held_out)
    voices = ("en-gb+m1", "en-gb+f2", "en-us+f4", "en-gb+m5") if held_out else ("en-us+m3", "en-us+f1", "en-gb+f3")
    found = []
    for number in range(count):
        sound = _spoken(
            _WORDS[number % len(_WORDS)], voices[int(rng.integers(len(voices)))], int(rng.integers(120, 220))
        )
        second = rng.normal(0, 10 ** rng.uniform(0.5, 2.5), _RATE)
        start = int(rng.integers(0, max(_RATE - len(sound), 1)))
        sound = sound[: _RATE - start]
        second[start : start + len(sound)] += sound * rng.uniform(0.2, 1.0)
        found.append([_mfcc(second / np.abs(second).max())])
    return found


def _spoken(text: str, voice: str, speed: int) -> Array:
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(1 << 26), "<i2").astype(np.float64)
    return np.interp(np.arange(0, len(samples) - 1, rate / _RATE), np.arange(len(samples)), samples)


def _mel(frequency: Array) -> Array:
    result: Array = 1127.0 * np.log1p(frequency / 700.0)
    return result


def _mfcc(second: Array) -> Array:
    frames = np.lib.stride_tricks.sliding_window_view(second, 480)[::320]
    spectrum = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)), 512))
    edges = np.linspace(_mel(np.array(20.0)), _mel(np.array(4000.0)), 42)
    bins = _mel(np.arange(257) * _RATE / 512)[:, None]
    up, down = (bins - edges[:-2]) / np.diff(edges)[0], (edges[2:] - bins) / np.diff(edges)[0]
    weights = np.maximum(0, np.minimum(up, down))
    weights[0] = 0
    energies = np.log(spectrum @ weights + 1e-6)
    cosines = np.cos(np.pi / 40 * (np.arange(40) + 0.5)[:, None] * np.arange(10)) * np.sqrt(2 / 40)
    coefficients: Array = (energies @ cosines).astype(np.float32).reshape(1, 49, 10, 1)
    return coefficients


def machines(count: int, held_out: bool) -> Samples:
    """float32[1, 640]: five frames of 128 log-mel energies of a machine, in dB."""
    rng = np.random.default_rng(99 + held_out)
    found = []
    for _ in range(count):
        bins = np.arange(128)
        tones = sum(
            rng.uniform(3, 20) * np.exp(-(((bins - centre) / rng.uniform(1, 4)) ** 2))
            for centre in rng.uniform(0, 128, int(rng.integers(2, 9)))
        )
        floor = rng.uniform(-45, -25) - rng.uniform(5, 25) * bins / 128
        frames = floor + tones + rng.normal(0, 2.5, (5, 128))
        found.append([frames.reshape(1, 640).astype(np.float32)])
    return found
