"""READ_STATE and WRITE_STATE: a model's persistent state, by index into Model.states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tinyops.errors import ModelError
from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator


@dataclass(frozen=True, slots=True)
class StateAttrs:
    """Which state of the model."""

    state: int


class _StateOperator(Operator):
    attrs = StateAttrs
    importable = False
    effect = True

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        self.refuse(op, "has no value without the model's state", "tinyops.ops.interpreter.Interpreter")


class ReadState(_StateOperator):
    """No input; the output is the state's value at this point of the invocation."""

    kind = "READ_STATE"
    effect = False

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 0)


class WriteState(_StateOperator):
    """One input, no output; operators after it read the new value."""

    kind = "WRITE_STATE"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 1, outputs=0)


class ResourceOperator(Operator):
    """Base of TFLite's resource operators, which are rewritten before anything runs."""

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        refuse_resource(op)


def refuse_resource(op: OpView) -> NoReturn:
    raise ModelError(
        "resource variables are not evaluated",
        where=f"operator {op.name} ({op.kind})",
        hint="run the pass resolve_state, which turns them into READ_STATE and WRITE_STATE",
    )
