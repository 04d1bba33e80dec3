"""DYNAMIC_UPDATE_SLICE: input 0 with a box of it replaced by input 1, at a constant or computed int32 place.

As in TFLite a place at which the box would leave the tensor is the nearest one at which it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyops.graph import DType, OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.movement import check_movement, expect_rank
from tinyops.ops.quantization import SHARED

MAX_RANK = 6


def first_places(op: OpView, start: Array) -> list[int]:
    """Per axis the place of the box's first element."""
    spare = [n - part for n, part in zip(op.input(0).shape, op.input(1).shape, strict=True)]
    return [min(max(int(place), 0), most) for place, most in zip(start, spare, strict=True)]


class DynamicUpdateSlice(Operator):
    kind = "DYNAMIC_UPDATE_SLICE"
    quantization = SHARED
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 3)
        check_movement(self, op, 0, 1)
        expect_rank(self, op, range(1, MAX_RANK + 1))
        self.expect_dtype(op, "input 2", op.input(2).dtype, DType.INT32)
        shape, box = op.input(0).shape, op.input(1).shape
        if len(box) != len(shape) or any(part > n for part, n in zip(box, shape, strict=True)):
            self.refuse(op, f"a box of shape {list(box)}", f"one within {list(shape)}")
        if op.input(2).shape != (len(shape),):
            self.refuse(op, f"a place of shape {list(op.input(2).shape)}", f"{[len(shape)]}")
        self.expect_shape(op, shape)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, box, start = inputs
        assert values is not None
        assert box is not None
        assert start is not None
        result = values.copy()
        places = first_places(op, start)
        result[tuple(slice(at, at + n) for at, n in zip(places, box.shape, strict=True))] = box
        return [result]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """In place: input 0 is moved before the box is stored."""
        return {(0, 0): 0}
