"""PAD: constant borders of the real value 0, up to five dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import NEVER, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import EIGHT_BITS, check_movement, constant_ints, expect_rank, ints
from tinyops.ops.quantization import SHARED

MAX_RANK = 5


def paddings(op: OpView) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    flat = ints(op.input(1))
    return list(zip(flat[::2], flat[1::2], strict=True))


def zero(op: OpView) -> int:
    """The quantized 0 of the output: its zero point for 8 bits, 0 for the other dtypes."""
    return op.output().zero_point if op.output().dtype in EIGHT_BITS else 0


def fill_value(op: OpView) -> float:
    """PADV2's value; PAD's is the quantized 0."""
    if len(op.inputs) != 3:
        return zero(op)
    value = op.input(2).data
    assert value is not None
    return value.item()  # type: ignore[no-any-return]


def check_paddings(rules: Operator, op: OpView, max_rank: int) -> None:
    """Input 1 holds a pair of paddings for each axis of input 0, and the output has the padded shape."""
    check_movement(rules, op, 0)
    expect_rank(rules, op, range(1, max_rank + 1))
    shape = op.input(0).shape
    values = constant_ints(rules, op, 1, 2 * len(shape))
    if min(values) < 0:
        rules.refuse(op, f"paddings {values}", "0 or more")
    rules.expect_shape(op, [n + a + b for n, (a, b) in zip(shape, paddings(op), strict=True)])


class Pad(Operator):
    kind = "PAD"
    quantization = SHARED
    versions = range(1, 6)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_paddings(self, op, MAX_RANK)
        if op.output().dtype in EIGHT_BITS:
            self.expect_per_tensor(op, 0)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [np.pad(values, paddings(op), constant_values=fill_value(op))]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        tensor = op.input(0)
        addresses = np.arange(tensor.elements, dtype=np.int64).reshape(tensor.shape) * tensor.dtype.itemsize
        reads = np.pad(addresses, paddings(op), constant_values=NEVER)
        return {(0, 0): overlap_distance(reads, tensor.dtype.itemsize)}
