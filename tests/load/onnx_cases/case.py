"""Nodes to compare with ONNX Runtime: how cases are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.onnx_writer import OnnxBuilder

Make = Callable[[OnnxBuilder], Any]
#: Name -> (opset, what builds the node or nodes and gives the names of the outputs).
Cases = dict[str, tuple[int, Make]]
_RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray[Any, Any]:
    return _RNG.normal(0, 0.5, shape).astype(np.float32)


def i64(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)


def add_case(cases: Cases, name: str, make: Make, opset: int = 17) -> None:
    assert name not in cases, name
    cases[name] = (opset, make)


def add_node(
    cases: Cases,
    kind: str,
    shape: tuple[int, ...],
    *constants: Any,
    opset: int = 17,
    label: str = "",
    **attributes: Any,
) -> None:
    """A node of one computed input and constants, None where one is absent."""

    def make(b: OnnxBuilder) -> Any:
        return b.node(kind, b.input(shape), *[b.constant(c) if c is not None else "" for c in constants], **attributes)

    settings = ", ".join(f"{k}={v}" for k, v in attributes.items())
    add_case(cases, f"{kind} {label or settings} {list(shape)} opset {opset}", make, opset)
