"""Extents and strides of strided kernels: few dimensions, long runs."""

from __future__ import annotations

from collections.abc import Sequence


def contiguous_strides(shape: Sequence[int], step: int = 1) -> tuple[int, ...]:
    """Row-major strides of `shape`; `step` is the innermost one (1 for elements, the item size for bytes)."""
    strides = []
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def merge(extents: Sequence[int], *strides: Sequence[int]) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The same index space with the fewest dimensions, as (extents, strides): outermost first.

    Dimensions of extent 1 vanish, and neighbours become one where, for every tensor in `strides`, the outer stride
    is the inner one times the inner extent.
    """
    kept: list[tuple[int, list[int]]] = []
    for d, extent in enumerate(extents):
        if extent == 1:
            continue
        steps = [s[d] for s in strides]
        if kept and kept[-1][1] == [step * extent for step in steps]:
            kept[-1] = (kept[-1][0] * extent, steps)
        else:
            kept.append((extent, steps))
    return tuple(e for e, _ in kept), tuple(tuple(s[i] for _, s in kept) for i in range(len(strides)))


def lead(values: Sequence[int], rank: int, fill: int) -> tuple[int, ...]:
    """`values` with leading `fill` up to `rank` entries; ValueError when there are more."""
    if len(values) > rank:
        raise ValueError(f"{len(values)} dimensions where {rank} fit")
    return (fill,) * (rank - len(values)) + tuple(values)
