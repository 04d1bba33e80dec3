"""Channels first to channels last: transposes move through the graph, cancel, and are taken up where they end.

Every value is a view of a stored tensor (passes/views.py). A TRANSPOSE or RESHAPE only changes the view; elementwise
operators, reductions, concatenation, slices and the like compute with what is stored; constants are permuted at once,
the columns of a FULLY_CONNECTED's weights too. Only where an operator needs another order is one transposed. Graph
inputs and outputs of three and four dimensions may take another order as well: `input_permutation` and
`output_permutation` say which, so that data can be given in the order of the original model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tinyops.graph import Graph, Model
from tinyops.passes.rearrange import HANDLERS
from tinyops.passes.rewriter import Rewriter
from tinyops.passes.views import Axes, View, inverse, permuted

_CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1)}
#: More inputs than these keep their order.
_MAX_INPUTS = 8
_INPUT, _OUTPUT = "permutation of input", "permutation of output"


def input_permutation(model: Model, k: int) -> Axes | None:
    """How data for the original model's input `k` is transposed to become this model's, if at all."""
    return _read(model.metadata, f"{_INPUT} {k}")


def output_permutation(model: Model, k: int) -> Axes | None:
    """How the original model's output `k` is transposed to become this model's, if at all."""
    return _read(model.metadata, f"{_OUTPUT} {k}")


def _read(metadata: Mapping[str, str], key: str) -> Axes | None:
    text = metadata.get(key)
    return None if text is None else tuple(int(k) for k in text.split(","))


def layout(model: Model) -> Model:
    """Needs constants folded. The main graph's inputs and outputs may be permuted, which the metadata then says."""
    graph = model.main
    if not any(op.kind == "TRANSPOSE" for op in graph.ops):
        return model
    chosen: dict[int, Axes] = {}
    main, outputs = _rewrite(graph, chosen)
    candidates = [t for t in graph.inputs if len(graph.tensors[t].shape) in _CHANNELS_LAST]
    for t in candidates if len(candidates) <= _MAX_INPUTS else ():
        choice = {**chosen, t: _CHANNELS_LAST[len(graph.tensors[t].shape)]}
        attempt = _rewrite(graph, choice)
        if _cost(attempt[0]) < _cost(main):
            chosen, (main, outputs) = choice, attempt
    if _cost(main) >= _cost(graph):
        return model
    metadata = dict(model.metadata)
    for k, t in enumerate(graph.inputs):
        _record(metadata, f"{_INPUT} {k}", chosen.get(t))
    for k, order in enumerate(outputs):
        _record(metadata, f"{_OUTPUT} {k}", order)
    return dataclasses.replace(model, graphs=(main, *model.graphs[1:]), metadata=metadata)


def _record(metadata: dict[str, str], key: str, order: Axes | None) -> None:
    """After the permutation that is there already, if one is."""
    if order is not None:
        before = _read(metadata, key)
        metadata[key] = ",".join(map(str, order if before is None else permuted(before, order)))


def _cost(graph: Graph) -> tuple[int, int]:
    """(bytes that transposes move, transposes and reshapes)."""
    moved = [graph.tensors[op.outputs[0]].nbytes for op in graph.ops if op.kind == "TRANSPOSE"]
    return sum(moved), sum(op.kind in ("TRANSPOSE", "RESHAPE") for op in graph.ops)


def _rewrite(graph: Graph, choice: Mapping[int, Axes]) -> tuple[Graph, list[Axes | None]]:
    """The graph with inputs permuted by `choice`, and how each output is permuted."""
    rewriter = Rewriter(graph)
    for t in graph.inputs:
        tensor = graph.tensors[t]
        order = choice.get(t, tuple(range(len(tensor.shape))))
        stored = permuted(tensor.shape, order)
        index = rewriter.tensor(dataclasses.replace(tensor, shape=stored))
        rewriter.inputs.append(index)
        rewriter.views[t] = View(index, stored, inverse(order), tensor.shape)
    for op in graph.ops:
        handler = HANDLERS.get(op.kind)
        if handler is None or not handler(rewriter, op):
            rewriter.keep(op)
    outputs: list[int] = []
    orders: list[Axes | None] = []
    for t in graph.outputs:
        view = rewriter.settle(rewriter.view(t))
        if len(view.shape) < min(_CHANNELS_LAST) or view.keeps_order:
            outputs.append(rewriter.plain(view))
            orders.append(None)
        else:
            outputs.append(view.index)
            orders.append(inverse(view.permutation))
    tensors, ops = tuple(rewriter.tensors), tuple(rewriter.ops)
    return Graph(graph.name, tensors, ops, tuple(rewriter.inputs), tuple(outputs)), orders
