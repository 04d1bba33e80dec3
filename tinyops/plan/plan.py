"""The result of memory planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyops.plan.storage import Storage


@dataclass(frozen=True, eq=False)
class Plan:
    """Order, offsets and how good they are. All sizes and offsets are in bytes.

    `order`: op indices in the order of execution. `offsets`: tensor -> offset in the arena, for all tensors there,
    views included. `scratch_offsets`: op -> offset of its scratch in the arena. `peak`: size of the arena, a multiple
    of `alignment`.
    `lower_bound`: no order and no offsets need less, given the demands. `witness`: name of the op whose step forces
    most of it; None if the graph's inputs or outputs do. `lifetimes`: tensor -> (first, last) step in which its
    bytes are in use; -1 is before the first op, `len(order)` after the last. `optimal`: `peak` is proven to be the
    least. `method`: which search found the offsets. `state_offsets`: per state its offset in the state memory of
    `state_bytes`. `alignment`: every tensor in the arena starts at a multiple of it (and of its element size);
    `arena_alignment`, `state_alignment`: what the addresses of the arena and the state memory must be multiples of.
    """

    storage: Storage
    order: tuple[int, ...]
    offsets: Mapping[int, int]
    scratch_offsets: Mapping[int, int]
    peak: int
    lower_bound: int
    witness: str | None
    lifetimes: Mapping[int, tuple[int, int]]
    optimal: bool
    method: Literal["exact", "greedy"]
    state_offsets: tuple[int, ...]
    state_bytes: int
    alignment: int
    arena_alignment: int
    state_alignment: int

    @property
    def gap(self) -> float:
        """How far the peak is above the lower bound, as a fraction of the bound."""
        return self.peak / self.lower_bound - 1 if self.lower_bound else 0.0
