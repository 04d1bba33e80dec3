"""SELECT: SELECT_V2 of three tensors of one shape."""

from __future__ import annotations

from tinyops.graph import DType, OpView
from tinyops.ops.select_v2 import SelectV2


class Select(SelectV2):
    kind = "SELECT"
    not_in_micro = (*DType,)
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        super().check(op)
        for i in range(3):
            if op.input(i).shape != op.output().shape:
                self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"{list(op.output().shape)}")
