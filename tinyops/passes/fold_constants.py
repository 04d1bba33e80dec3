"""Evaluate operators whose inputs are all constant, with the reference implementation."""

from __future__ import annotations

import dataclasses

import numpy as np

from tinyops.graph import Graph, Model, OpView, Tensor
from tinyops.ops.base import operator


def fold_constants(model: Model) -> Model:
    return dataclasses.replace(model, graphs=tuple(_fold(graph) for graph in model.graphs))


def _fold(graph: Graph) -> Graph:
    tensors = list(graph.tensors)
    kept = []
    for op in graph.ops:
        definition = operator(op.kind)
        inputs = [None if t is None else tensors[t] for t in op.inputs]
        if definition is None or definition.effect or not _all_constant(inputs):
            kept.append(op)
            continue
        view = OpView(op, dataclasses.replace(graph, tensors=tuple(tensors)))
        values = definition.reference(view, [None if t is None else t.data for t in inputs])
        for index, value in zip(op.outputs, values, strict=True):
            tensor = tensors[index]
            data = np.ascontiguousarray(value, dtype=tensor.dtype.numpy).reshape(tensor.shape)
            tensors[index] = dataclasses.replace(tensor, data=data)
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(kept))


def _all_constant(inputs: list[Tensor | None]) -> bool:
    present = [t for t in inputs if t is not None]
    return bool(present) and all(t.is_constant for t in present)
