"""What LiteRT requires of a file beyond what TFLite Micro does; nothing of it changes an output."""

from __future__ import annotations

import dataclasses

import numpy as np

from tinyops.graph import DType, Graph, Model, OpView, Quantization, Tensor
from tinyops.ops.unidirectional_sequence_lstm import HIDDEN

_BIAS = {DType.INT8: DType.INT32, DType.INT16: DType.INT64, DType.FLOAT32: DType.FLOAT32}
#: Of the gates' inputs, int16 with three bits before the point. TFLite Micro wants these tensors empty.
_GATE = Quantization((2.0**-12,), (0,))
_GATES = 4


def complete(model: Model) -> Model:
    """A bias of zeros for each CONV_2D without one; the quantization of the inner tensors of int8 LSTMs."""
    return dataclasses.replace(model, graphs=tuple(_complete(graph) for graph in model.graphs))


def _complete(graph: Graph) -> Graph:
    tensors = list(graph.tensors)
    ops = []
    for view in graph.views():
        op, added = view.op, _added(view)
        indices = tuple(range(len(tensors), len(tensors) + len(added)))
        if added and view.kind == "CONV_2D":
            op = dataclasses.replace(op, inputs=(*op.inputs[:2], *indices))
        elif added:
            op = dataclasses.replace(op, intermediates=indices)
        tensors += added
        ops.append(op)
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _added(view: OpView) -> list[Tensor]:
    if view.kind == "CONV_2D" and view.optional(2) is None:
        return [_bias(view)]
    if view.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM" and not view.op.intermediates and _is_int8(view):
        gates = [Tensor(f"{view.name}_gate_{k}", DType.INT16, (0,), _GATE) for k in range(_GATES)]
        return [*gates, Tensor(f"{view.name}_hidden", DType.INT8, (0,), view.input(HIDDEN).quantization)]
    return []


def _is_int8(view: OpView) -> bool:
    return view.input(0).dtype is DType.INT8


def _bias(view: OpView) -> Tensor:
    """Zeros with the scales input scale * weight scale."""
    image, weights = view.input(0), view.input(1)
    dtype, channels = _BIAS[image.dtype], weights.shape[0]
    quantization = None
    if image.quantization is not None and weights.quantization is not None:
        scales = np.array(weights.quantization.scales, np.float32) * np.float32(image.scale)
        quantization = Quantization(tuple(map(float, scales)), (0,) * len(scales))
    return Tensor(f"{view.name}_bias", dtype, (channels,), quantization, np.zeros(channels, dtype.numpy))
