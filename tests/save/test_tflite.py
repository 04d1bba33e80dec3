"""Files that the writer makes: the same graph again, and the same outputs in TFLite Micro."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from tests.cases import all_cases
from tests.ops import test_conv_2d, test_state, test_svdf, test_unidirectional_sequence_lstm
from tests.support import tables
from tests.support.inputs import sequence
from tests.support.reference_models import all_models, wakeword_models
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.emit.golden import random_inputs
from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Tensor
from tinyops.load import load_tflite
from tinyops.ops.base import Padding, operator, supported
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.passes import run_passes
from tinyops.save import versions, write_tflite

Array = np.ndarray[Any, Any]


def _tensor_facts(tensor: Tensor) -> tuple[Any, ...]:
    data = None if tensor.data is None else tensor.data.tobytes()
    return tensor.name, tensor.dtype, tensor.shape, tensor.quantization, data, tensor.variable


def _facts(graph: Graph) -> tuple[Any, ...]:
    return graph.name, graph.inputs, graph.outputs, graph.ops, [_tensor_facts(t) for t in graph.tensors]


def _again(source: bytes) -> bytes:
    """The file written from `source`, after the graphs were found equal."""
    model = load_tflite(source)
    written = write_tflite(model, for_litert=False)
    assert [_facts(graph) for graph in load_tflite(written).graphs] == [_facts(graph) for graph in model.graphs]
    return written


def _same_outputs(one: bytes, two: bytes, steps: Sequence[Sequence[Array]], count: int) -> None:
    found = [ORACLE.run(source, steps, outputs=count) for source in (one, two)]
    for a, b in zip(*found, strict=True):
        for x, y in zip(a.outputs, b.outputs, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("part", range(4))
def test_cases(part: int) -> None:
    """Every operator's case; where the file is not the same (a quantization that means nothing), its outputs are."""
    for case in all_cases()[part::4]:
        written = _again(case.model)
        assert write_tflite(load_tflite(written), for_litert=False) == written, case.name
        if written != case.model:
            main = load_tflite(case.model).main
            steps = random_inputs([main.tensors[t] for t in main.inputs], 2, seed=1)
            _same_outputs(case.model, written, steps, len(main.outputs))


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_models(path: Path) -> None:
    source = path.read_bytes()
    model = load_tflite(source)
    steps = sequence(model, path, 4)
    _same_outputs(source, _again(source), steps, len(model.main.outputs))


def _convolution(**tensor: Any) -> tuple[Model, bytes]:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, 5, 5, 2), scale=0.1, zero_point=3)
    weights = np.random.default_rng(1).integers(-127, 128, (4, 3, 3, 2))
    w = g.tensor((4, 3, 3, 2), scale=[0.01, 0.02, 0.03, 0.04], data=weights, **tensor)
    b = g.tensor((4,), DType.INT32, scale=[0.001, 0.002, 0.003, 0.004], data=[1, 2, 3, 4])
    same = g.tensor((4, 3, 3, 2), scale=0.5, data=weights)
    y, z = g.tensor((1, 5, 5, 4), scale=0.2), g.tensor((1, 5, 5, 4), scale=0.2)
    for filters, out in ((w, y), (same, z)):
        g.op("CONV_2D", [x, filters, b], [out], Conv2DAttrs(Padding.SAME, 1, 1))
    g.inputs, g.outputs = (x,), (y, z)
    return builder.build()


def test_layout_of_the_file() -> None:
    """Equal buffers once, each at a multiple of 16; versions of the operators and of the runtime."""
    _, data = _convolution()
    root = tflite.Model.GetRootAsModel(data, 0)
    starts = []
    contents = []
    for i in range(root.BuffersLength()):
        buffer = root.Buffers(i)
        if buffer.DataLength():
            contents.append(buffer.DataAsNumpy().tobytes())
            starts.append(data.index(contents[-1]))
    assert [start % 16 for start in starts] == [0] * len(starts)
    assert len(set(contents)) == len(contents) == 3
    assert root.Buffers(0).DataLength() == 0
    assert [(root.OperatorCodes(i).BuiltinCode(), root.OperatorCodes(i).Version()) for i in range(1)] == [(3, 3)]
    entry = root.Metadata(0)
    assert entry.Name() == b"min_runtime_version"
    assert root.Buffers(entry.Buffer()).DataAsNumpy().tobytes() == b"1.14.0".ljust(16, b"\0")


