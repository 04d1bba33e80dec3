"""Feature front ends: what a model's input is computed from, as NumPy and as integer C, bit for bit the same."""

from __future__ import annotations

from tinyops.features.audio import AudioMicro
from tinyops.features.emit import emit_audio_micro
from tinyops.features.quantize import FeatureQuantization, model_inputs

__all__ = ["AudioMicro", "FeatureQuantization", "emit_audio_micro", "model_inputs"]
