"""PAD: constant borders of the real value 0, up to five dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import NEVER, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, constant_ints, ints

_MAX_RANK = 5


def paddings(op: OpView) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    flat = ints(op.input(1))
    return list(zip(flat[::2], flat[1::2], strict=True))


def fill_value(op: OpView) -> int:
    """The quantized 0: the output's zero point for 8 bits, 0 for wider dtypes."""
    return op.output().zero_point if op.output().dtype in (DType.INT8, DType.UINT8) else 0


class Pad(Operator):
    kind = "PAD"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 0)
        shape = op.input(0).shape
        if not 1 <= len(shape) <= _MAX_RANK:
            self.refuse(op, f"input of {len(shape)} dimensions", f"1 to {_MAX_RANK}")
        if op.output().dtype in (DType.INT8, DType.UINT8):
            self.expect_per_tensor(op, 0)
        values = constant_ints(self, op, 1, 2 * len(shape))
        if min(values) < 0:
            self.refuse(op, f"paddings {values}", "0 or more")
        self.expect_shape(op, [n + a + b for n, (a, b) in zip(shape, paddings(op), strict=True)])

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [np.pad(values, paddings(op), constant_values=fill_value(op))]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        tensor = op.input(0)
        addresses = np.arange(tensor.elements, dtype=np.int64).reshape(tensor.shape) * tensor.dtype.itemsize
        reads = np.pad(addresses, paddings(op), constant_values=NEVER)
        return {(0, 0): overlap_distance(reads, tensor.dtype.itemsize)}
