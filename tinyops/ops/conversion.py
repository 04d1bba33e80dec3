"""What operators that change the dtype of each element have in common."""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.broadcast import aligned


def conversion_overlap(op: OpView) -> int:
    """How far in bytes output 0 must start below input 0; a multiple of the output's item size."""
    tensor, result = op.input(0), op.output()
    reads = np.arange(tensor.elements, dtype=np.int64) * tensor.dtype.itemsize
    return aligned(overlap_distance(reads, result.dtype.itemsize), result.dtype)
