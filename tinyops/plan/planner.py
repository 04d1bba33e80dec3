"""The memory planner: an order of the ops and an arena offset for every tensor, for the least peak it can find."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyops.graph import Graph, State
from tinyops.plan.check import verify_plan
from tinyops.plan.liveness import Demand, Problem, build_problem, default_demands, round_up
from tinyops.plan.placement import Budget, Placing, build_placing, exact, greedy
from tinyops.plan.plan import Plan
from tinyops.plan.schedule import best_order, order_bytes, orders_below
from tinyops.plan.storage import Storage, resolve_storage

#: Work limits, in numbers of sets of ops, pairs of blocks and sequences looked at: they bound the planner long before
#: the clock does on models of normal size, so that a plan depends on the model alone.
SEARCHED_STATES = 5_000
SEARCHED_PAIRS = 400_000
GREEDY_ROUNDS = 200


def plan(
    graph: Graph,
    states: Sequence[State] = (),
    *,
    demands: Sequence[Demand] | None = None,
    seconds: float = 2.0,
    alignment: int = 4,
) -> Plan:
    """Plan the memory of one invocation of `graph`.

    `demands` has one entry per op (default: the overlaps that the operators allow, no scratch). `seconds` is a safety
    net for huge graphs. Every tensor, view and scratch starts at a multiple of `alignment`, a power of two, and of
    its element size; so do the states in the state memory. Raises ValueError for demands that fit no op and
    VerifyError if the finished plan fails its check.
    """
    if alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"alignment {alignment} is not a power of two")
    wanted = tuple(demands) if demands is not None else default_demands(graph)
    _check_demands(graph, wanted)
    deadline = time.monotonic() + seconds
    shared = resolve_storage(graph, states, alignment=alignment)
    best = _solve(graph, shared, wanted, alignment, deadline)
    if shared.embedded and not best.optimal:
        apart = resolve_storage(graph, states, alignment=alignment, embed=False)
        best = _better(best, _solve(graph, apart, wanted, alignment, deadline))
    plan = _finish(graph, states, best, alignment)
    verify_plan(graph, states, wanted, plan)
    return plan


def _check_demands(graph: Graph, demands: Sequence[Demand]) -> None:
    if len(demands) != len(graph.ops):
        raise ValueError(f"{len(demands)} demands for {len(graph.ops)} ops")
    for op, demand in zip(graph.ops, demands, strict=True):
        unit = demand.scratch_alignment
        if demand.scratch_bytes < 0 or unit < 1 or unit & (unit - 1):
            raise ValueError(f"op {op.name}: {demand.scratch_bytes} bytes of scratch aligned to {unit}")
        for i, o in (*demand.overlaps, *demand.overlaps_above, *demand.in_place):
            if not (0 <= i < len(op.inputs) and 0 <= o < len(op.outputs)):
                raise ValueError(f"op {op.name}: overlap of input {i} and output {o}")
        # The sign of the difference tells the direction of a kernel that has two.
        if any(d < 1 or demand.overlaps.get(pair, 0) < 0 for pair, d in demand.overlaps_above.items()):
            raise ValueError(f"op {op.name}: overlaps in both directions leave the direction open")


@dataclass(frozen=True, eq=False)
class _Solution:
    storage: Storage
    problem: Problem
    order: tuple[int, ...]
    offsets: list[int]
    peak: int
    lower_bound: int
    witness: int | None
    method: str

    @property
    def optimal(self) -> bool:
        return self.peak == self.lower_bound


def _better(one: _Solution, two: _Solution) -> _Solution:
    """The one with the lower peak; its bound holds for both ways to share storage."""
    best, other = (two, one) if two.peak < one.peak else (one, two)
    bound = min(best.lower_bound, other.lower_bound)
    return _Solution(best.storage, best.problem, best.order, best.offsets, best.peak, bound, best.witness, best.method)


def _solve(graph: Graph, storage: Storage, demands: Sequence[Demand], alignment: int, deadline: float) -> _Solution:
    """The best order by the bytes its steps need, then offsets; where these do not reach the bound, all orders."""
    problem = build_problem(graph, storage, demands, alignment)
    schedule = best_order(problem, states=SEARCHED_STATES, deadline=deadline)
    order, bound = schedule.order, schedule.lower_bound
    placing = build_placing(problem, order)
    offsets = greedy(problem, placing, order, bound, GREEDY_ROUNDS, deadline)
    method = "greedy"
    if placing.peak(offsets) > bound:
        found = _search_orders(problem, order, placing, offsets, bound, deadline)
        if found.offsets is not offsets:
            method = "exact"
        order, offsets, placing, bound = found.order, found.offsets, found.placing, found.bound
    _, witness = order_bytes(problem, order)
    return _Solution(storage, problem, order, offsets, placing.peak(offsets), bound, witness, method)


@dataclass(slots=True)
class _Best:
    order: tuple[int, ...]
    placing: Placing
    offsets: list[int]
    bound: int


def _search_orders(
    problem: Problem, order: tuple[int, ...], placing: Placing, offsets: list[int], bound: int, deadline: float
) -> _Best:
    """Exact placement for the given order, then for all that could do better; raises the bound if it sees them all."""
    best = _Best(order, placing, offsets, bound)
    budget = Budget(SEARCHED_PAIRS, deadline)
    seen = set()
    complete = True

    def look(order: tuple[int, ...]) -> None:
        nonlocal complete
        placing = build_placing(problem, order)
        collisions = frozenset(placing.gaps.items())
        if collisions in seen:
            return
        seen.add(collisions)
        peak = best.placing.peak(best.offsets)
        found, whole = exact(placing, peak, bound, budget)
        complete = complete and whole
        if found is not None:
            best.order, best.placing, best.offsets = order, placing, found

    look(order)
    for other in orders_below(problem, best.placing.peak(best.offsets)):
        if best.placing.peak(best.offsets) == bound or not budget.spend(problem.ops):
            complete = False
            break
        if other is not None and order_bytes(problem, other)[0] < best.placing.peak(best.offsets):
            look(other)
    if complete:
        best.bound = best.placing.peak(best.offsets)
    return best


def _finish(graph: Graph, states: Sequence[State], best: _Solution, alignment: int) -> Plan:
    base = {
        block.tensor: offset
        for block, offset in zip(best.problem.blocks, best.offsets, strict=True)
        if block.tensor is not None
    }
    scratch = {
        block.scratch_op: offset
        for block, offset in zip(best.problem.blocks, best.offsets, strict=True)
        if block.scratch_op is not None
    }
    places = sorted(best.storage.places.items())
    offsets = {t: base[place.root] + place.offset for t, place in places if place.space == "arena"}
    state_offsets, state_bytes = layout_states(states, alignment)
    return Plan(
        storage=best.storage,
        order=best.order,
        offsets=offsets,
        scratch_offsets=scratch,
        peak=best.peak,
        lower_bound=best.lower_bound,
        witness=None if best.witness is None else graph.ops[best.witness].name,
        lifetimes=_lifetimes(graph, best),
        optimal=best.optimal,
        method="exact" if best.method == "exact" else "greedy",
        state_offsets=state_offsets,
        state_bytes=state_bytes,
        alignment=alignment,
        arena_alignment=max([alignment, *(block.alignment for block in best.problem.blocks)]),
        state_alignment=max([alignment, *(state.dtype.itemsize for state in states)]),
    )


def _lifetimes(graph: Graph, best: _Solution) -> Mapping[int, tuple[int, int]]:
    """Arena tensor -> first and last step in which its bytes are in use (also by its aliases)."""
    problem, spans = best.problem, best.problem.lifetimes(best.order)
    block_of = {block.tensor: b for b, block in enumerate(problem.blocks) if block.tensor is not None}
    atoms: dict[int, list[tuple[int, tuple[int, int]]]] = {}
    for atom, span in zip(problem.atoms, spans, strict=True):
        atoms.setdefault(atom.block, []).append((atom.start, span))
    found = {}
    for t, place in sorted(best.storage.places.items()):
        if place.space != "arena":
            continue
        end = place.offset + graph.tensors[t].nbytes
        own = [span for start, span in atoms[block_of[place.root]] if place.offset <= start < end]
        found[t] = (min(s for s, _ in own), max(e for _, e in own))
    return found


def layout_states(states: Sequence[State], alignment: int) -> tuple[tuple[int, ...], int]:
    """Byte offset per state, one after the other, and the bytes of the whole state memory."""
    offsets: list[int] = []
    end = 0
    for state in states:
        offsets.append(round_up(end, max(alignment, state.dtype.itemsize)))
        end = offsets[-1] + state.nbytes
    return tuple(offsets), end
