"""Importer functions by ONNX operator. One function each; decorating it registers it. There is no central list."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyops.load.onnx.builder import Builder
    from tinyops.load.onnx.node import Node
    from tinyops.load.onnx.value import Value

Importer = Callable[["Builder", "Node"], "Value | Sequence[Value]"]

_registry: dict[str, Importer] = {}


def importer(*kinds: str) -> Callable[[Importer], Importer]:
    """Register the function for these ONNX operators; its docstring says what is supported, for people."""

    def register(function: Importer) -> Importer:
        for kind in kinds:
            if kind in _registry:
                raise RuntimeError(f"ONNX operator {kind} is registered twice")
            _registry[kind] = function
        return function

    return register


def importers() -> dict[str, Importer]:
    """All of them, by ONNX operator; those of other domains than the default one are "domain::operator"."""
    package = importlib.import_module("tinyops.load.onnx.operators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_registry.items()))


def summary(function: Importer) -> str:
    """What is supported, in one line."""
    return " ".join((inspect.getdoc(function) or "").split())
