"""Evaluate operators whose inputs are all constant, or count by their shapes alone, by the reference."""

from __future__ import annotations

import dataclasses

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import Graph, Model, OpView, Tensor
from tinyops.ops.base import operator

#: Bytes of all constants that are computed here: small operators could make gigabytes from a small file.
MAX_FOLDED_BYTES = 64 * 2**20


def fold_constants(model: Model) -> Model:
    """Raises ModelError where the results would take more than MAX_FOLDED_BYTES in a subgraph."""
    return dataclasses.replace(model, graphs=tuple(_fold(graph) for graph in model.graphs))


def _fold(graph: Graph) -> Graph:
    tensors = list(graph.tensors)
    kept = []
    folded = 0
    for op in graph.ops:
        definition = operator(op.kind)
        inputs = [None if t is None else tensors[t] for t in op.inputs]
        if definition is None or definition.effect or not (definition.reads_shapes_only or _all_constant(inputs)):
            kept.append(op)
            continue
        folded += sum(tensors[index].nbytes for index in op.outputs)
        if folded > MAX_FOLDED_BYTES:
            raise ModelError(
                f"{folded:,} bytes of constants are to be computed",
                where=f"operator {op.name} ({op.kind})",
                allowed=f"up to {MAX_FOLDED_BYTES:,} bytes",
            )
        view = OpView(op, dataclasses.replace(graph, tensors=tuple(tensors)))
        with np.errstate(all="ignore"):  # as the interpreter
            values = definition.reference(view, [None if t is None else t.data for t in inputs])
        for index, value in zip(op.outputs, values, strict=True):
            tensor = tensors[index]
            data = np.ascontiguousarray(value, dtype=tensor.dtype.numpy).reshape(tensor.shape)
            tensors[index] = dataclasses.replace(tensor, data=data)
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(kept))


def _all_constant(inputs: list[Tensor | None]) -> bool:
    present = [t for t in inputs if t is not None]
    return bool(present) and all(t.is_constant for t in present)
