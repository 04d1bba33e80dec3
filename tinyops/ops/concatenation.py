"""CONCATENATION along one axis; int8 inputs are quantized as the output is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.movement import check_movement, join_embed, join_overlap
from tinyops.ops.quantization import SHARED


@dataclass(frozen=True, slots=True)
class ConcatenationAttrs:
    """Fields of TFLite's ConcatenationOptions."""

    axis: int
    fused_activation_function: Activation = Activation.NONE


def axis_of(op: OpView) -> int:
    return int(op.attrs.axis) % len(op.output().shape)


def chunks(op: OpView) -> list[int]:
    """Elements that each input contributes to one run of the output."""
    axis = axis_of(op)
    return [math.prod(op.input(i).shape[axis:]) for i in range(len(op.inputs))]


class Concatenation(Operator):
    kind = "CONCATENATION"
    quantization = SHARED
    attrs = ConcatenationAttrs
    options = "ConcatenationOptions"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        count = len(op.inputs)
        self.expect_arity(op, range(max(count, 1), max(count, 1) + 1))
        check_movement(self, op, *range(count))
        if op.attrs.fused_activation_function is not Activation.NONE:
            self.refuse(op, f"fused activation {op.attrs.fused_activation_function.name}", "NONE")
        shape = op.output().shape
        if not -len(shape) <= op.attrs.axis < len(shape):
            self.refuse(op, f"axis {op.attrs.axis}", f"{-len(shape)} to {len(shape) - 1}")
        axis = axis_of(op)
        total = 0
        for i in range(count):
            part = op.input(i).shape
            if len(part) != len(shape) or (*part[:axis], *part[axis + 1 :]) != (*shape[:axis], *shape[axis + 1 :]):
                self.refuse(op, f"input {i} has shape {list(part)}", f"{list(shape)} except on axis {axis}")
            total += part[axis]
        self.expect_shape(op, (*shape[:axis], total, *shape[axis + 1 :]))
        if op.output().dtype in (DType.INT8, DType.UINT8):
            self._check_quantization(op)

    def _check_quantization(self, op: OpView) -> None:
        self.expect_per_tensor(op, *range(len(op.inputs)))
        for i in range(len(op.inputs)):
            given, result = op.input(i), op.output()
            if (given.scale, given.zero_point) != (result.scale, result.zero_point):
                self.refuse(
                    op,
                    f"input {i} has scale {given.scale:g}, zero point {given.zero_point}",
                    f"scale {result.scale:g}, zero point {result.zero_point}, as the output",
                )

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.concatenate([v for v in inputs if v is not None], axis=axis_of(op))]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return join_overlap(op, chunks(op))

    def embed(self, op: OpView) -> Mapping[int, int]:
        return join_embed(op, chunks(op))
