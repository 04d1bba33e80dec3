"""Products and sums with a constant per channel, as batch normalization is, go into the weights before them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tinyops.graph import DType, Graph, Model, Op, Tensor
from tinyops.ops.base import Activation
from tinyops.passes.edit import Editor

#: Operator -> (input of the weights, input of the bias, axis of the output channels in the weights).
_HOSTS = {
    "CONV_2D": (1, 2, 0),
    "DEPTHWISE_CONV_2D": (1, 2, 3),
    "FULLY_CONNECTED": (1, 2, 0),
    "TRANSPOSE_CONV": (1, 3, 0),
}
_Array = np.ndarray[Any, Any]


def fold_batch_norm(model: Model) -> Model:
    """Of float32 operators: MUL, ADD and SUB after a convolution or FULLY_CONNECTED without an activation of its own.

    The new weights are computed in float64 and rounded once, so results change by float32 rounding.
    """
    return dataclasses.replace(model, graphs=tuple(_fold(graph) for graph in model.graphs))


def _fold(graph: Graph) -> Graph:
    editor = Editor(graph)
    for k, op in enumerate(graph.ops):
        if op.kind not in ("MUL", "ADD", "SUB"):
            continue
        for position, t in enumerate(op.inputs):
            found = editor.before(t)
            if found is None or found[1].kind not in _HOSTS or (op.kind == "SUB" and position == 1):
                continue
            merged = _merged(editor, found[1], op, op.inputs[1 - position])
            if merged is not None:
                editor.merge(found[0], k, merged)
                break
    return editor.finished()


def _merged(editor: Editor, host: Op, op: Op, other: int | None) -> Op | None:
    """`host` with `op` in its weights and bias, and with its activation; None where that cannot be."""
    weights_at, bias_at, axis = _HOSTS[host.kind]
    inputs = [*host.inputs, *[None] * (bias_at + 1 - len(host.inputs))]
    output, result = editor.tensors[host.outputs[0]], editor.tensors[op.outputs[0]]
    index = inputs[weights_at]
    if index is None or other is None or output.dtype is not DType.FLOAT32 or output.shape != result.shape:
        return None
    weights = editor.tensors[index]
    channels = weights.shape[axis]
    values = _per_channel(editor.tensors[other], channels)
    fused = host.attrs.fused_activation_function is not Activation.NONE
    if values is None or fused or weights.data is None or (op.kind == "MUL" and weights.dtype is not DType.FLOAT32):
        return None
    bias, name = np.zeros(channels), f"{output.name}/bias"
    at = inputs[bias_at]
    if at is not None:
        given = editor.tensors[at]
        if given.data is None:
            return None
        bias, name = given.data.astype(np.float64), given.name
    if op.kind == "MUL":
        shape = [1] * len(weights.shape)
        shape[axis] = channels
        inputs[weights_at] = editor.constant(weights, _float32(weights.data * values.reshape(shape)))
        bias = bias * values
    else:
        bias = bias + (values if op.kind == "ADD" else -values)
    if at is not None or bias.any():
        inputs[bias_at] = editor.constant(Tensor(name, DType.FLOAT32, (channels,)), _float32(bias))
    attrs = dataclasses.replace(host.attrs, fused_activation_function=op.attrs.fused_activation_function)
    while len(inputs) > bias_at and inputs[-1] is None:
        inputs.pop()
    return dataclasses.replace(host, inputs=tuple(inputs), attrs=attrs)


def _per_channel(tensor: Tensor, channels: int) -> _Array | None:
    """float64[channels] of a constant that has one value, or one for each channel on its last axis."""
    data = tensor.data
    if data is None or data.dtype != np.float32 or data.size not in (1, channels):
        return None
    if data.size == channels and channels > 1 and data.shape[-1] != channels:
        return None
    return np.broadcast_to(data.reshape(-1).astype(np.float64), (channels,))


def _float32(values: _Array) -> _Array:
    return np.ascontiguousarray(values, dtype=np.float32)
