"""Drop operators whose results nobody reads, tensors that nobody uses, and subgraphs that nobody calls."""

from __future__ import annotations

import dataclasses

from tinyops.graph import Graph, Model
from tinyops.ops.base import operator


def prune(model: Model) -> Model:
    """After `resolve_state` only the main graph is reachable; its inputs are kept even when unused."""
    return dataclasses.replace(model, graphs=(_prune(model.main),))


def _prune(graph: Graph) -> Graph:
    needed = set(graph.outputs)
    kept = []
    for op in reversed(graph.ops):
        definition = operator(op.kind)
        effect = definition is None or definition.effect
        if effect or needed.intersection(op.outputs):
            kept.append(op)
            needed.update(t for t in op.inputs if t is not None)
            needed.update(op.outputs)
    kept.reverse()
    needed.update(graph.inputs)
    index = {old: new for new, old in enumerate(sorted(needed))}
    ops = tuple(
        dataclasses.replace(
            op,
            inputs=tuple(None if t is None else index[t] for t in op.inputs),
            outputs=tuple(index[t] for t in op.outputs),
            intermediates=(),
        )
        for op in kept
    )
    return Graph(
        name=graph.name,
        tensors=tuple(graph.tensors[t] for t in sorted(needed)),
        ops=ops,
        inputs=tuple(index[t] for t in graph.inputs),
        outputs=tuple(index[t] for t in graph.outputs),
    )
