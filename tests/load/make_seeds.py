"""Makes the seeds of the importer's fuzz target: `python -m tests.load.make_seeds` writes tests/load/seeds/."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tinyops.graph import DType
from tinyops.ops.base import NoAttrs, operator

SEEDS = Path(__file__).parent / "seeds"


def _attrs(kind: str, **given: Any) -> Any:
    """Attributes of an operator: the given ones, defaults where there are some, else zero."""
    rules = operator(kind)
    assert rules is not None, kind
    if rules.attrs is NoAttrs:
        return NoAttrs()
    values = {f.name: f.default if f.default is not dataclasses.MISSING else 0 for f in dataclasses.fields(rules.attrs)}
    return rules.attrs(**values | given)


def _add(graph: GraphBuilder, kind: str, inputs: list[int | None], shape: list[int], **attrs: Any) -> int:
    output = graph.tensor(shape, scale=0.5)
    graph.op(kind, inputs, [output], _attrs(kind, **attrs))
    return output


def _convolution(graph: GraphBuilder) -> None:
    x = graph.tensor([1, 4, 4, 2], scale=0.5, zero_point=3)
    weights = graph.tensor([3, 2, 2, 2], scale=[0.5, 0.25, 0.125], data=np.arange(24) - 12)
    bias = graph.tensor([3], DType.INT32, scale=[0.25, 0.125, 0.0625], data=[1, -2, 3])
    y = _add(graph, "CONV_2D", [x, weights, bias], [1, 4, 4, 3], stride_h=1, stride_w=1)
    z = _add(graph, "MAX_POOL_2D", [y], [1, 2, 2, 3], stride_h=2, stride_w=2, filter_height=2, filter_width=2)
    graph.inputs, graph.outputs = (x,), (z,)


def _dense(graph: GraphBuilder) -> None:
    x = graph.tensor([1, 6], scale=0.5)
    weights = graph.tensor([4, 6], scale=0.25, data=np.arange(24) - 9)
    y = _add(graph, "FULLY_CONNECTED", [x, weights, None], [1, 4])
    z = graph.tensor([1, 4], scale=1 / 256, zero_point=-128)
    graph.op("SOFTMAX", [y], [z], _attrs("SOFTMAX", beta=1.0))
    graph.inputs, graph.outputs = (x,), (z,)


def _narrow(graph: GraphBuilder) -> None:
    """Weights of int4, float16 and (hybrid) int8, and weights with fake quantization."""
    x = graph.tensor([1, 5], scale=0.5)
    integers = graph.tensor([3, 5], DType.INT4, scale=0.25, data=np.arange(15) - 8)
    y = _add(graph, "FULLY_CONNECTED", [x, integers, None], [1, 3])
    floats = DType.FLOAT32
    start, half = graph.tensor([1, 3], floats), graph.tensor([2, 3], DType.FLOAT16, data=np.arange(6) / 4)
    graph.op("DEQUANTIZE", [y], [start], NoAttrs())
    weights, rounded = graph.tensor([2, 3], floats), graph.tensor([2, 2], floats)
    trained = graph.tensor([2, 2], floats, data=[[1, 2], [-1, 0]])
    graph.op("DEQUANTIZE", [half], [weights], NoAttrs())
    graph.op("FAKE_QUANT", [trained], [rounded], _attrs("FAKE_QUANT", min=-1.0, max=1.0))
    hybrid = graph.tensor([1, 2], scale=0.5, data=[3, 4])
    before = start
    for matrix, units in ((weights, 2), (rounded, 2), (hybrid, 1)):
        after = graph.tensor([1, units], floats)
        graph.op("FULLY_CONNECTED", [before, matrix, None], [after], _attrs("FULLY_CONNECTED"))
        before = after
    graph.inputs, graph.outputs = (x,), (before,)


def _movement(graph: GraphBuilder) -> None:
    x = graph.tensor([1, 4, 3], scale=0.5)
    begin, end, step = (graph.constant(values) for values in ([0, 1, 0], [1, 3, 3], [1, 1, 1]))
    part = _add(graph, "STRIDED_SLICE", [x, begin, end, step], [1, 2, 3])
    both = _add(graph, "CONCATENATION", [x, part], [1, 6, 3], axis=1)
    wide = _add(graph, "PAD", [both, graph.constant([[0, 0], [1, 1], [0, 2]])], [1, 8, 5])
    flat = _add(graph, "RESHAPE", [wide, graph.constant([1, 40])], [1, 40])
    graph.inputs, graph.outputs = (x,), (flat, part)


def _arithmetic(graph: GraphBuilder) -> None:
    x, y = graph.tensor([1, 2, 3], scale=0.5), graph.tensor([3], scale=0.25)
    total = _add(graph, "ADD", [x, y], [1, 2, 3])
    product = _add(graph, "MUL", [total, x], [1, 2, 3])
    mean = _add(graph, "MEAN", [product, graph.constant([1])], [1, 3])
    graph.inputs, graph.outputs = (x, y), (mean, total)


def _state(model: ModelBuilder) -> None:
    main, start = model.graph("main"), model.graph("start")
    x = main.tensor([1, 4], scale=0.5)
    for graph in (main, start):
        graph.op(
            "VAR_HANDLE", [], [graph.tensor([], DType.RESOURCE)], _attrs("VAR_HANDLE", container="", shared_name="s")
        )
    handle = len(main.tensors) - 1
    main.op("CALL_ONCE", [], [], _attrs("CALL_ONCE", init_subgraph_index=1))
    old = main.tensor([1, 4], scale=0.5)
    main.op("READ_VARIABLE", [handle], [old], NoAttrs())
    new = _add(main, "ADD", [x, old], [1, 4])
    main.op("ASSIGN_VARIABLE", [handle, new], [], NoAttrs())
    main.inputs, main.outputs = (x,), (new,)
    start.op("ASSIGN_VARIABLE", [0, start.tensor([1, 4], scale=0.5, data=[1, 2, 3, 4])], [], NoAttrs())


def seeds() -> Iterator[tuple[str, bytes]]:
    """(file name, content) of each seed."""
    for build in (_convolution, _dense, _narrow, _movement, _arithmetic):
        model = ModelBuilder()
        build(model.graph())
        yield f"{build.__name__[1:]}.tflite", model.build()[1]
    model = ModelBuilder()
    _state(model)
    yield "state.tflite", model.build()[1]


if __name__ == "__main__":
    SEEDS.mkdir(exist_ok=True)
    for name, content in seeds():
        (SEEDS / name).write_bytes(content)
