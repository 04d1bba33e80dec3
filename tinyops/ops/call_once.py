"""CALL_ONCE: run a subgraph before the first invocation, to initialize variables."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.graph import OpView
from tinyops.ops.state import ResourceOperator


@dataclass(frozen=True, slots=True)
class CallOnceAttrs:
    """Fields of TFLite's CallOnceOptions."""

    init_subgraph_index: int


class CallOnce(ResourceOperator):
    kind = "CALL_ONCE"
    attrs = CallOnceAttrs
    options = "CallOnceOptions"
    effect = True

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 0, outputs=0)
