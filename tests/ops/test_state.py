"""State over a sequence of invocations, and real streaming models, against TFLite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pymicro_wakeword
import pytest

from tests.support.compare import random_values
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE, readable_tensors
from tinyops.errors import ModelError, UsageError
from tinyops.graph import DType, Graph, Model, Op, Quantization, State, Tensor
from tinyops.load import load_model
from tinyops.ops import check
from tinyops.ops.base import NoAttrs, operator
from tinyops.ops.call_once import CallOnceAttrs
from tinyops.ops.concatenation import ConcatenationAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.state import StateAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs
from tinyops.ops.var_handle import VarHandleAttrs
from tinyops.passes import run_passes

WAKEWORDS = sorted((Path(pymicro_wakeword.__file__).parent / "models").glob("*.tflite"))


def delay_line(initialized: bool) -> ModelBuilder:
    """y = the last three inputs: a variable holds two of them."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, 1, 4), scale=0.5, zero_point=3)
    handle = g.tensor((), DType.RESOURCE)
    past = g.tensor((1, 2, 4), scale=0.5, zero_point=3)
    y = g.tensor((1, 3, 4), scale=0.5, zero_point=3)
    kept = g.tensor((1, 2, 4), scale=0.5, zero_point=3)
    name = VarHandleAttrs("c", "past")
    if initialized:
        g.op("CALL_ONCE", [], [], CallOnceAttrs(1))
    g.op("VAR_HANDLE", [], [handle], name)
    g.op("READ_VARIABLE", [handle], [past])
    g.op("CONCATENATION", [past, x], [y], ConcatenationAttrs(1))
    bounds = [g.constant(v) for v in ([0, 1, 0], [0, 3, 0], [1, 1, 1])]
    g.op("STRIDED_SLICE", [y, *bounds], [kept], StridedSliceAttrs(begin_mask=5, end_mask=5))
    g.op("ASSIGN_VARIABLE", [handle, kept], [])
    g.inputs, g.outputs = (x,), (y,)
    if initialized:
        init = builder.graph("init")
        target = init.tensor((), DType.RESOURCE)
        first = init.tensor((1, 2, 4), scale=0.5, zero_point=3, data=np.arange(8) - 4)
        init.op("VAR_HANDLE", [], [target], name)
        init.op("ASSIGN_VARIABLE", [target, first], [])
    return builder


@pytest.mark.parametrize("initialized", [True, False])
def test_delay_line_equals_tflite_micro(initialized: bool) -> None:
    model, data = delay_line(initialized).build()
    steps = [[random_values(k, (1, 1, 4))] for k in range(6)]
    interpreter = Interpreter(run_passes(model))
    for _ in range(2):
        for inputs, step in zip(steps, ORACLE.run(data, steps), strict=True):
            np.testing.assert_array_equal(interpreter.run(*inputs)[0], step.outputs[0])
        interpreter.reset()


@pytest.mark.parametrize("path", WAKEWORDS, ids=lambda path: path.stem)
def test_streaming_wakeword_equals_tflite_micro(path: Path) -> None:
    loaded = load_model(path)
    steps = [[random_values(k, (1, 3, 40)) // (1 + k % 4)] for k in range(24)]
    names = {t: loaded.main.tensors[t].name for t in readable_tensors(loaded.main)}
    expected = ORACLE.run(path.read_bytes(), steps, tensors=list(names))
    model = run_passes(loaded)
    interpreter = Interpreter(model)
    index = {tensor.name: t for t, tensor in enumerate(model.main.tensors) if not tensor.is_constant}
    compared = 0
    for inputs, step in zip(steps, expected, strict=True):
        np.testing.assert_array_equal(interpreter.run(*inputs)[0], step.outputs[0])
        for t, value in step.tensors.items():
            if names[t] in index:
                np.testing.assert_array_equal(interpreter.tensors[index[names[t]]].reshape(-1), value.reshape(-1))
                compared += 1
    assert compared >= 24 * 20


def swap() -> Model:
    """y = state 0; state 0 = x, twice in one invocation."""
    q = Quantization((1.0,), (0,))
    tensors = tuple(Tensor(n, DType.INT8, (2,), q) for n in ("x", "y", "z"))
    ops = (
        Op("READ_STATE", "first", (), (1,), StateAttrs(0)),
        Op("WRITE_STATE", "write", (0,), (), StateAttrs(0)),
        Op("READ_STATE", "second", (), (2,), StateAttrs(0)),
    )
    initial = np.array([7, 8], dtype=np.int8)
    return Model("swap", (Graph("main", tensors, ops, (0,), (1, 2)),), (State("s", DType.INT8, (2,), initial, q),))


def test_state_is_carried_and_reset() -> None:
    interpreter = Interpreter(swap())
    x = np.array([1, 2], dtype=np.int8)
    first, second = interpreter.run(x)
    assert first.tolist() == [7, 8]
    assert second.tolist() == [1, 2]
    x[:] = 9
    assert interpreter.states[0].tolist() == [1, 2]
    interpreter.reset()
    assert interpreter.run(x)[0].tolist() == [7, 8]


def test_inputs_are_checked() -> None:
    interpreter = Interpreter(swap())
    with pytest.raises(UsageError, match="0 inputs"):
        interpreter.run()
    with pytest.raises(UsageError, match=r"int16\[2\]"):
        interpreter.run(np.zeros(2, dtype=np.int16))


def test_resource_operators_need_the_pass() -> None:
    model, _ = delay_line(True).build()
    check(model)
    with pytest.raises(ModelError) as caught:
        Interpreter(model)
    assert "resolve_state" in str(caught.value)
    for kind in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"):
        rules = operator(kind)
        assert rules is not None
        view = next(v for v in model.main.views() if v.kind == kind)
        with pytest.raises(ModelError) as refused:
            rules.reference(view, [])
        assert refused.value.hint is not None


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Op("READ_STATE", "r", (), (1,), StateAttrs(1)), "state 1 does not exist"),
        (Op("READ_STATE", "r", (), (1,), NoAttrs()), "attributes are NoAttrs"),
        (Op("WRITE_STATE", "w", (3,), (), StateAttrs(0)), r"tensor wide is int8[3]"),
        (Op("NO_SUCH_OP", "n", (), ()), "is not supported"),
        (Op("READ_STATE", "r", (), (1,), StateAttrs(0), version=9), "version 9"),
        (Op("READ_STATE", "r", (), (4,), StateAttrs(0)), "is empty"),
    ],
)
def test_check_names_the_rule(op: Op, message: str) -> None:
    model = swap()
    wide = Tensor("wide", DType.INT8, (3,), model.main.tensors[0].quantization)
    empty = Tensor("empty", DType.INT8, (0,), model.main.tensors[0].quantization)
    graph = Graph("main", (*model.main.tensors, wide, empty), (op,), (0,), ())
    with pytest.raises(ModelError) as caught:
        check(Model("m", (graph,), model.states))
    assert message in str(caught.value)
    assert op.name in str(caught.value)
