"""Operands of operators with weights."""

from __future__ import annotations

import numpy as np

from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.value import Value


def weights_operand(g: Builder, weights: Value) -> Value | int:
    """A constant float32 tensor; it carries a quantization where a QDQ file holds it as symmetric int8."""
    if weights.data is None or weights.data.dtype.kind != "f":
        g.refuse(f"the weights ({weights.name}) are {weights.dtype}", "constant float weights")
    stored = weights.stored
    if stored is not None and stored.data.dtype == np.int8 and not any(stored.quantization.zero_points):
        return g.annotated(weights, stored.quantization)
    return weights


def bias_of(node: Node, i: int, units: int) -> Value | None:
    """Input `i`, a constant of [units], if it is there."""
    bias = node.optional(i)
    if bias is None:
        return None
    if bias.data is None or bias.shape != (units,) or bias.data.dtype.kind != "f":
        node.refuse(f"the bias ({bias.name}) has shape {list(bias.shape)}", f"a constant of [{units}] floats")
    return bias if bias.data.any() else None