@pytest.mark.parametrize("path", wakeword_models(), ids=lambda path: path.stem)
def test_states_of_streaming_models(path: Path) -> None:
    """After the passes a model has states; written, they are variables again."""
    source = path.read_bytes()
    model = run_passes(load_tflite(source))
    assert model.states
    _same_outputs(source, write_tflite(model), sequence(model, path, 6), len(model.main.outputs))


@pytest.mark.parametrize(
    "builder",
    [
        test_svdf.build(1, 12, 4, 2, 5),
        test_svdf.build(2, 5, 3, 2, 4, dtype=DType.INT8, zero_points=(3, -20, 4)),
        test_unidirectional_sequence_lstm.build(2, 3, 4, 5, zero_points=(3, -7)),
        test_state.delay_line(initialized=True),
        test_state.delay_line(initialized=False),
    ],
)
def test_states(builder: ModelBuilder) -> None:
    _, source = builder.build()
    model = run_passes(load_tflite(source))
    inputs = [random_inputs([model.main.tensors[t] for t in model.main.inputs], 5, seed=k) for k in range(2)]
    for steps in inputs:
        _same_outputs(source, write_tflite(model), steps, len(model.main.outputs))


def test_states_that_no_file_can_hold() -> None:
    model = run_passes(load_tflite(test_svdf.build(1, 12, 4, 2, 5).build()[1]))
    late = dataclasses.replace(model.states[0], initial=model.states[0].initial + 1)
    with pytest.raises(ModelError, match="starts at other values than 0"):
        write_tflite(dataclasses.replace(model, states=(late,)))
    (write,) = (op for op in model.main.ops if op.kind == "WRITE_STATE")
    again = dataclasses.replace(write, name="again")
    main = dataclasses.replace(model.main, ops=(*model.main.ops, again))
    with pytest.raises(ModelError, match="not written alone"):
        write_tflite(dataclasses.replace(model, graphs=(main,)))


def test_what_litert_requires() -> None:
    """A bias for each CONV_2D and the inner tensors of an LSTM; the outputs stay the same."""
    lstm = test_unidirectional_sequence_lstm.build(2, 3, 4, 5, zero_points=(3, -7))
    plain = test_conv_2d.build((1, 5, 6, 9), (7, 3, 3, 9), Conv2DAttrs(Padding.SAME, 1, 1), bias="none")
    for builder in (lstm, plain):
        model, source = builder.build()
        steps = random_inputs([model.main.tensors[t] for t in model.main.inputs], 3, seed=1)
        completed = write_tflite(load_tflite(source))
        _same_outputs(source, completed, steps, 1)
        (op,) = load_tflite(completed).main.ops
        assert len(op.intermediates) == (5 if op.kind != "CONV_2D" else 0)
        assert write_tflite(load_tflite(completed)) == completed
    bias = load_tflite(write_tflite(plain.build()[0])).main.tensors[-1]
    assert (bias.dtype, bias.shape, bias.scale) == (DType.INT32, (7,), 0.125)


def test_given_version_is_kept_where_it_is_higher() -> None:
    model, _ = _convolution()
    newer = dataclasses.replace(model.main.ops[0], version=5)
    main = dataclasses.replace(model.main, ops=(newer, *model.main.ops[1:]))
    found = load_tflite(write_tflite(dataclasses.replace(model, graphs=(main,))))
    assert [op.version for op in found.main.ops] == [5, 3]


@pytest.mark.parametrize("kind", [kind for kind, rules in supported().items() if rules.importable])
def test_versions_can_be_read_again(kind: str) -> None:
    rules = operator(kind)
    assert rules is not None
    assert kind in versions._RUNTIMES
    dtypes = [] if kind in ("CALL_ONCE", "SHAPE", "VAR_HANDLE") else tables._dtypes(rules)
    written = [version for dtype, version in versions._BY_DTYPE.get(kind, {}).items() if dtype.value in dtypes]
    assert max(written, default=1) in rules.versions
