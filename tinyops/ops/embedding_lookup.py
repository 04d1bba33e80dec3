"""EMBEDDING_LOOKUP: rows of a table, at constant or computed int32 indices.

A computed index out of range takes the nearest row, where TFLite Micro ends the invocation with an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinyops.graph import OpView
from tinyops.ops.base import Array, Operator
from tinyops.ops.gather import Lookup, check_indices
from tinyops.ops.movement import check_movement
from tinyops.ops.quantization import SHARED


def lookup(op: OpView) -> Lookup:
    table = op.input(1).shape
    return Lookup(1, 1, table[0], op.input(0).elements, math.prod(table[1:]))


class EmbeddingLookup(Operator):
    kind = "EMBEDDING_LOOKUP"
    quantization = SHARED
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_movement(self, op, 1, name="the value")
        indices, table = op.input(0).shape, op.input(1).shape
        if len(indices) != 1 or len(table) < 2:
            self.refuse(op, f"indices {list(indices)} into {list(table)}", "[count] into [rows, ...]")
        check_indices(self, op, 0, table[0])
        self.expect_shape(op, (*indices, *table[1:]))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        indices, values = inputs[0], inputs[1]
        assert values is not None
        assert indices is not None
        return [values.reshape(-1)[lookup(op).addresses(indices)].reshape(op.output().shape)]
