"""One small model that exercises an operator from importer to target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`model` is a whole .tflite file; `name` is a valid identifier and unique among all cases.

    `numpy`: TFLite Micro has no kernel, the expected outputs are those of the operators' NumPy references.
    """

    name: str
    model: bytes
    numpy: bool = False
