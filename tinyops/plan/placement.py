"""Offsets of blocks for a given order: which relative offsets collide, greedy placement, exact branch and bound."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinyops.errors import ModelError
from tinyops.plan.liveness import Problem, round_up

#: Closed interval of allowed differences `offset[second] - offset[first]`.
Gap = tuple[float, float]

#: Pairs of blocks that are live together, of which 1,000 tensors that are all live make so many.
MAX_PAIRS = 500_000


@dataclass(frozen=True, eq=False)
class Placing:
    """Sizes and alignments of blocks, and per colliding pair the allowed differences of their offsets, ascending."""

    sizes: tuple[int, ...]
    alignments: tuple[int, ...]
    gaps: dict[tuple[int, int], tuple[Gap, ...]]

    def peak(self, offsets: Sequence[int]) -> int:
        return max((o + s for o, s in zip(offsets, self.sizes, strict=True)), default=0)


def build_placing(problem: Problem, order: Sequence[int]) -> Placing:
    """The pairs of blocks that are live together in this order.

    Two atoms collide while they share bytes, except in the step that reads one for the last time and writes the
    other, as far as the op lets them meet. Raises ModelError for more than MAX_PAIRS.
    """
    spans = problem.lifetimes(order)
    forbidden: dict[tuple[int, int], list[tuple[float, float]]] = {}
    active: list[tuple[int, int]] = []
    for b in sorted(range(len(spans)), key=lambda i: spans[i]):
        first, last = spans[b]
        active = [x for x in active if x[0] >= first]
        for _, a in active:
            one, two = problem.atoms[a], problem.atoms[b]
            if one.block == two.block:
                continue
            low: float = one.start - two.end
            if spans[a][1] == first and (a, b) in problem.meets:
                low = max(low, problem.meets[a, b])
            high: float = one.end - two.start
            if spans[a][1] == first and (a, b) in problem.meets_above:
                high = min(high, problem.meets_above[a, b])
            if low >= high:
                continue
            at = problem.meets_at.get((a, b)) if spans[a][1] == first else None
            intervals = [(low, high)] if at is None or not low < at < high else [(low, at), (at, high)]
            if one.block < two.block:
                forbidden.setdefault((one.block, two.block), []).extend(intervals)
            else:
                forbidden.setdefault((two.block, one.block), []).extend((-end, -start) for start, end in intervals)
        active.append((last, b))
        if len(forbidden) > MAX_PAIRS:
            raise ModelError(
                "too many tensors are in use at the same time to plan their memory",
                where=f"{len(problem.blocks):,} tensors",
                allowed=f"up to {MAX_PAIRS:,} pairs, which are 1,000 tensors at once",
            )
    alignments = tuple(block.alignment for block in problem.blocks)
    gaps = {(i, j): _allowed(intervals, min(alignments[i], alignments[j])) for (i, j), intervals in forbidden.items()}
    return Placing(tuple(block.size for block in problem.blocks), alignments, gaps)


def _allowed(forbidden: list[tuple[float, float]], unit: int) -> tuple[Gap, ...]:
    """The closed complement of open intervals, its ends rounded inwards to multiples of `unit`."""
    gaps: list[Gap] = []
    low = -math.inf
    for start, end in sorted(forbidden):
        high = math.floor(start / unit) * unit
        if low <= high:
            gaps.append((low, high))
        low = max(low, math.ceil(end / unit) * unit)
    return (*gaps, (low, math.inf))


class Neighbours:
    """Per block the other blocks that it collides with."""

    def __init__(self, placing: Placing) -> None:
        self.of: list[list[tuple[int, tuple[Gap, ...]]]] = [[] for _ in placing.sizes]
        for (i, j), gaps in placing.gaps.items():
            self.of[j].append((i, gaps))
            self.of[i].append((j, tuple((-high, -low) for low, high in reversed(gaps))))


def lowest_fit(placing: Placing, neighbours: Neighbours, sequence: Sequence[int]) -> list[int]:
    """Place the blocks in that sequence, each at the lowest offset that collides with none placed before."""
    offsets = [-1] * len(placing.sizes)
    for block in sequence:
        unit = placing.alignments[block]
        blocked: list[tuple[float, float]] = []
        for other, gaps in neighbours.of[block]:
            if offsets[other] >= 0:
                for (_, low), (high, _) in pairwise(gaps):
                    blocked.append((offsets[other] + low, offsets[other] + high))
        offset = 0
        for low, high in sorted(blocked):
            if offset <= low:
                continue
            if offset < high:
                offset = round_up(high, unit)
        offsets[block] = offset
    return offsets


def greedy(
    problem: Problem, placing: Placing, order: Sequence[int], goal: int, rounds: int, deadline: float = math.inf
) -> list[int]:
    """Offsets by `lowest_fit` in several sequences, the best one improved by moving what ends at the top to the front.

    Stops at a peak of `goal` bytes.
    """
    neighbours = Neighbours(placing)
    best: list[int] = []
    best_sequence: list[int] = []
    for sequence in _sequences(problem, placing, order):
        if best and time.monotonic() > deadline:
            return best
        offsets = lowest_fit(placing, neighbours, sequence)
        if not best or placing.peak(offsets) < placing.peak(best):
            best, best_sequence = offsets, sequence
        if placing.peak(best) <= goal:
            return best
    tried: set[tuple[int, ...]] = set()
    sequence, offsets = best_sequence, best
    for turn in range(rounds):
        peak = placing.peak(offsets)
        top = [b for b in sequence if offsets[b] + placing.sizes[b] == peak]
        block = top[turn % len(top)]
        sequence = [block, *(b for b in sequence if b != block)]
        if tuple(sequence) in tried or time.monotonic() > deadline:
            break
        tried.add(tuple(sequence))
        offsets = lowest_fit(placing, neighbours, sequence)
        if placing.peak(offsets) < placing.peak(best):
            best = offsets
        if placing.peak(best) <= goal:
            break
    return best


def _sequences(problem: Problem, placing: Placing, order: Sequence[int]) -> Iterator[list[int]]:
    """By size, by size times life, by first step, by last step backwards, and outwards from the largest block."""
    count = len(placing.sizes)
    first = [problem.ops] * count
    last = [-1] * count
    for atom, (start, end) in zip(problem.atoms, problem.lifetimes(order), strict=True):
        first[atom.block] = min(first[atom.block], start)
        last[atom.block] = max(last[atom.block], end)
    sizes = placing.sizes
    yield sorted(range(count), key=lambda b: (-sizes[b], first[b]))
    yield sorted(range(count), key=lambda b: (-sizes[b], -first[b]))
    yield sorted(range(count), key=lambda b: (-sizes[b] * (last[b] - first[b] + 1), first[b]))
    yield sorted(range(count), key=lambda b: (first[b], -sizes[b]))
    yield sorted(range(count), key=lambda b: (-last[b], -first[b], -sizes[b]))
    if count:
        centre = max(range(count), key=lambda b: (sizes[b], -first[b]))
        yield sorted(range(count), key=lambda b: (abs(first[b] - first[centre]), -first[b], -sizes[b]))
        yield sorted(range(count), key=lambda b: (abs(first[b] - first[centre]), first[b], -sizes[b]))


@dataclass(slots=True)
class Budget:
    """Work left, in pairs looked at, so that results do not depend on the machine; the clock ends it in any case."""

    work: int
    deadline: float

    def spend(self, work: int) -> bool:
        """Whether there is some left after this."""
        self.work -= work
        return self.work > 0 and time.monotonic() < self.deadline


@dataclass(slots=True)
class _Node:
    """Earliest and latest offsets, decided differences (first, second, at least), and pairs still undecided."""

    low: list[int]
    high: list[int]
    edges: list[tuple[int, int, int]]
    open: list[tuple[int, int, tuple[Gap, ...]]]


def exact(placing: Placing, below: int, goal: int, budget: Budget) -> tuple[list[int] | None, bool]:
    """Offsets with the least peak under `below`, or None; and whether the search was complete.

    Branch and bound on the disjunctions (which allowed interval a pair's difference takes): a node is a system
    of difference constraints whose least solution is either free of collisions, and then the best of the
    node, or names a pair to branch on. Stops at a peak of `goal` bytes.
    """
    best: list[int] | None = None
    pairs = [(i, j, gaps) for (i, j), gaps in sorted(placing.gaps.items())]
    count = len(placing.sizes)
    stack = [_Node([0] * count, [below] * count, [], pairs)]
    while stack:
        node = stack.pop()
        for b, size in enumerate(placing.sizes):
            limit = below - 1 - size
            node.high[b] = min(node.high[b], limit - limit % placing.alignments[b])
        if not budget.spend(count):
            return best, False
        if not _propagate(placing, node, budget):
            if not budget.spend(0):
                return best, False
            continue
        pair = _worst_collision(placing, node)
        if pair is None:
            best = node.low
            below = placing.peak(best)
            if below <= goal:
                return best, True
            continue
        stack.extend(_branches(placing, node, pair))
    return best, True


def _propagate(placing: Placing, node: _Node, budget: Budget) -> bool:
    """Tighten earliest and latest offsets and decide pairs with one way left; False if there is no solution."""
    low, high, alignments = node.low, node.high, placing.alignments
    if any(a > b for a, b in zip(low, high, strict=True)):
        return False
    changed = True
    while changed:
        changed = False
        if not budget.spend(len(node.edges) + len(node.open)):
            return False
        for i, j, distance in node.edges:
            if low[i] + distance > low[j]:
                low[j] = round_up(low[i] + distance, alignments[j])
                changed = True
                if low[j] > high[j]:
                    return False
            if high[j] - distance < high[i]:
                latest = high[j] - distance
                high[i] = latest - latest % alignments[i]
                changed = True
                if low[i] > high[i]:
                    return False
        undecided = []
        for i, j, gaps in node.open:
            least, most = low[j] - high[i], high[j] - low[i]
            ways = tuple(g for g in gaps if g[0] <= most and g[1] >= least)
            if not ways:
                return False
            if len(ways) > 1:
                undecided.append((i, j, ways))
            else:
                node.edges.extend(_edges(i, j, ways[0], least, most))
                changed = True
        node.open = undecided
    return True


def _edges(i: int, j: int, gap: Gap, least: int, most: int) -> Iterator[tuple[int, int, int]]:
    """What an interval says beyond the bounds [least, most] of the difference."""
    if gap[0] > least:
        yield i, j, int(gap[0])
    if gap[1] < most:
        yield j, i, -int(gap[1])


def _worst_collision(placing: Placing, node: _Node) -> tuple[int, int, tuple[Gap, ...]] | None:
    """The pair of the largest blocks that collide in the node's least solution."""
    found = None
    most = -1
    for i, j, gaps in node.open:
        difference = node.low[j] - node.low[i]
        weight = min(placing.sizes[i], placing.sizes[j])
        if weight > most and not any(a <= difference <= b for a, b in gaps):
            found, most = (i, j, gaps), weight
    return found


def _branches(placing: Placing, node: _Node, pair: tuple[int, int, tuple[Gap, ...]]) -> list[_Node]:
    """One node per interval of the pair, the one that raises the blocks least last (it is looked at first)."""
    i, j, gaps = pair
    least, most = node.low[j] - node.high[i], node.high[j] - node.low[i]

    def top(gap: Gap) -> float:
        return max(
            node.low[i] + gap[0] + placing.sizes[j],
            node.low[j] - gap[1] + placing.sizes[i],
        )

    rest = [p for p in node.open if p[:2] != (i, j)]
    return [
        _Node(node.low[:], node.high[:], [*node.edges, *_edges(i, j, gap, least, most)], rest)
        for gap in sorted(gaps, key=top, reverse=True)
    ]
