"""Operators that change a shape and leave the elements as they are."""

from __future__ import annotations

import math

from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.movement import reshape as reshaped
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Value


@importer("Reshape")
def reshape(g: Builder, node: Node) -> Value:
    """To a constant shape."""
    x, shape = node.input(), node.ints(1)
    if not node.attr_int("allowzero", 0):
        if any(d == 0 and k >= x.rank for k, d in enumerate(shape)):
            node.refuse(f"shape {shape} copies a dimension that the input of shape {list(x.shape)} lacks")
        shape = [x.shape[k] if d == 0 else d for k, d in enumerate(shape)]
    if shape.count(-1) > 1 or any(d < -1 for d in shape):
        node.refuse(f"shape {shape}", "sizes, and -1 once")
    if -1 in shape:
        rest = -math.prod(shape)
        if rest == 0 or math.prod(x.shape) % rest:
            node.refuse(f"shape {shape} for {math.prod(x.shape)} elements")
        shape[shape.index(-1)] = math.prod(x.shape) // rest
    return reshaped(g, x, shape)


@importer("Flatten")
def flatten(g: Builder, node: Node) -> Value:
    """Two dimensions."""
    x = node.input()
    axis = node.attr_int("axis", 1)
    if not -x.rank <= axis <= x.rank:
        node.refuse(f"axis {axis}", f"{-x.rank} to {x.rank}")
    axis += x.rank if axis < 0 else 0
    return reshaped(g, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def axes_of(node: Node, rank: int, since: int = 13) -> list[int] | None:
    """Axes from the attribute, or from input 1 in opset `since` and later; None where the node names none."""
    if node.opset >= since:
        given = node.ints(1) if node.optional(1) is not None else None
    else:
        given = node.attr_ints("axes") if "axes" in node.attributes else None
    if given is None:
        return None
    axes = [node.axis(axis, rank) for axis in given]
    if len(set(axes)) != len(axes):
        node.refuse(f"axes {given} name one twice")
    return axes


@importer("Squeeze")
def squeeze(g: Builder, node: Node) -> Value:
    """Constant axes."""
    x = node.input()
    axes = axes_of(node, x.rank)
    if axes is None:
        axes = [k for k, n in enumerate(x.shape) if n == 1]
    if any(x.shape[axis] != 1 for axis in axes):
        node.refuse(f"axes {axes} of shape {list(x.shape)}", "axes of extent 1")
    return reshaped(g, x, [n for k, n in enumerate(x.shape) if k not in axes])


@importer("Unsqueeze")
def unsqueeze(g: Builder, node: Node) -> Value:
    """Constant axes."""
    x = node.input()
    given = node.ints(1) if node.opset >= 13 else node.attr_ints("axes")
    rank = x.rank + len(given)
    g.bound([1] * rank)
    axes = axes_of(node, rank)
    rest = iter(x.shape)
    return reshaped(g, x, [1 if k in (axes or ()) else next(rest) for k in range(rank)])
