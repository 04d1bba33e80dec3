"""FILL: a tensor of a constant shape, each element the scalar that is input 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints
from tinyops.ops.quantization import SHARED


class Fill(Operator):
    kind = "FILL"
    quantization = SHARED
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 1)
        shape = constant_ints(self, op, 0)
        if op.input(1).shape:
            self.refuse(op, f"a value of shape {list(op.input(1).shape)}", "a scalar")
        self.expect_shape(op, shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        value = inputs[1]
        assert value is not None
        return [np.full(op.output().shape, value.reshape(()))]
