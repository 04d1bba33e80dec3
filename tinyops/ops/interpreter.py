"""Run a model with the operators' NumPy references: the semantics that all generated code must match."""

from __future__ import annotations

import numpy as np

from tinyops.errors import ModelError, UsageError
from tinyops.graph import Model, OpView
from tinyops.ops import check
from tinyops.ops.base import Array, operator
from tinyops.ops.state import refuse_resource

_RESOURCE_KINDS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


class Interpreter:
    """Evaluates the main graph; state is carried from one `run` to the next until `reset`.

    Raises ModelError for a model that is not supported or still has resource variables.
    """

    def __init__(self, model: Model) -> None:
        check(model)
        for view in model.main.views():
            if view.kind in _RESOURCE_KINDS:
                refuse_resource(view)
        if any(tensor.variable for tensor in model.main.tensors):
            raise ModelError("variable tensors are not evaluated", hint="run the pass resolve_state")
        self._model = model
        self._states: list[Array] = []
        #: Values of the last run by tensor index: inputs, constants and all results.
        self.tensors: dict[int, Array] = {}
        self.reset()

    def reset(self) -> None:
        """Give every state its initial value."""
        self._states = [state.initial.copy() for state in self._model.states]

    @property
    def states(self) -> list[Array]:
        """The values of the states now."""
        return [state.copy() for state in self._states]

    def run(self, *inputs: Array) -> list[Array]:
        """One invocation. Inputs have the dtypes and shapes of the graph's inputs; else UsageError."""
        graph = self._model.main
        if len(inputs) != len(graph.inputs):
            raise UsageError(f"{len(inputs)} inputs", where=f"model {self._model.name}", allowed=str(len(graph.inputs)))
        self.tensors = {k: t.data for k, t in enumerate(graph.tensors) if t.data is not None}
        for index, value in zip(graph.inputs, inputs, strict=True):
            tensor = graph.tensors[index]
            if value.shape != tensor.shape or value.dtype != tensor.dtype.numpy:
                raise UsageError(
                    f"an input is {value.dtype}{list(value.shape)}",
                    where=f"input {tensor.name}",
                    allowed=f"{tensor.dtype}{list(tensor.shape)}",
                )
            self.tensors[index] = value
        for view in graph.views():
            self._step(view)
        return [self.tensors[t] for t in graph.outputs]

    def _step(self, view: OpView) -> None:
        if view.kind == "READ_STATE":
            self.tensors[view.op.outputs[0]] = self._states[view.attrs.state]
            return
        values = [None if t is None else self.tensors[t] for t in view.op.inputs]
        if view.kind == "WRITE_STATE":
            value = values[0]
            assert value is not None
            self._states[view.attrs.state] = value.copy()
            return
        rules = operator(view.kind)
        if rules is None:
            raise ModelError("is not supported", where=f"operator {view.name} ({view.kind})")
        with np.errstate(all="ignore"):  # infinity and NaN are values like others
            results = rules.reference(view, values)
        for index, result in zip(view.op.outputs, results, strict=True):
            self.tensors[index] = np.ascontiguousarray(result).reshape(np.shape(result))  # which a scalar loses
