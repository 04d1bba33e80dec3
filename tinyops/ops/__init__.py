"""Operators: one file each, registered by definition. `check` applies their rules to a whole model."""

from __future__ import annotations

from typing import NoReturn

from tinyops.errors import ModelError
from tinyops.graph import DType, Model, OpView, State, Tensor
from tinyops.ops.base import (
    Activation,
    Array,
    NoAttrs,
    Operator,
    Padding,
    operator,
    supported,
)


def check(model: Model) -> None:
    """Raise ModelError for the first operator of any graph that is not supported as it stands."""
    for graph in model.graphs:
        for view in graph.views():
            rules = operator(view.kind)
            if rules is None:
                _fail(view, "is not supported", ", ".join(supported()))
            if view.op.version not in rules.versions:
                span = f"{rules.versions[0]} to {rules.versions[-1]}"
                _fail(view, f"version {view.op.version}", f"versions {span}")
            if not isinstance(view.attrs, rules.attrs):
                _fail(view, f"attributes are {type(view.attrs).__name__}", rules.attrs.__name__)
            _check_filled(view)
            rules.check(view)
            _check_state(view, model.states)


def _check_filled(view: OpView) -> None:
    present = [t for t in view.inputs if t is not None and not t.is_constant]
    for tensor in (*present, *view.outputs):
        if tensor.elements == 0 and tensor.dtype is not DType.RESOURCE:
            _fail(view, f"tensor {tensor.name} of shape {list(tensor.shape)} is empty", "at least one element")


def _check_state(view: OpView, states: tuple[State, ...]) -> None:
    if view.kind not in ("READ_STATE", "WRITE_STATE"):
        return
    index = view.attrs.state
    if not 0 <= index < len(states):
        _fail(view, f"state {index} does not exist", f"0 to {len(states) - 1}" if states else "a model with states")
    tensor: Tensor = view.output() if view.kind == "READ_STATE" else view.input(0)
    state = states[index]
    if (tensor.dtype, tensor.shape) != (state.dtype, state.shape):
        _fail(
            view,
            f"tensor {tensor.name} is {tensor.dtype}{list(tensor.shape)}",
            f"{state.dtype}{list(state.shape)}, as state {state.name}",
        )


def _fail(view: OpView, what: str, allowed: str) -> NoReturn:
    raise ModelError(what, where=f"operator {view.name} ({view.kind})", allowed=allowed)


__all__ = [
    "Activation",
    "Array",
    "NoAttrs",
    "Operator",
    "Padding",
    "check",
    "operator",
    "supported",
]
