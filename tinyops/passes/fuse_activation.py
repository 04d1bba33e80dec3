"""RELU, RELU6 and RELU_N1_TO_1 become the fused activation of the operator before them."""

from __future__ import annotations

import dataclasses

from tinyops.graph import Graph, Model, Op, Tensor
from tinyops.ops.base import Activation
from tinyops.passes.edit import Editor

_ACTIVATIONS = {
    "RELU": Activation.RELU,
    "RELU6": Activation.RELU6,
    "RELU_N1_TO_1": Activation.RELU_N1_TO_1,
}
_HOSTS = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SUB")


def fuse_activation(model: Model) -> Model:
    """Float values and, where both tensors are quantized alike, integers; the results stay the same bit by bit."""
    return dataclasses.replace(model, graphs=tuple(_fuse(graph) for graph in model.graphs))


def _fuse(graph: Graph) -> Graph:
    editor = Editor(graph)
    for k, op in enumerate(graph.ops):
        if op.kind not in _ACTIVATIONS:
            continue
        found = editor.before(op.inputs[0])
        if found is None or not _takes(graph, found[1], op):
            continue
        attrs = dataclasses.replace(found[1].attrs, fused_activation_function=_ACTIVATIONS[op.kind])
        editor.merge(found[0], k, dataclasses.replace(found[1], attrs=attrs))
    return editor.finished()


def _takes(graph: Graph, host: Op, activation: Op) -> bool:
    if host.kind not in _HOSTS or host.attrs.fused_activation_function is not Activation.NONE:
        return False
    return _alike(graph.tensors[host.outputs[0]], graph.tensors[activation.outputs[0]])


def _alike(a: Tensor, b: Tensor) -> bool:
    return (a.dtype, a.quantization) == (b.dtype, b.quantization)
