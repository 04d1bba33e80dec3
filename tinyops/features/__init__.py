"""Feature front ends: what a model's input is computed from, as NumPy and as integer C, bit for bit the same."""

from __future__ import annotations

from tinyops.features.base import FeatureSettings, FrontEnd
from tinyops.features.pipeline import ModelFeatures, Stream
from tinyops.features.quantize import FeatureQuantization
from tinyops.features.settings import KINDS, load_settings, read_settings

__all__ = [
    "KINDS",
    "FeatureQuantization",
    "FeatureSettings",
    "FrontEnd",
    "ModelFeatures",
    "Stream",
    "load_settings",
    "read_settings",
]
