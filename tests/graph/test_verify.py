"""The structural verifier finds every broken rule and names where it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinyops.errors import VerifyError
from tinyops.graph import DType, Graph, Model, Op, Quantization, State, Tensor, verify

_Q = Quantization((0.5,), (0,))


def _tensor(name: str, shape: tuple[int, ...] = (1, 4), **facts: object) -> Tensor:
    return dataclasses.replace(Tensor(name, DType.INT8, shape, _Q), **facts)  # type: ignore[arg-type]


def _model(**facts: object) -> Model:
    """x -> RESHAPE -> a -> LOGISTIC -> y"""
    graph = Graph(
        "main",
        (_tensor("x"), _tensor("a"), _tensor("y")),
        (Op("RESHAPE", "reshape_0", (0,), (1,)), Op("LOGISTIC", "logistic_1", (1,), (2,))),
        (0,),
        (2,),
    )
    return Model("m", (dataclasses.replace(graph, **facts),))  # type: ignore[arg-type]


def test_sound_model_passes() -> None:
    verify(_model())


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        ({"inputs": (9,)}, ("index 9 out of range", "inputs")),
        ({"inputs": (0, 0)}, ("listed twice", "inputs")),
        ({"outputs": (-1,)}, ("index -1 out of range", "outputs")),
        ({"ops": (Op("LOGISTIC", "logistic_1", (1,), (2,)),)}, ("before an operator has written it", "logistic_1")),
        ({"ops": (Op("RESHAPE", "r", (0,), (1,)), Op("LOGISTIC", "r", (1,), (2,)))}, ("names are unique", "op r")),
        ({"ops": (Op("RESHAPE", "r", (0,), (1,)), Op("RESHAPE", "s", (0,), (1,)))}, ("written already", "op s")),
        ({"ops": (Op("RESHAPE", "r", (0,), (7,)),)}, ("tensor index 7 out of range", "op r")),
        ({"ops": (Op("RESHAPE", "r", (0,), (1,)),)}, ("no operator writes this output", "(y)")),
        ({"ops": (Op("RESHAPE", "r", (1,), (0,)),)}, ("before an operator", "op r")),
    ],
)
def test_broken_graphs_are_named(facts: dict[str, object], parts: tuple[str, ...]) -> None:
    with pytest.raises(VerifyError) as caught:
        verify(_model(**facts), after="some_pass")
    for part in ("after some_pass", *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "rule"),
    [
        (_tensor("x", (1, -4)), "negative dimension"),
        (_tensor("x", quantization=Quantization((0.0,), (0,))), "not a positive finite number"),
        (_tensor("x", quantization=Quantization((float("nan"),), (0,))), "not a positive finite number"),
        (_tensor("x", quantization=Quantization((0.5,), (128,))), "zero point 128 is outside int8"),
        (_tensor("x", quantization=Quantization((0.5, 0.5), (0,))), "one of each per channel"),
        (_tensor("x", quantization=Quantization((0.5,) * 3, (0,) * 3, 1)), "3 scales for 4 channels on axis 1"),
        (_tensor("x", quantization=Quantization((0.5,) * 4, (0,) * 4, 5)), "quantized axis 5"),
        (_tensor("x", data=np.zeros((1, 5), np.int8)), "another shape or dtype"),
        (_tensor("x", data=np.zeros((1, 4), np.int16)), "another shape or dtype"),
        (_tensor("x", data=np.zeros((1, 4), np.int8)), "a graph input is not a constant"),
    ],
)
def test_broken_tensors_are_named(tensor: Tensor, rule: str) -> None:
    model = _model()
    graph = dataclasses.replace(model.main, tensors=(tensor, *model.main.tensors[1:]))
    with pytest.raises(VerifyError, match="tensor 0") as caught:
        verify(Model("m", (graph,)))
    assert rule in str(caught.value)


def test_state_must_match_its_initial_value() -> None:
    state = State("s", DType.INT8, (1, 2), np.zeros((1, 3), np.int8))
    with pytest.raises(VerifyError, match="state s"):
        verify(dataclasses.replace(_model(), states=(state,)))


def test_a_model_has_a_graph() -> None:
    with pytest.raises(VerifyError, match="at least one graph"):
        verify(Model("m", ()))
