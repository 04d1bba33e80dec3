"""Passes keep what a model computes, and the pipeline verifies after each."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.errors import TinyopsError, VerifyError
from tinyops.graph import DType, Model
from tinyops.load import load_tflite
from tinyops.ops.call_once import CallOnce
from tinyops.ops.concatenation import Concatenation
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.var_handle import VarHandle
from tinyops.passes import fold_constants, prune, resolve_state, run_passes

_SHAPE = (1, 4)


def _delay(initial: Any = None, *, read_shape: tuple[int, ...] = _SHAPE, handle_in_main: bool = True) -> bytes:
    """y = what x was one invocation before: a resource variable, initialized by CALL_ONCE when `initial` is given."""
    builder = ModelBuilder()
    main = builder.graph()
    x = main.tensor(_SHAPE, scale=0.5, zero_point=3)
    y = main.tensor((read_shape[0], read_shape[1] + _SHAPE[1]), scale=0.5, zero_point=3)
    read = main.tensor(read_shape, scale=0.5, zero_point=3)
    handle = main.tensor((), DType.RESOURCE)
    if initial is not None:
        main.op("CALL_ONCE", (), (), CallOnce.attrs(1))
        init = builder.graph("init")
        there = init.tensor((), DType.RESOURCE)
        value = init.tensor(_SHAPE, scale=0.5, zero_point=3, data=initial)
        init.op("VAR_HANDLE", (), (there,), VarHandle.attrs("", "delay"))
        init.op("ASSIGN_VARIABLE", (there, value), ())
    if handle_in_main:
        main.op("VAR_HANDLE", (), (handle,), VarHandle.attrs("", "delay"))
    main.op("READ_VARIABLE", (handle,), (read,))
    main.op("CONCATENATION", (read, x), (y,), Concatenation.attrs(1))
    main.op("ASSIGN_VARIABLE", (handle, x), ())
    main.inputs, main.outputs = (x,), (y,)
    return builder.build()[1]


def _steps(count: int = 5) -> list[list[Any]]:
    rng = np.random.default_rng(1)
    return [[rng.integers(-128, 128, _SHAPE, dtype=np.int8)] for _ in range(count)]


@pytest.mark.parametrize("initial", [None, np.array([[1, -2, 3, -4]], np.int8)], ids=["zero point", "CALL_ONCE"])
def test_variables_become_state_as_in_tflm(initial: Any) -> None:
    data = _delay(initial)
    model = run_passes(load_tflite(data))
    assert [op.kind for op in model.main.ops] == ["READ_STATE", "CONCATENATION", "WRITE_STATE"]
    assert len(model.graphs) == 1
    assert [state.name for state in model.states] == ["delay"]
    steps = _steps()
    interpreter = Interpreter(model)
    for got, want in zip([interpreter.run(*row) for row in steps], ORACLE.run(data, steps), strict=True):
        np.testing.assert_array_equal(got[0], want.outputs[0])


def test_a_variable_has_one_shape() -> None:
    with pytest.raises(TinyopsError, match="variable 'delay'"):
        run_passes(load_tflite(_delay(np.zeros(_SHAPE, np.int8), read_shape=(1, 3))))


def test_a_handle_comes_from_var_handle() -> None:
    with pytest.raises(TinyopsError, match="before an operator has written it"):
        run_passes(load_tflite(_delay(handle_in_main=False)))


def _foldable() -> Model:
    """y = concat(x, concat(1, 2)); z is computed and never used."""
    builder = ModelBuilder()
    main = builder.graph()
    x = main.tensor(_SHAPE, scale=0.5)
    a, b = (main.tensor(_SHAPE, scale=0.5, data=np.full(_SHAPE, v)) for v in (1, 2))
    both = main.tensor((1, 8), scale=0.5)
    y = main.tensor((1, 12), scale=0.5)
    z = main.tensor((1, 16), scale=0.5)
    main.op("CONCATENATION", (a, b), (both,), Concatenation.attrs(1))
    main.op("CONCATENATION", (x, both), (y,), Concatenation.attrs(1))
    main.op("CONCATENATION", (x, y), (z,), Concatenation.attrs(1))
    main.inputs, main.outputs = (x,), (y,)
    return load_tflite(builder.build()[1])


def test_constants_are_folded_and_dead_code_is_pruned() -> None:
    model = _foldable()
    folded = fold_constants(model)
    assert [op.name for op in folded.main.ops] == ["concatenation_1", "concatenation_2"]
    pruned = prune(folded)
    assert [op.name for op in pruned.main.ops] == ["concatenation_1"]
    assert len(pruned.main.tensors) == 3
    x = np.arange(4, dtype=np.int8).reshape(_SHAPE)
    np.testing.assert_array_equal(Interpreter(pruned).run(x)[0], Interpreter(model).run(x)[0])


def test_the_pipeline_names_the_pass_that_broke_a_rule() -> None:
    def careless(model: Model) -> Model:
        graph = dataclasses.replace(model.main, outputs=(99,))
        return dataclasses.replace(model, graphs=(graph,))

    with pytest.raises(VerifyError, match="after careless"):
        run_passes(_foldable(), (careless,))


def test_passes_do_not_change_their_input() -> None:
    model = load_tflite(_delay(np.zeros(_SHAPE, np.int8)))
    before = [op.kind for op in model.main.ops]
    resolve_state(fold_constants(model))
    assert [op.kind for op in model.main.ops] == before
