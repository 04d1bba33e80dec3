from __future__ import annotations

import dataclasses
from typing import Any

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.ops import test_svdf
from tests.support.compare import SEEDS, ZERO_POINTS, assert_same_states, random_values, scales
from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops.unidirectional_sequence_lstm import BIASES, CELL, HIDDEN, UnidirectionalSequenceLstmAttrs
from tinyops.passes import run_passes


def build(
    batches: int,
    steps: int,
    features: int,
    units: int,
    *,
    time_major: bool = False,
    clip: float = 0.0,
    seed: int = 0,
    input_scale: float = 0.02,
    weight_scales: tuple[float, ...] = (0.005,) * 8,
    hidden_scale: float = 1 / 128,
    cell_scale: float = 2.0**-11,
    zero_points: tuple[int, int] = (0, 0),
    bias: int = 2000,
    activation: int = 4,
    dtype: DType = DType.INT8,
) -> ModelBuilder:
    """One LSTM of `dtype` activations; zero points of the input and of the hidden state (and the output)."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    g = builder.graph()
    first = (steps, batches) if time_major else (batches, steps)
    x = g.tensor((*first, features), dtype, scale=input_scale, zero_point=zero_points[0])
    operands: list[int | None] = [x]
    for k in range(8):
        shape = (units, features if k < 4 else units)
        operands.append(g.tensor(shape, scale=weight_scales[k], data=random_values(seed + k, shape)))
    operands += [None] * 3
    wide = DType.INT32 if dtype is DType.INT8 else DType.INT64
    for k in range(4):
        scale = input_scale * weight_scales[k]
        operands.append(g.tensor((units,), wide, scale=scale, data=rng.integers(-bias, bias, units)))
    operands += [None] * 2
    states: list[Any] = [
        ((batches, units), dtype, {"scale": hidden_scale, "zero_point": zero_points[1]}),
        ((batches, units), DType.INT16, {"scale": cell_scale}),
    ]
    operands += [g.tensor(shape, dtype, variable=True, **quantization) for shape, dtype, quantization in states]
    operands += [None] * 4
    y = g.tensor((*first, units), dtype, scale=hidden_scale, zero_point=zero_points[1])
    kept = [g.tensor(shape, dtype, **quantization) for shape, dtype, quantization in states]
    attrs = UnidirectionalSequenceLstmAttrs(activation, float(np.float32(clip)), time_major)
    g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y, *kept], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@st.composite
def layers(draw: st.DrawFn, dtype: DType = DType.INT8) -> tuple[ModelBuilder, int]:
    """int16 activations have smaller scales, and zero points of 0."""
    narrow = dtype is DType.INT8
    sizes = [draw(st.integers(1, n)) for n in (3, 4, 8, 6)]
    seed = draw(SEEDS)
    builder = build(
        *sizes,
        time_major=draw(st.booleans()),
        clip=draw(st.sampled_from([0.0, 0.0, 0.7, 10.0, 200.0])),
        seed=seed,
        input_scale=draw(scales(-9, -2) if narrow else scales(-17, -10)),
        weight_scales=tuple(draw(st.lists(scales(-11, -3), min_size=8, max_size=8))),
        hidden_scale=draw(st.sampled_from([1 / 128, 1 / 100, 1 / 256])) / (1 if narrow else 256),
        cell_scale=2.0 ** draw(st.integers(-16, -7)),
        zero_points=(draw(ZERO_POINTS), draw(ZERO_POINTS)) if narrow else (0, 0),
        bias=draw(st.sampled_from([1, 2000, 2**31 - 1])),
        dtype=dtype,
    )
    return builder, seed


ACTIVATIONS = st.sampled_from([DType.INT8, DType.INT16])


@given(ACTIVATIONS.flatmap(layers))
def test_hidden_state_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same_states(*case, operand=HIDDEN)


@given(ACTIVATIONS.flatmap(layers))
def test_cell_state_equals_tflite_micro(case: tuple[ModelBuilder, int]) -> None:
    assert_same_states(*case, operand=CELL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": 1}, "activation 1"),
        ({"cell_scale": 0.0006}, "the cell state has scale 0.0006"),
        ({"cell_scale": 2.0**4}, "the cell state has scale 16"),
        ({"dtype": DType.INT16, "zero_points": (1, 0)}, "has zero point 1"),
        ({"dtype": DType.INT16, "bias": 2**50}, "the accumulator can reach"),
        ({"dtype": DType.INT16, "input_scale": 100.0}, "a scale ratio is too large"),
        ({"input_scale": 1e9, "weight_scales": (1e9,) * 8}, "scale ratio"),
    ],
)
def test_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_tflite(build(1, 2, 3, 4, **arguments).build()[1])


def test_refuses_variants() -> None:
    builder = build(1, 2, 3, 4)
    op = builder.graphs[0].ops[0]
    for position, value, message in ((9, op.inputs[BIASES], "a peephole"), (1, None, "input 1 is absent")):
        inputs = (*op.inputs[:position], value, *op.inputs[position + 1 :])
        builder.graphs[0].ops[0] = dataclasses.replace(op, inputs=inputs)
        with pytest.raises(ModelError, match=message):
            load_tflite(builder.build()[1])


@pytest.mark.parametrize("kind", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"])
def test_only_the_lstm_takes_intermediate_tensors(kind: str) -> None:
    builder = build(1, 2, 3, 4) if kind != "SVDF" else test_svdf.build(1, 4, 3, 2, 5)
    model = schema.ModelT.InitFromPackedBuf(builder.build()[1])
    model.subgraphs[0].operators[0].intermediates = [0, 1]
    packed = flatbuffers.Builder(1024)
    packed.Finish(model.Pack(packed), b"TFL3")
    data = bytes(packed.Output())
    if kind == "SVDF":
        with pytest.raises(ModelError, match="intermediate tensors are not supported"):
            load_tflite(data)
    else:
        assert [op.kind for op in load_tflite(data).main.ops] == [kind]


def test_states_are_read_before_and_written_after() -> None:
    model = run_passes(load_tflite(build(1, 2, 3, 4).build()[1]))
    kinds = [op.kind for op in model.main.ops]
    assert kinds == [*["READ_STATE"] * 2, "UNIDIRECTIONAL_SEQUENCE_LSTM", *["WRITE_STATE"] * 2]
    assert [(state.dtype, state.shape) for state in model.states] == [(DType.INT8, (1, 4)), (DType.INT16, (1, 4))]
    assert not any(tensor.variable for tensor in model.main.tensors)
