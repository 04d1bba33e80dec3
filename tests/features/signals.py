"""Sounds to compute features of: speech and what drives fixed-point arithmetic to its ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.inputs import spoken

Array = np.ndarray[Any, Any]

_LENGTH = 160 * 400


def speech(text: str, voice: str, speed: int) -> Array:
    """int16[n] at 16 kHz; needs espeak-ng."""
    return np.frombuffer(spoken(text, voice, speed), np.int16)


def signals() -> dict[str, Array]:
    rng = np.random.default_rng(5)
    t = np.arange(_LENGTH)
    volume = rng.uniform(0, 1, _LENGTH // 160).repeat(160) ** 4
    return {
        "silence": np.zeros(_LENGTH, np.int16),
        "lowest": np.full(_LENGTH, -32768, np.int16),
        "full noise": rng.integers(-32768, 32768, _LENGTH).astype(np.int16),
        "last bits": rng.integers(-2, 3, _LENGTH).astype(np.int16),
        "noise of changing volume": (rng.uniform(-1, 1, _LENGTH) * volume * 32767).astype(np.int16),
        "noise after silence": (rng.integers(-32768, 32768, _LENGTH) * (t % 30000 > 20000)).astype(np.int16),
        "square wave": np.where(np.sin(t * t * 1e-6) > 0, 32767, -32768).astype(np.int16),
        "chirp": (32767 * np.sin(t * t * 1e-5)).astype(np.int16),
        "tone": (32767 * np.sin(t * 0.3927)).astype(np.int16),
        "impulses": np.where(t % 4001 == 0, -32768, 0).astype(np.int16),
    }
