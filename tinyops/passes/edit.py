"""Small changes of a graph that several passes make."""

from __future__ import annotations

import dataclasses
from typing import Any

from tinyops.graph import Graph, Op, Tensor


class Editor:
    """The operators and tensors of a graph while neighbours are merged; an operator that is None is gone."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: list[Tensor] = list(graph.tensors)
        self.ops: list[Op | None] = list(graph.ops)
        self.producer = dict(graph.producer)

    def before(self, t: int | None) -> tuple[int, Op] | None:
        """The operator that computes tensor `t`, where that has this one reader and is no output of the graph."""
        if t is None or t not in self.producer or t in self.graph.outputs:
            return None
        k = self.producer[t]
        op = self.ops[k]
        readers = self.graph.consumers.get(t, ())
        if op is None or len(op.outputs) != 1 or len(readers) != 1:
            return None
        reader = self.graph.ops[readers[0]]
        return (k, op) if reader.inputs.count(t) == 1 else None

    def constant(self, tensor: Tensor, data: Any) -> int:
        """A constant like `tensor` with other data."""
        self.tensors.append(dataclasses.replace(tensor, data=data, shape=tuple(data.shape)))
        return len(self.tensors) - 1

    def merge(self, first: int, second: int, merged: Op) -> None:
        """Operator `first` becomes `merged`, with the output of operator `second`, which goes."""
        op = self.ops[second]
        assert op is not None
        self.ops[first] = None
        self.ops[second] = dataclasses.replace(merged, outputs=op.outputs)
        self.producer[op.outputs[0]] = second

    def finished(self) -> Graph:
        ops = tuple(op for op in self.ops if op is not None)
        return dataclasses.replace(self.graph, tensors=tuple(self.tensors), ops=ops)
