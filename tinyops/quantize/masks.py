"""Attention masks: constants like -1e9 that keep softmax from some scores, in 8 bits.

A scale that covers such a constant leaves no steps for the scores. What lies 8 below the lowest score weighs at most
exp(-8) of any other, less than a tenth of a step of softmax' 8-bit output: masked scores are put there, where the sum
saturates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tinyops.graph import DType, Graph, Model, OpView, Quantization, Tensor
from tinyops.ops.base import Array
from tinyops.quantize.calibrate import Progress, Samples, calibrate
from tinyops.quantize.settings import QuantizationSettings
from tinyops.quantize.spec import quantization_of_range

#: A constant below it masks; for the range of the scores it stands for all of them, -inf too.
_MASK = -1e4
#: Below the lowest score.
_MARGIN = 8.0


def bound_masks(model: Model, samples: Samples, settings: QuantizationSettings, progress: Progress) -> Model:
    """The float32 model with masks no lower than they need be, and with what their results' 8 bits have to hold.

    Of ADD and SELECT_V2 with a constant that masks and a result that only SOFTMAX reads. `samples` are run for the
    range of the scores where there are such operators.
    """
    graph = model.main
    masks = {k: i for k, view in enumerate(graph.views()) if (i := _mask(graph, view)) is not None}
    if not masks:
        return model
    finite = {k: np.maximum(_constant(graph, k, i), np.float32(10 * _MASK)) for k, i in masks.items()}
    model = _with(model, masks, finite, {})
    observers = calibrate(model, samples, progress=progress)
    bounded: dict[int, Array] = {}
    learned: dict[int, Quantization] = {}
    for k, i in masks.items():
        view = OpView(graph.ops[k], graph)
        scores = view.op.inputs[3 - i if view.kind == "SELECT_V2" else 1 - i]
        assert scores is not None
        low, high, masked = observers[scores].low, observers[scores].high, finite[k] < _MASK
        if view.kind == "ADD":
            kept = np.append(finite[k][~masked], 0.0)
            low, high = low + float(kept.min()), high + float(kept.max())
        least = low - _MARGIN
        value = least - high if view.kind == "ADD" else least
        bounded[k] = np.where(masked, np.float32(value), finite[k])
        if settings.dtype(view) is DType.INT8:
            learned[k] = quantization_of_range(least, high, DType.INT8)
    return _with(model, masks, bounded, learned)


def _mask(graph: Graph, view: OpView) -> int | None:
    """The input with a constant that masks, of an operator that applies it to scores that are computed."""
    if view.kind not in ("ADD", "SELECT_V2") or view.output().dtype is not DType.FLOAT32:
        return None
    result = view.op.outputs[0]
    readers = {graph.ops[k].kind for k in graph.consumers.get(result, ())}
    if readers != {"SOFTMAX"} or result in graph.outputs or graph.tensors[result].quantization is not None:
        return None
    values = range(1, 3) if view.kind == "SELECT_V2" else range(2)
    constants = [i for i in values if view.input(i).data is not None]
    if len(constants) != 1:
        return None
    data = view.input(constants[0]).data
    return constants[0] if data is not None and data.size and float(data.min()) < _MASK else None


def _constant(graph: Graph, k: int, i: int) -> Array:
    data = OpView(graph.ops[k], graph).input(i).data
    assert data is not None
    return data


def _with(
    model: Model, masks: Mapping[int, int], data: Mapping[int, Array], learned: Mapping[int, Quantization]
) -> Model:
    """With constants of their own for input masks[k] of operators k, as other operators may share the old ones."""
    graph = model.main
    tensors, ops = list(graph.tensors), list(graph.ops)
    for k, values in data.items():
        view = OpView(ops[k], graph)
        inputs = list(view.op.inputs)
        inputs[masks[k]] = len(tensors)
        tensors.append(Tensor(view.input(masks[k]).name, DType.FLOAT32, values.shape, data=values.astype(np.float32)))
        ops[k] = dataclasses.replace(view.op, inputs=tuple(inputs))
        if k in learned:
            result = view.op.outputs[0]
            tensors[result] = dataclasses.replace(tensors[result], quantization=learned[k])
    graph = dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))
    return dataclasses.replace(model, graphs=(graph, *model.graphs[1:]))
