"""The inverse of the pass resolve_state: a model's states become what a .tflite file has for them.

A state that an operator updates in place (SVDF, LSTM) becomes a variable tensor. Every other state becomes a resource
variable, which a subgraph sets to its initial value once.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Op, State, Tensor
from tinyops.ops.base import NoAttrs, operator
from tinyops.ops.call_once import CallOnceAttrs
from tinyops.ops.var_handle import VarHandleAttrs

_INITIALIZERS = "initialize_states"


def restore_state(model: Model) -> Model:
    """ModelError for a state that an operator updates, but that something else uses, too, or that starts elsewhere."""
    if not model.states:
        return model
    editor = _Editor(model)
    editor.restore_variable_tensors()
    graphs = (editor.resource_variables(), *model.graphs[1:], *editor.initializers)
    return dataclasses.replace(model, graphs=graphs, states=())


class _Editor:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph = model.main
        self.tensors = list(self.graph.tensors)
        self.ops = list(self.graph.ops)
        self.initializers: list[Graph] = []

    def restore_variable_tensors(self) -> None:
        """The operators that read and write such a state give way to a variable tensor."""
        variables: dict[int, int] = {}
        gone: set[str] = set()
        for k, op in enumerate(self.ops):
            rules = operator(op.kind)
            positions = () if rules is None else rules.variables
            inputs = list(op.inputs)
            for position, output in zip(positions, op.outputs[len(op.outputs) - len(positions) :], strict=True):
                read, write = self._read_of(op.inputs[position], op), self._write_of(output, op)
                gone |= {read.name, write.name}
                inputs[position] = variables.setdefault(read.attrs.state, len(self.tensors))
                if inputs[position] == len(self.tensors):
                    self.tensors.append(_variable(self.model.states[read.attrs.state], op))
            self.ops[k] = dataclasses.replace(op, inputs=tuple(inputs))
        self.ops = [op for op in self.ops if op.name not in gone]
        for op in self.ops:
            if op.kind in ("READ_STATE", "WRITE_STATE") and op.attrs.state in variables:
                _refuse(self.model.states[op.attrs.state], op, "is read or written by another operator")

    def _read_of(self, tensor: int | None, op: Op) -> Op:
        producer = None if tensor is None else self.graph.producer.get(tensor)
        read = None if producer is None else self.graph.ops[producer]
        if read is None or read.kind != "READ_STATE" or len(self.graph.consumers[read.outputs[0]]) > 1:
            raise ModelError("its state is not its own", where=f"operator {op.name} ({op.kind})")
        return read

    def _write_of(self, tensor: int, op: Op) -> Op:
        users = [self.graph.ops[k] for k in self.graph.consumers.get(tensor, ())]
        if len(users) != 1 or users[0].kind != "WRITE_STATE" or tensor in self.graph.outputs:
            raise ModelError("the new value of its state is not written alone", where=f"operator {op.name} ({op.kind})")
        return users[0]

    def resource_variables(self) -> Graph:
        """The main graph with READ_VARIABLE and ASSIGN_VARIABLE, initialized by a subgraph of constants."""
        used = dict.fromkeys(op.attrs.state for op in self.ops if op.kind in ("READ_STATE", "WRITE_STATE"))
        names = _unique([self.model.states[s].name for s in used])
        handles: dict[int, int] = {}
        first: list[Op] = []
        for s, name in zip(used, names, strict=True):
            handles[s] = len(self.tensors)
            self.tensors.append(Tensor(f"{name}_handle", DType.RESOURCE, ()))
            first.append(_op("VAR_HANDLE", len(first), (), (handles[s],), VarHandleAttrs("", name)))
        if used:
            self.initializers.append(_initializer([self.model.states[s] for s in used], names))
            first.append(_op("CALL_ONCE", 0, (), (), CallOnceAttrs(len(self.model.graphs))))
        ops = (*first, *(_as_variable(op, handles) for op in self.ops))
        return dataclasses.replace(self.graph, tensors=tuple(self.tensors), ops=ops)


def _as_variable(op: Op, handles: dict[int, int]) -> Op:
    if op.kind == "READ_STATE":
        return Op("READ_VARIABLE", op.name, (handles[op.attrs.state],), op.outputs, NoAttrs())
    if op.kind == "WRITE_STATE":
        return Op("ASSIGN_VARIABLE", op.name, (handles[op.attrs.state], *op.inputs), (), NoAttrs())
    return op


def _initializer(states: list[State], names: list[str]) -> Graph:
    """A subgraph that assigns the initial values."""
    tensors: list[Tensor] = []
    ops: list[Op] = []
    for k, (state, name) in enumerate(zip(states, names, strict=True)):
        handle, value = len(tensors), len(tensors) + 1
        tensors.append(Tensor(f"{name}_handle", DType.RESOURCE, ()))
        tensors.append(Tensor(f"{name}_initial", state.dtype, state.shape, state.quantization, state.initial))
        ops.append(_op("VAR_HANDLE", k, (), (handle,), VarHandleAttrs("", name)))
        ops.append(_op("ASSIGN_VARIABLE", k, (handle, value), (), NoAttrs()))
    return Graph(_INITIALIZERS, tuple(tensors), tuple(ops), (), ())


def _variable(state: State, op: Op) -> Tensor:
    """A variable tensor starts at its zero point (int8), or at 0."""
    q = state.quantization
    start = q.zero_point if q is not None and state.dtype is DType.INT8 else 0
    if np.any(state.initial != start):
        _refuse(state, op, f"starts at other values than {start}")
    return Tensor(state.name, state.dtype, state.shape, state.quantization, variable=True)


def _op(kind: str, k: int, inputs: tuple[int, ...], outputs: tuple[int, ...], attrs: Any) -> Op:
    return Op(kind, f"{kind.lower()}_of_state_{k}", inputs, outputs, attrs)


def _unique(names: list[str]) -> list[str]:
    """Names of resource variables, which identify them."""
    return [name if names.count(name) == 1 else f"{name}_{k}" for k, name in enumerate(names)]


def _refuse(state: State, op: Op, what: str) -> None:
    raise ModelError(
        f"state {state.name} {what}",
        where=f"operator {op.name} ({op.kind})",
        allowed="a state of its own that starts at the zero point, as .tflite files have it",
    )
