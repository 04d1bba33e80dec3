"""PACK: tensors of one shape become slices of the output along a new axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, join_embed, join_overlap, resolved_axis
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class PackAttrs:
    """Fields of TFLite's PackOptions."""

    values_count: int
    axis: int = 0


def axis_of(op: OpView) -> int:
    return int(op.attrs.axis) % len(op.output().shape)


def chunks(op: OpView) -> list[int]:
    """Elements that each input contributes to one run of the output."""
    return [math.prod(op.output().shape[axis_of(op) + 1 :])] * len(op.inputs)


class Pack(Operator):
    kind = "PACK"
    quantization = SHARED
    attrs = PackAttrs
    options = "PackOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        count = len(op.inputs)
        self.expect_arity(op, max(count, 1))
        check_movement(self, op, *range(count))
        if op.attrs.values_count != count:
            self.refuse(op, f"values_count is {op.attrs.values_count}", f"{count}, as there are inputs")
        shape = op.input(0).shape
        for i in range(1, count):
            if op.input(i).shape != shape:
                self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"{list(shape)}, as input 0")
        axis = resolved_axis(self, op, op.attrs.axis, len(shape) + 1)
        self.expect_shape(op, (*shape[:axis], count, *shape[axis:]))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.stack([v for v in inputs if v is not None], axis=axis_of(op))]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return join_overlap(op, chunks(op))

    def embed(self, op: OpView) -> Mapping[int, int]:
        return join_embed(op, chunks(op))
