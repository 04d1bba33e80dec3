"""Cross-layer equalization: the channels of an activation get like ranges, so that one scale serves them all.

A channel that is divided by s where it is computed and multiplied by s where it is read leaves the float32 model as it
is (Nagel et al. 2019, section 4.1). As weights have a scale per output channel, the range of the activation counts
here, not that of the weights before it (as in Meller et al. 2019). Where the reader is depthwise, whose scales are per
channel too, channels become equal; else the geometric mean splits the range with the reader's weights. Where the
weights before share one scale (FULLY_CONNECTED), the weights on both sides count, as in the first paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from tinyops.graph import DType, Graph, Model, Op, OpView, Tensor
from tinyops.ops.base import Activation, Array
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.calibrate import Progress, Samples, checked, count
from tinyops.quantize.linear import is_linear

#: Scaling a channel up beyond that would only raise noise.
_MOST = 2.0**6
#: They give a channel scaled where they read one scaled; their windows never mix channels.
_PASSING = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN")
_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Operators by index: `before` writes `tensor`, and its channels end in the weights of `readers` alone."""

    before: int
    tensor: int
    readers: tuple[int, ...]


def equalize(model: Model, samples: Samples, per_channel_dense: bool, limit: int, progress: Progress) -> Model:
    """An equal float32 model whose activations are easier to quantize, measured on the first `limit` samples."""
    graph = model.main
    pairs = list(_pairs(graph))
    ranges = {pair.tensor: np.zeros(graph.tensors[pair.tensor].shape[-1]) for pair in pairs}
    if not pairs:
        return model
    interpreter = Interpreter(model)
    for number, sample in enumerate(checked(graph, samples, limit), 1):
        interpreter.run(*(np.asarray(value) for value in sample))
        for t, largest in ranges.items():
            values = np.abs(interpreter.tensors[t]).reshape(-1, len(largest))
            np.maximum(largest, values.max(axis=0), out=largest)
        progress(number, count(samples, limit), "equalizing channels")
    tensors, ops = list(graph.tensors), list(graph.ops)
    for pair in pairs:
        if ops[pair.before].kind == "FULLY_CONNECTED" and not per_channel_dense:
            rows = np.abs(_data(tensors[_weights_of(ops[pair.before])])).max(axis=1)
            ranges[pair.tensor] = np.where(ranges[pair.tensor] > 0, rows, 0)
        _apply(pair, ranges[pair.tensor], tensors, ops)
    graph = dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))
    return dataclasses.replace(model, graphs=(graph,))


def _pairs(graph: Graph) -> Iterator[_Pair]:
    for k, view in enumerate(graph.views()):
        if not is_linear(view) or view.output().dtype is not DType.FLOAT32 or not _scales_along(view):
            continue
        readers = _readers(graph, view.op.outputs[0])
        if readers:
            yield _Pair(k, view.op.outputs[0], readers)


def _scales_along(view: OpView) -> bool:
    """Whether scaled weights and bias give scaled results: the activation is linear on either side of 0."""
    constant = view.input(1).data is not None and ((bias := view.optional(2)) is None or bias.data is not None)
    return constant and view.attrs.fused_activation_function in (Activation.NONE, Activation.RELU)


def _readers(graph: Graph, t: int) -> tuple[int, ...]:
    """The linear operators in whose weights the channels of `t` end; none where they end elsewhere, too."""
    if t in graph.outputs or graph.tensors[t].quantization is not None:
        return ()
    found: list[int] = []
    for k in graph.consumers.get(t, ()):
        view = OpView(graph.ops[k], graph)
        if is_linear(view) and view.op.inputs[0] == t and view.input(1).data is not None:
            if _input_channels(view) != graph.tensors[t].shape[-1]:
                return ()
            found.append(k)
        elif view.kind in _PASSING and _keeps_channels(view):
            further = _readers(graph, view.op.outputs[0])
            if not further:
                return ()
            found += further
        else:
            return ()
    return tuple(found)


