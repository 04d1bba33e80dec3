"""SUM: int8, int16 and float32 over any constant axes."""

from __future__ import annotations

from tinyops.graph import OpView
from tinyops.ops.base import Activation
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.reduction import Summation


class Sum(Summation):
    kind = "SUM"
    versions = range(1, 3)

    def requantization(self, op: OpView) -> Requantization:
        return Requantization.of([op.input(0).scale / op.output().scale], Activation.NONE, op.output())
