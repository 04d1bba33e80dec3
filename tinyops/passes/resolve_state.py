"""TFLite resource variables and variable tensors become graph state.

VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE are rewritten into READ_STATE and WRITE_STATE; the
subgraphs that CALL_ONCE names are evaluated here and give each state its initial value. A variable that
nothing initializes starts at its zero point, as in TFLite Micro. An operator that updates a variable tensor in
place reads its state before and writes the new value, its last output, after.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Op, State, Tensor
from tinyops.ops.base import operator
from tinyops.ops.state import StateAttrs

_RESOURCE_OPS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
_Variable = tuple[str, str]


def resolve_state(model: Model) -> Model:
    """Needs constants folded. Raises ModelError for recursion, run-time initializers and changing shapes."""
    model = _resolve_variable_tensors(model)
    if not any(op.kind in _RESOURCE_OPS for op in model.main.ops):
        return model
    initial = _initial_values(model)
    variables: dict[_Variable, int] = {}
    states = list(model.states)
    handles = _handles(model.main)
    ops: list[Op] = []
    for op in model.main.ops:
        if op.kind in ("VAR_HANDLE", "CALL_ONCE"):
            continue
        if op.kind not in _RESOURCE_OPS:
            ops.append(op)
            continue
        variable = _variable(model.main, op, handles)
        value = model.main.tensors[_value_index(op)]
        if variable not in variables:
            variables[variable] = len(states)
            states.append(_new_state(variable, value, initial.get(variable), op))
        index = variables[variable]
        _same_type(states[index], value, op)
        ops.append(_rewrite(op, index))
    main = dataclasses.replace(model.main, ops=tuple(ops))
    return dataclasses.replace(model, graphs=(main, *model.graphs[1:]), states=tuple(states))


def _resolve_variable_tensors(model: Model) -> Model:
    graph = model.main
    if not any(tensor.variable for tensor in graph.tensors):
        return model
    tensors, states, ops = list(graph.tensors), list(model.states), []
    index: dict[int, int] = {}
    for op in graph.ops:
        rules = operator(op.kind)
        updated = () if rules is None else rules.variables
        inputs = list(op.inputs)
        reads: list[Op] = []
        writes: list[Op] = []
        for position, output in zip(updated, op.outputs[len(op.outputs) - len(updated) :], strict=True):
            variable = op.inputs[position]
            if variable is None:
                _fail(f"variable input {position} is absent", op)
            if variable not in index:
                index[variable] = len(states)
                states.append(_state(graph.tensors[variable].name, graph.tensors[variable]))
            value = inputs[position] = len(tensors)
            tensors.append(dataclasses.replace(graph.tensors[variable], variable=False))
            attrs = StateAttrs(index[variable])
            reads.append(Op("READ_STATE", f"{op.name}_read_{position}", (), (value,), attrs))
            writes.append(Op("WRITE_STATE", f"{op.name}_write_{position}", (output,), (), attrs))
        ops += [*reads, dataclasses.replace(op, inputs=tuple(inputs)), *writes]
    tensors = [dataclasses.replace(tensor, variable=False) for tensor in tensors]
    main = dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))
    return dataclasses.replace(model, graphs=(main, *model.graphs[1:]), states=tuple(states))


def _state(name: str, value: Tensor) -> State:
    """A state like `value` that starts at its zero point (int8), or at 0."""
    q = value.quantization
    fill = q.zero_point if q is not None and value.dtype is DType.INT8 else 0
    initial = np.full(value.shape, fill, dtype=value.dtype.numpy)
    return State(name, value.dtype, value.shape, initial, q)


def _value_index(op: Op) -> int:
    if op.kind == "READ_VARIABLE":
        return op.outputs[0]
    index = op.inputs[1]
    if index is None:
        _fail("the value is absent", op)
    return index


def _rewrite(op: Op, state: int) -> Op:
    if op.kind == "READ_VARIABLE":
        return Op("READ_STATE", op.name.replace("variable", "state"), (), op.outputs, StateAttrs(state))
    return Op("WRITE_STATE", op.name.replace("assign_variable", "write_state"), (op.inputs[1],), (), StateAttrs(state))


def _handles(graph: Graph) -> dict[int, _Variable]:
    return {op.outputs[0]: (op.attrs.container, op.attrs.shared_name) for op in graph.ops if op.kind == "VAR_HANDLE"}


def _variable(graph: Graph, op: Op, handles: dict[int, _Variable]) -> _Variable:
    handle = op.inputs[0]
    if handle is None or handle not in handles:
        name = "none" if handle is None else graph.tensors[handle].name
        _fail(f"its resource handle ({name}) does not come from a VAR_HANDLE of the same subgraph", op)
    return handles[handle]


def _initial_values(model: Model) -> dict[_Variable, np.ndarray[Any, Any]]:
    found: dict[_Variable, np.ndarray[Any, Any]] = {}
    for call in (op for op in model.main.ops if op.kind == "CALL_ONCE"):
        index = call.attrs.init_subgraph_index
        if not 0 < index < len(model.graphs):
            _fail(f"initializer subgraph {index} does not exist", call, f"1 to {len(model.graphs) - 1}")
        graph = model.graphs[index]
        handles = _handles(graph)
        for op in graph.ops:
            if op.kind == "VAR_HANDLE":
                continue
            if op.kind != "ASSIGN_VARIABLE":
                _fail(f"initializer subgraph {index} computes {op.kind} at run time", call, "assignments of constants")
            value = graph.tensors[_value_index(op)].data
            if value is None:
                _fail(f"initializer subgraph {index} assigns a value that is not constant", call, "constants")
            found[_variable(graph, op, handles)] = value
    return found


def _new_state(variable: _Variable, value: Tensor, initial: np.ndarray[Any, Any] | None, op: Op) -> State:
    if value.dtype is DType.RESOURCE:
        _fail("a variable holds a resource handle", op)
    name = "/".join(part for part in variable if part)
    if initial is None:
        return _state(name, value)
    if initial.shape != value.shape or initial.dtype != value.dtype.numpy:
        _fail(
            f"variable {variable[1]!r} is initialized as {initial.dtype}{list(initial.shape)}",
            op,
            f"{value.dtype}{list(value.shape)}, as it is used",
        )
    return State(name, value.dtype, value.shape, initial, value.quantization)


def _same_type(state: State, value: Tensor, op: Op) -> None:
    if (state.dtype, state.shape) != (value.dtype, value.shape):
        _fail(
            f"variable {state.name!r} is used as {value.dtype}{list(value.shape)}",
            op,
            f"{state.dtype}{list(state.shape)}, as everywhere else",
        )


def _fail(what: str, op: Op, allowed: str | None = None) -> NoReturn:
    raise ModelError(what, where=f"operator {op.name} ({op.kind})", allowed=allowed)