def _keeps_channels(view: OpView) -> bool:
    if view.kind == "MEAN":
        axes = view.input(1).data
        rank = len(view.input(0).shape)
        return axes is not None and rank - 1 not in {int(a) % rank for a in axes.reshape(-1)}
    return view.attrs.fused_activation_function in (Activation.NONE, Activation.RELU)


def _input_channels(view: OpView) -> int:
    return view.input(1).shape[1] if view.kind == "FULLY_CONNECTED" else view.input(0).shape[3]


def _apply(pair: _Pair, ranges: Array, tensors: list[Tensor], ops: list[Op]) -> None:
    needed = np.zeros(len(ranges))
    depthwise = True
    for k in pair.readers:
        weights = tensors[_weights_of(ops[k])]
        needed = np.maximum(needed, _input_ranges(ops[k], weights, len(ranges)))
        depthwise = depthwise and ops[k].kind == "DEPTHWISE_CONV_2D"
    held = (ranges > 0) & (needed > 0)
    if not held.any():
        return
    scale = np.ones(len(ranges))
    scale[held] = ranges[held] if depthwise else np.sqrt(ranges[held] / needed[held])
    scale[held] = np.maximum(scale[held] / scale[held].max(), 1 / _MOST)
    _scale_outputs(ops, pair.before, 1 / scale, tensors)
    for k in pair.readers:
        _scale_inputs(ops, k, scale, tensors)


def _weights_of(op: Op) -> int:
    assert op.inputs[1] is not None
    return op.inputs[1]


def _input_ranges(op: Op, weights: Tensor, channels: int) -> Array:
    """float64[channels]: the largest magnitude of the weights that read each channel."""
    data = np.abs(_data(weights))
    if op.kind == "FULLY_CONNECTED":
        by_channel = data
    elif op.kind == "DEPTHWISE_CONV_2D":
        by_channel = np.moveaxis(data.reshape(-1, channels, data.shape[3] // channels), 1, 2).reshape(-1, channels)
    else:
        groups = channels // weights.shape[3]
        parts = data.reshape(groups, -1, weights.shape[3])
        by_channel = parts.transpose(1, 0, 2).reshape(-1, channels)
    largest: Array = by_channel.max(axis=0)
    return largest


def _scale_outputs(ops: list[Op], k: int, factors: Array, tensors: list[Tensor]) -> None:
    op = ops[k]
    inputs = list(op.inputs)
    weights = tensors[_weights_of(op)]
    shape = [1] * len(weights.shape)
    shape[_OUTPUT_AXIS[op.kind]] = len(factors)
    inputs[1] = _replace(weights, _data(weights) * factors.reshape(shape), tensors)
    if len(inputs) > 2 and inputs[2] is not None:
        bias = tensors[inputs[2]]
        inputs[2] = _replace(bias, _data(bias) * factors, tensors)
    ops[k] = dataclasses.replace(op, inputs=tuple(inputs))


def _scale_inputs(ops: list[Op], k: int, factors: Array, tensors: list[Tensor]) -> None:
    op = ops[k]
    weights = tensors[_weights_of(op)]
    data = _data(weights)
    if op.kind == "FULLY_CONNECTED":
        data = data * factors
    elif op.kind == "DEPTHWISE_CONV_2D":
        data = data * np.repeat(factors, weights.shape[3] // len(factors))
    else:
        groups = len(factors) // weights.shape[3]
        parts = data.reshape(groups, -1, *weights.shape[1:]) * factors.reshape(groups, 1, 1, 1, -1)
        data = parts.reshape(weights.shape)
    inputs = (op.inputs[0], _replace(weights, data, tensors), *op.inputs[2:])
    ops[k] = dataclasses.replace(op, inputs=inputs)


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data.astype(np.float64)


def _replace(tensor: Tensor, data: Array, tensors: list[Tensor]) -> int:
    """A constant of its own, as others may read the old one."""
    tensors.append(dataclasses.replace(tensor, data=data.astype(np.float32)))
    return len(tensors) - 1
