"""Files that are small and sound but ask for much: bounded time and memory, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.load.test_hostile import compile_all
from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import Activation
from tinyops.ops.concatenation import ConcatenationAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs

_SECONDS = 60
_KIBIBYTES = 700 * 1024


def _relu(graph: GraphBuilder, source: int, size: int = 8) -> int:
    output = graph.tensor([1, size], scale=0.5)
    graph.op("RELU", [source], [output])
    return output


def _join(graph: GraphBuilder, parts: Sequence[int], size: int) -> int:
    output = graph.tensor([1, size], scale=0.5)
    graph.op("CONCATENATION", parts, [output], ConcatenationAttrs(1, Activation.NONE))
    return output


def _model(build: Callable[[GraphBuilder, int], int]) -> bytes:
    model = ModelBuilder()
    graph = model.graph()
    source = graph.tensor([1, 8], scale=0.5)
    graph.inputs = (source,)
    graph.outputs = (build(graph, source),)
    return model.build()[1]


def _chain(count: int) -> bytes:
    def build(graph: GraphBuilder, at: int) -> int:
        for _ in range(count):
            at = _relu(graph, at)
        return at

    return _model(build)


def _tree(leaves: int) -> bytes:
    """All leaves are computed before the first sum."""

    def build(graph: GraphBuilder, source: int) -> int:
        level = [_relu(graph, source) for _ in range(leaves)]
        while len(level) > 1:
            pairs = list(zip(level[::2], level[1::2], strict=False))
            level = level[2 * len(pairs) :]
            for pair in pairs:
                output = graph.tensor([1, 8], scale=0.5)
                graph.op("ADD", pair, [output], AddAttrs(Activation.NONE))
                level.append(output)
        return level[0]

    return _model(build)


def _nested(depth: int) -> bytes:
    """Each concatenation is part of the next one."""

    def build(graph: GraphBuilder, source: int) -> int:
        at = source
        for k in range(depth):
            at = _join(graph, [at, _relu(graph, source)], 8 * (k + 2))
        return at

    return _model(build)


def _fans(count: int) -> bytes:
    """As many inputs as a concatenation may have, several times over."""

    def build(graph: GraphBuilder, source: int) -> int:
        at = source
        for k in range(count):
            at = _join(graph, [at, *(_relu(graph, source) for _ in range(255))], 8 * (1 + 255 * (k + 1)))
        return at

    return _model(build)


def _folding(count: int) -> bytes:
    """A file of 1 MB whose constants would take `count` MB."""

    def build(graph: GraphBuilder, source: int) -> int:
        at = graph.tensor([1, 2**20], scale=0.5, data=np.ones(2**20))
        for _ in range(count):
            at = _relu(graph, at, 2**20)
        return _relu(graph, source)

    return _model(build)


def _weights(units: int) -> bytes:
    """One constant that is nearly as large as a file may be."""
    model = ModelBuilder()
    graph = model.graph()
    source = graph.tensor([1, 1024], scale=0.5)
    weights = graph.tensor([units, 1024], scale=0.5, data=np.resize(np.arange(-100, 100, dtype=np.int8), units * 1024))
    output = graph.tensor([1, units], scale=0.5)
    graph.op("FULLY_CONNECTED", [source, weights, None], [output], FullyConnectedAttrs(Activation.NONE), version=4)
    graph.inputs, graph.outputs = (source,), (output,)
    return model.build()[1]


def _shared_tables(tensors: int) -> bytes:
    """Many tensors whose quantization is one and the same table of 65,536 scales."""
    builder = flatbuffers.Builder(1 << 20)
    scales = builder.CreateNumpyVector(np.ones(65536, np.float32))
    schema.QuantizationParametersStart(builder)
    schema.QuantizationParametersAddScale(builder, scales)
    quantization = schema.QuantizationParametersEnd(builder)
    schema.TensorStart(builder)
    schema.TensorAddType(builder, schema.TensorType.INT8)
    schema.TensorAddQuantization(builder, quantization)
    tensor = schema.TensorEnd(builder)

    def vector(item: int, count: int) -> int:
        builder.StartVector(4, count, 4)
        for _ in range(count):
            builder.PrependUOffsetTRelative(item)
        return int(builder.EndVector())

    listed = vector(tensor, tensors)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, listed)
    graphs = vector(schema.SubGraphEnd(builder), 1)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: _chain(4_000), None),
        (lambda: _chain(4_001), "4,001 operators"),
        (lambda: _tree(600), None),
        (lambda: _tree(2_000), "too many tensors are in use at the same time"),
        (lambda: _nested(900), None),
        (lambda: _nested(2_000), "share memory in too many parts"),
        (lambda: _fans(15), None),
        (lambda: _folding(60), None),
        (lambda: _folding(100), "bytes of constants are to be computed"),
        (lambda: _weights(60 * 1024), None),
        (lambda: _shared_tables(20_000), "scales and zero points in all"),
    ],
    ids=[
        "chain",
        "ops",
        "tree",
        "live",
        "nested",
        "nesting",
        "fans",
        "folding",
        "folded",
        "weights",
        "shared",
    ],
)
def test_large(content: Callable[[], bytes], message: str | None, tmp_path: Path) -> None:
    (answer,) = compile_all(tmp_path, {"large": content()}, seconds=_SECONDS, kibibytes=_KIBIBYTES).values()
    assert (answer is None) == (message is None), answer
    assert message is None or (answer is not None and message in answer)
