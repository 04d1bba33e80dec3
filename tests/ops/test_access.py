"""Overlap distances against a simulation: an in-place run is right at the distance and wrong one byte above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyops.ops.access import NEVER, lattice, overlap_distance, strides_of

Reads = Sequence[Sequence[int]]


def survives(reads: Reads, distance: int, write_bytes: int) -> bool:
    """Whether every read of every step still finds the input when the output starts `distance` below it."""
    destroyed: set[int] = set()
    for step, addresses in enumerate(reads):
        if destroyed.intersection(addresses):
            return False
        destroyed.update(step * write_bytes + k - distance for k in range(write_bytes))
    return True


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=12), st.sampled_from([1, 2, 4]))
def test_distance_is_safe_and_least(reads: Reads, write_bytes: int) -> None:
    lowest = np.array([min(addresses, default=NEVER) for addresses in reads], dtype=np.int64)
    distance = overlap_distance(lowest, write_bytes)
    assert all(survives(reads, d, write_bytes) for d in range(distance, distance + 40))
    # One less lets a write reach the lowest address of a later read, or a higher one of a dense tensor.
    dense = [range(n, 31) if n != NEVER else () for n in lowest]
    assert distance == 0 or not survives([list(step) for step in dense], distance - 1, write_bytes)


@pytest.mark.parametrize("reads", [[], [NEVER, NEVER], [0]])
def test_nothing_read_later(reads: list[int]) -> None:
    assert overlap_distance(np.array(reads, dtype=np.int64), 4) == 0


def test_lattice_of_strides() -> None:
    shape = (2, 3, 4)
    steps = [np.arange(n) * s for n, s in zip(shape, strides_of(shape), strict=True)]
    np.testing.assert_array_equal(lattice(steps), np.arange(24).reshape(shape))
