"""VAR_HANDLE: the handle of a variable, named by container and shared name."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.graph import DType, OpView
from tinyops.ops.state import ResourceOperator


@dataclass(frozen=True, slots=True)
class VarHandleAttrs:
    """Fields of TFLite's VarHandleOptions."""

    container: str = ""
    shared_name: str = ""


class VarHandle(ResourceOperator):
    kind = "VAR_HANDLE"
    attrs = VarHandleAttrs
    options = "VarHandleOptions"

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 0)
        self.expect_dtype(op, "the output", op.output().dtype, DType.RESOURCE)
