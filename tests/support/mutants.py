"""Damaged and hostile .tflite files, made from a sound one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

Edit = Callable[[Any], None]


def _repacked(source: bytes, edit: Edit) -> bytes:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(source, 0))
    edit(model)
    builder = flatbuffers.Builder(len(source))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _weights(model: Any) -> Any:
    """The weights of the first operator that has some."""
    graph = model.subgraphs[0]
    op = next(op for op in graph.operators if len(op.inputs) == 3)
    return graph.tensors[op.inputs[1]]


def _edits() -> Iterator[tuple[str, Edit]]:
    def tensor(name: str, value: Any, pick: Callable[[Any], Any]) -> Edit:
        def edit(model: Any) -> None:
            setattr(pick(model), name, value)

        return edit

    def first(model: Any) -> Any:
        graph = model.subgraphs[0]
        return graph.tensors[graph.inputs[0]]

    def last(model: Any) -> Any:
        graph = model.subgraphs[0]
        return graph.tensors[graph.outputs[0]]

    for label, shape in (
        ("huge", [2**30, 2**30]),
        ("large", [1, 40_000, 40_000, 4]),
        ("negative", [1, -8, 8, 1]),
        ("many dimensions", [1] * 200),
        ("zero", [0, 0, 0, 0]),
    ):
        yield f"input shape {label}", tensor("shape", np.array(shape, np.int32), first)
        yield f"output shape {label}", tensor("shape", np.array(shape, np.int32), last)
        yield f"weights shape {label}", tensor("shape", np.array(shape, np.int32), _weights)
    for label, value in (("zero", 0.0), ("nan", np.nan), ("inf", np.inf), ("negative", -1.0)):

        def scale(model: Any, value: float = value) -> None:
            first(model).quantization.scale = np.array([value], np.float32)

        def weight_scale(model: Any, value: float = value) -> None:
            q = _weights(model).quantization
            q.scale = np.full(len(q.scale), value, np.float32)

        yield f"weights scale {label}", weight_scale
        yield f"input scale {label}", scale

    def set_zero_point(model: Any) -> None:
        first(model).quantization.zeroPoint = np.array([2**40])

    def drop_quantization(model: Any) -> None:
        first(model).quantization = None

    def channels(model: Any) -> None:
        q = _weights(model).quantization
        q.scale, q.zeroPoint = np.ones(7, np.float32), np.zeros(7, np.int64)

    yield "zero point out of range", set_zero_point
    yield "no quantization", drop_quantization
    yield "wrong number of channel scales", channels

    for label, index in (("dangling", 10_000), ("negative", -7)):

        def operand(model: Any, index: int = index) -> None:
            model.subgraphs[0].operators[0].inputs = np.array([index, 1, 2], np.int32)

        def result(model: Any, index: int = index) -> None:
            model.subgraphs[0].operators[0].outputs = np.array([index], np.int32)

        def graph_input(model: Any, index: int = index) -> None:
            model.subgraphs[0].inputs = np.array([index], np.int32)

        def graph_output(model: Any, index: int = index) -> None:
            model.subgraphs[0].outputs = np.array([index], np.int32)

        yield f"operand {label}", operand
        yield f"result {label}", result
        yield f"graph input {label}", graph_input
        yield f"graph output {label}", graph_output

    def buffer(model: Any) -> None:
        _weights(model).buffer = 99_999

    def opcode(model: Any) -> None:
        model.subgraphs[0].operators[0].opcodeIndex = 777

    def version(model: Any) -> None:
        model.operatorCodes[0].version = 99

    def builtin(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.LSTM
        model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.LSTM

    def unknown(model: Any) -> None:
        model.operatorCodes[0].builtinCode = 30_000

    def custom(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].customCode = "*/ \x1b[31m evil"

    def no_graphs(model: Any) -> None:
        model.subgraphs = []

    def schema_version(model: Any) -> None:
        model.version = 7

    def stride(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions.strideH = -3

    def zero_stride(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions.strideW = 0

    def activation(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = 77

    def no_options(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions = None
        model.subgraphs[0].operators[0].builtinOptionsType = 0

    def short_data(model: Any) -> None:
        index = _weights(model).buffer
        model.buffers[index].data = model.buffers[index].data[:-1]

    def cycle(model: Any) -> None:
        ops = model.subgraphs[0].operators
        ops[0].inputs = np.array([ops[-1].outputs[0], *ops[0].inputs[1:]], np.int32)

    def twice(model: Any) -> None:
        ops = model.subgraphs[0].operators
        ops[1].outputs = ops[0].outputs

    def dtype(model: Any) -> None:
        first(model).type = schema.TensorType.COMPLEX128

    def floating(model: Any) -> None:
        first(model).type = schema.TensorType.FLOAT32

    yield from {
        "buffer out of range": buffer,
        "operator code out of range": opcode,
        "operator version": version,
        "operator unsupported": builtin,
        "operator unknown": unknown,
        "operator custom": custom,
        "no subgraphs": no_graphs,
        "schema version": schema_version,
        "negative stride": stride,
        "zero stride": zero_stride,
        "unknown activation": activation,
        "no options": no_options,
        "constant too short": short_data,
        "cycle": cycle,
        "two producers": twice,
        "complex dtype": dtype,
        "float input": floating,
    }.items()


def structural_mutants(source: bytes) -> dict[str, bytes]:
    """Files that a correct writer made of a wrong model: each must be refused."""
    return {label: _repacked(source, edit) for label, edit in _edits()}


def truncated(source: bytes, count: int = 16) -> dict[str, bytes]:
    """Files that end too early; the last cut leaves half."""
    cuts = sorted({len(source) * k // (2 * count) for k in range(count)} | {1, 4, 7, 8, 12})
    return {f"cut at {cut}": source[:cut] for cut in cuts}


def corrupted(source: bytes, count: int, seed: int = 0) -> dict[str, bytes]:
    """Files with random bytes overwritten: some stay sound, the others must be refused."""
    rng = random.Random(seed)
    files = {}
    for k in range(count):
        data = bytearray(source)
        for _ in range(rng.choice((1, 2, 8, 64))):
            at = rng.randrange(len(data))
            data[at] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        files[f"corruption {k}"] = bytes(data)
    return files
