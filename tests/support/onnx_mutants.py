"""Damaged and hostile .onnx files, made from sound ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import onnx

_NUMBERS = (0, 1, -1, 2, 3, -7, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, -(2**63))
_KINDS = ("Add", "Conv", "Gemm", "LSTM", "MatMul", "MaxPool", "Pad", "Reshape", "Slice", "Softmax", "Split", "Unknown")


def _mutate(proto: Any, rng: random.Random) -> None:
    """One change that a wrong or malicious writer could make."""
    graph = proto.graph
    node = rng.choice(graph.node)
    attributes = list(node.attribute)
    match rng.randrange(12):
        case 0 if attributes:
            attribute = rng.choice(attributes)
            attribute.i = rng.choice(_NUMBERS)
            for k in range(len(attribute.ints)):
                attribute.ints[k] = rng.choice(_NUMBERS)
        case 1 if attributes:
            attribute = rng.choice(attributes)
            attribute.ints.extend([rng.choice(_NUMBERS)] * rng.choice((1, 5)))
        case 2 if attributes:
            node.attribute.remove(rng.choice(attributes))
        case 3 if attributes:
            attribute = rng.choice(attributes)
            attribute.type = rng.randrange(1, 15)
        case 4 if len(node.input):
            node.input[rng.randrange(len(node.input))] = rng.choice(["", "nothing", graph.node[-1].output[0]])
        case 5 if len(node.input):
            names = [*(t.name for t in graph.initializer), *(o for n in graph.node for o in n.output)]
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
        case 6 if len(node.input):
            del node.input[rng.randrange(len(node.input))]
        case 7:
            node.op_type = rng.choice(_KINDS)
        case 8 if len(graph.initializer):
            tensor = rng.choice(graph.initializer)
            tensor.dims[:] = [rng.choice(_NUMBERS) for _ in range(rng.randrange(5))]
        case 9 if len(graph.initializer):
            tensor = rng.choice(graph.initializer)
            tensor.data_type = rng.randrange(0, 24)
        case 10:
            dims = graph.input[0].type.tensor_type.shape.dim
            if len(dims):
                rng.choice(dims).dim_value = rng.choice(_NUMBERS)
        case _:
            node.output.append(rng.choice(["", graph.node[0].output[0] if len(graph.node[0].output) else "x"]))


def structural(source: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Files that a protobuf library wrote of a wrong model: some stay sound, the others must be refused."""
    rng = random.Random(seed)
    for k in range(count):
        proto = onnx.ModelProto.FromString(source)
        for _ in range(rng.choice((1, 1, 2, 4))):
            _mutate(proto, rng)
        yield f"mutation {k}", proto.SerializeToString()
