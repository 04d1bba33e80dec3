"""Exporters: a Model becomes a file that other tools load."""

from __future__ import annotations

from tinyops.save.tflite import write_tflite

__all__ = ["write_tflite"]
