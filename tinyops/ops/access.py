"""How far an output must start below its input so that writing it destroys nothing that is still to be read.

Both are walked in the canonical order: outputs ascending, one step per output element, and a step's reads come
before its write.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinyops.ops.base import Array

#: The lowest address read by a step that reads nothing.
NEVER = np.iinfo(np.int64).max


def overlap_distance(lowest_reads: Array, write_bytes: int) -> int:
    """The smallest d >= 0 so that an output starting d bytes below the input overlaps it safely.

    `lowest_reads[k]` is the lowest input byte that the step of output element k reads (NEVER for none), and
    `write_bytes` the size of an output element. Exact: with d - 1 a write would hit a byte that is read later
    (unless d is 0).
    """
    reads = np.asarray(lowest_reads, dtype=np.int64).reshape(-1)
    if len(reads) < 2:
        return 0
    later = np.minimum.accumulate(reads[::-1])[::-1][1:]
    ends = write_bytes * np.arange(1, len(reads), dtype=np.int64)
    pending = later != NEVER
    return max(0, int((ends - later)[pending].max())) if pending.any() else 0


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Element strides of a dense row-major tensor."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def lattice(offsets: Sequence[Array], base: int = 0) -> Array:
    """Sums base + offsets[0][i] + offsets[1][j] + ..., indexed [i, j, ...]."""
    total: Array = np.full((1,) * len(offsets), base, dtype=np.int64)
    for axis, steps in enumerate(offsets):
        shape = [1] * len(offsets)
        shape[axis] = len(steps)
        total = total + np.asarray(steps, dtype=np.int64).reshape(shape)
    return total
