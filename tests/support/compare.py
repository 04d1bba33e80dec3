"""Strategies for quantized operators, and the comparison of a reference with the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tests.support.tflm import ORACLE, readable_tensors
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops.base import Activation
from tinyops.ops.float32 import TOLERANCE, differs
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes

Array = np.ndarray[Any, Any]

ACTIVATIONS = st.sampled_from(list(Activation))
ZERO_POINTS = st.one_of(st.sampled_from([-128, -1, 0, 127]), st.integers(-128, 127))
SEEDS = st.integers(0, 2**32 - 1)


def scales(low: float = -12.0, high: float = 4.0) -> st.SearchStrategy[float]:
    """float32 scales 2**low .. 2**high, powers of two among them."""
    exponents = st.one_of(st.floats(low, high), st.integers(int(low), int(high)).map(float))
    return exponents.map(lambda e: float(np.float32(2.0**e)))


def random_values(seed: int, shape: tuple[int, ...], dtype: DType = DType.INT8) -> Array:
    """Uniform values, with runs of both extremes."""
    rng = np.random.default_rng(seed)
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype is DType.FLOAT32:
        return rng.normal(0, 3, shape).astype(np.float32)
    info = np.iinfo(dtype.numpy)
    values = rng.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    extreme = rng.random(shape)
    values = np.where(extreme < 0.05, info.min, np.where(extreme > 0.95, info.max, values))
    return values.astype(dtype.numpy)


def assert_agree(ours: Array, theirs: Array, message: str = "") -> None:
    """The values are equal, float32 ones up to the tolerance; shapes do not count."""
    assert ours.dtype == theirs.dtype, message
    assert ours.size == theirs.size, message
    if ours.dtype != np.float32:
        np.testing.assert_array_equal(ours.reshape(-1), theirs.reshape(-1), err_msg=message)
    elif differs(ours.reshape(-1), theirs.reshape(-1)).any():
        np.testing.assert_allclose(ours.reshape(-1), theirs.reshape(-1), TOLERANCE, TOLERANCE, err_msg=message)
        raise AssertionError(f"{message}: beyond {TOLERANCE}")


def assert_same(builder: ModelBuilder, seed: int, runs: int = 1) -> None:
    """All tensors of the main graph equal the oracle's, for seeded random inputs."""
    model, data = builder.build()
    graph = model.main
    steps = [
        [
            random_values(seed + 7 * k + i, graph.tensors[t].shape, graph.tensors[t].dtype)
            for i, t in enumerate(graph.inputs)
        ]
        for k in range(runs)
    ]
    readable = readable_tensors(graph)
    expected = ORACLE.run(data, steps, outputs=len(graph.outputs), tensors=readable)
    interpreter = Interpreter(model)
    for inputs, step in zip(steps, expected, strict=True):
        outputs = interpreter.run(*inputs)
        for ours, theirs in zip(outputs, step.outputs, strict=True):
            assert_agree(ours, theirs)
        for t in readable:
            assert_agree(interpreter.tensors[t], step.tensors[t])


def single(builder: GraphBuilder, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Name the graph's inputs and outputs."""
    builder.inputs, builder.outputs = inputs, outputs


def assert_same_states(builder: ModelBuilder, seed: int, operand: int, runs: int = 4) -> None:
    """Outputs and the variable tensor that is input `operand` of op 0 equal the oracle's over `runs` invocations."""
    _, data = builder.build()
    graph = builder.graphs[0]
    steps = [
        [
            random_values(seed + 7 * k + i, graph.tensors[t].shape, graph.tensors[t].dtype)
            for i, t in enumerate(graph.inputs)
        ]
        for k in range(runs)
    ]
    variable = graph.ops[0].inputs[operand]
    assert variable is not None
    expected = ORACLE.run(data, steps, outputs=len(graph.outputs), tensors=[variable])
    model = run_passes(load_tflite(data))
    name = graph.tensors[variable].name
    (state,) = (k for k, found in enumerate(model.states) if found.name == name)
    interpreter = Interpreter(model)
    for inputs, step in zip(steps, expected, strict=True):
        for ours, theirs in zip(interpreter.run(*inputs), step.outputs, strict=True):
            assert_agree(ours, theirs)
        assert_agree(interpreter.states[state], step.tensors[variable])
