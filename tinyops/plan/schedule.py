"""The order of the ops: best-first search for the order whose largest step needs the least memory."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tinyops.plan.liveness import Problem, bits


@dataclass(frozen=True, slots=True)
class Schedule:
    """An order, the bytes its largest step needs at least, and a bound that holds for every order.

    `witness` is the op of that step; None when graph inputs or outputs alone need that much.
    """

    order: tuple[int, ...]
    bytes: int
    lower_bound: int
    witness: int | None


def order_bytes(problem: Problem, order: tuple[int, ...]) -> tuple[int, int | None]:
    """Bytes that the largest step of an order needs at least, and the op of that step."""
    peak, witness = max(problem.initial_bytes, problem.final_bytes), None
    done, live = 0, problem.live_at_start()
    for k in order:
        during, live = problem.step(k, done, live)
        done |= 1 << k
        if during > peak or (during == peak and witness is None):
            peak, witness = during, k
    return peak, witness


def any_order_bound(problem: Problem) -> int:
    """Bytes that some step needs in every order: what must be live around it, with the best overlap."""
    ancestors, descendants = closures(problem)
    everything = (1 << problem.ops) - 1
    bound = max(problem.initial_bytes, problem.final_bytes)
    for k in range(problem.ops):
        here = 1 << k
        earlier, later = ancestors[k] | here, descendants[k] | here
        forced = sum(
            a.size
            for a in problem.atoms
            if (a.writer < 0 or earlier >> a.writer & 1) and (a.kept or a.writer == k or a.readers & later)
        )
        bound = max(bound, forced - problem.saving(k, everything & ~later))
    return bound


def closures(problem: Problem) -> tuple[list[int], list[int]]:
    """Masks of all ops that precede and follow each op in every order."""
    ancestors = [0] * problem.ops
    descendants = [0] * problem.ops
    for k in range(problem.ops):
        for j in bits(problem.before[k]):
            ancestors[k] |= ancestors[j] | 1 << j
    for k in reversed(range(problem.ops)):
        for j in bits(problem.before[k]):
            descendants[j] |= descendants[k] | 1 << k
    return ancestors, descendants


def ready_ops(problem: Problem, done: int) -> list[int]:
    left = ((1 << problem.ops) - 1) & ~done
    return [k for k in bits(left) if problem.before[k] & ~done == 0]


def best_order(problem: Problem, *, states: int, deadline: float) -> Schedule:
    """The order with the least `order_bytes`; the original one where it is as good.

    Best-first search over sets of executed ops (a bottleneck shortest path): exact when it ends within
    `states` expansions; then `lower_bound` equals `bytes`. Otherwise the better of the original order and a
    greedy completion, with the bound that the open states prove.
    """
    original = tuple(range(problem.ops))
    peak, witness = order_bytes(problem, original)
    bound = any_order_bound(problem)
    if peak == bound:
        return Schedule(original, peak, bound, witness)
    order, bound = _search(problem, bound, peak, states, deadline)
    found, where = order_bytes(problem, order)
    return Schedule(order, found, bound, where) if found < peak else Schedule(original, peak, min(bound, peak), witness)


def _search(problem: Problem, bound: int, known: int, states: int, deadline: float) -> tuple[tuple[int, ...], int]:
    """An order and a bound for all orders; orders that need `known` bytes or more are not of interest."""
    full = (1 << problem.ops) - 1
    came: dict[int, tuple[int, int]] = {}
    heap: list[tuple[int, int, int, int, int, int]] = [(bound, 0, problem.live_at_start(), 0, -1, -1)]
    while heap:
        key, _, live, done, parent, op = heapq.heappop(heap)
        if done in came:
            continue
        came[done] = (parent, op)
        if key >= known:
            return tuple(range(problem.ops)), known
        if done == full:
            return _trace(came, full), key
        if len(came) > states or time.monotonic() > deadline:
            return _complete(problem, _trace(came, done), done, live, deadline), key
        for k, during, after in _children(problem, done, live, key):
            ran = (done | 1 << k).bit_count()
            heapq.heappush(heap, (max(key, during), -ran, after, done | 1 << k, done, k))
    raise AssertionError("a graph without an order")


def _children(problem: Problem, done: int, live: int, key: int) -> Iterator[tuple[int, int, int]]:
    """Ops that may come next. One that fits below `key` and leaves no more live than before dominates all others."""
    found = []
    for k in ready_ops(problem, done):
        during, after = problem.step(k, done, live)
        if during <= key and after <= live:
            return iter([(k, during, after)])
        found.append((k, during, after))
    return iter(found)


def _trace(came: dict[int, tuple[int, int]], done: int) -> tuple[int, ...]:
    order = []
    while done:
        done, op = came[done]
        order.append(op)
    return tuple(reversed(order))


def _complete(problem: Problem, order: tuple[int, ...], done: int, live: int, deadline: float) -> tuple[int, ...]:
    """Finish an order greedily: the op with the smallest step next, then the one that leaves the least live.

    From the deadline on, the other ops follow in their original order.
    """
    while len(order) < problem.ops:
        if time.monotonic() > deadline:
            return (*order, *(k for k in range(problem.ops) if not done >> k & 1))
        steps = ((*problem.step(k, done, live), k) for k in ready_ops(problem, done))
        _, live, k = min(steps)
        order, done = (*order, k), done | 1 << k
    return order


def orders_below(problem: Problem, limit: int) -> Iterator[tuple[int, ...] | None]:
    """All orders that need less than `limit` bytes by `order_bytes`; None for each partial order, to count work."""
    stack: list[tuple[tuple[int, ...], int, int]] = [((), 0, problem.live_at_start())]
    if max(problem.initial_bytes, problem.final_bytes) >= limit:
        return
    while stack:
        order, done, live = stack.pop()
        if len(order) == problem.ops:
            yield order
            continue
        yield None
        for k in reversed(ready_ops(problem, done)):
            during, after = problem.step(k, done, live)
            if during < limit:
                stack.append(((*order, k), done | 1 << k, after))
