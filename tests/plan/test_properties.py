"""Random graphs: plans run right on real bytes, bounds are bounds, and small plans are as good as brute force."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.graphs import Case, computations, programs
from tests.plan.machine import Bytes, run_apart, run_planned
from tinyops.errors import VerifyError
from tinyops.graph import Graph
from tinyops.plan import Plan, dependencies, plan, resolve_storage, verify_plan
from tinyops.plan.liveness import build_problem, round_up
from tinyops.plan.placement import Budget, build_placing, exact, greedy
from tinyops.plan.schedule import best_order, order_bytes, orders_below


def make_plan(case: Case, alignment: int = 4) -> Plan:
    return plan(case.graph, case.states, demands=case.demands, alignment=alignment)


def same_results(case: Case, result: Plan, invocations: int = 2) -> bool:
    """Whether running on the plan's memory gives the outputs and states of running without sharing memory."""
    random = np.random.default_rng(1)
    states = [state.initial.view(np.uint8).copy() for state in case.states]
    memory = np.zeros(result.state_bytes, np.uint8)
    for start, state in zip(result.state_offsets, states, strict=True):
        memory[start : start + len(state)] = state
    for _ in range(invocations):
        inputs: list[Bytes] = [
            random.integers(0, 256, case.graph.tensors[t].nbytes, dtype=np.uint8) for t in case.graph.inputs
        ]
        meant, got = run_apart(case, inputs, states), run_planned(case, result, inputs, memory)
        kept = [memory[start : start + len(s)] for start, s in zip(result.state_offsets, states, strict=True)]
        if not all(np.array_equal(a, b) for a, b in zip([*meant, *states], [*got, *kept], strict=True)):
            return False
    return True


@given(programs(ops=8), st.sampled_from([1, 4, 8]))
def test_plan_runs_right_on_bytes(case: Case, alignment: int) -> None:
    result = make_plan(case, alignment)
    assert same_results(case, result)
    assert result.lower_bound <= result.peak
    assert result.optimal == (result.lower_bound == result.peak)
    assert all(offset % alignment == 0 for offset in (*result.offsets.values(), *result.state_offsets))


@given(computations(ops=7))
def test_exact_is_no_worse_than_greedy(case: Case) -> None:
    result = make_plan(case)
    problem = build_problem(case.graph, resolve_storage(case.graph, case.states), case.demands)
    order = tuple(range(len(case.graph.ops)))
    placing = build_placing(problem, order)
    offsets = greedy(problem, placing, order, 0, 50)
    assert placing.peak(offsets) >= result.peak
    assert order_bytes(problem, order)[0] <= placing.peak(offsets)
    better, _ = exact(placing, placing.peak(offsets), 0, Budget(20_000, time.monotonic() + 60))
    assert better is None or result.lower_bound <= placing.peak(better) < placing.peak(offsets)


@given(computations(ops=6))
def test_best_order_is_the_best_of_all_orders(case: Case) -> None:
    problem = build_problem(case.graph, resolve_storage(case.graph, case.states), case.demands)
    found = best_order(problem, states=10_000, deadline=time.monotonic() + 60)
    everything = [order_bytes(problem, order)[0] for order in orders_below(problem, 1 << 30) if order is not None]
    assert found.bytes == found.lower_bound == min(everything)


@given(computations(ops=3, sizes=8))
def test_small_plans_are_as_good_as_brute_force(case: Case) -> None:
    result = make_plan(case)
    assert result.optimal
    assert result.peak == round_up(brute_force_peak(case), 4)


@given(programs(ops=8), st.data())
def test_checker_accepts_only_plans_that_run_right(case: Case, data: st.DataObject) -> None:
    result = make_plan(case)
    if not result.offsets:
        return
    tensor = data.draw(st.sampled_from(sorted(result.offsets)))
    moved = {**result.offsets, tensor: data.draw(st.integers(0, max(0, result.peak // 4))) * 4}
    scratch = {k: data.draw(st.integers(0, result.peak // 4)) * 4 for k in result.scratch_offsets}
    changed = dataclasses.replace(result, offsets=moved, scratch_offsets=scratch)
    try:
        verify_plan(case.graph, case.states, case.demands, changed)
    except VerifyError:
        return
    assert same_results(case, changed)


@given(programs(ops=8))
def test_plans_are_deterministic(case: Case) -> None:
    one, two = make_plan(case), make_plan(case)
    assert (one.order, one.offsets, one.scratch_offsets) == (two.order, two.offsets, two.scratch_offsets)


def brute_force_peak(case: Case, unit: int = 4) -> int:
    """The least peak over all orders and all offsets; for graphs of opaque ops alone."""
    return min(_least_peak(case, order, unit) for order in _orders(case))


def _orders(case: Case, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    before = dependencies(case.graph, resolve_storage(case.graph, case.states))
    if len(done) == len(before):
        yield done
    for k in range(len(before)):
        if k not in done and before[k] <= set(done):
            yield from _orders(case, (*done, k))


def _least_peak(case: Case, order: tuple[int, ...], unit: int) -> int:
    """Tries every offset of every buffer, tensors and scratch, below the best peak so far."""
    graph = case.graph
    step = {k: n for n, k in enumerate(order)}
    buffers: list[tuple[int, int, int, int | None, int]] = []  # size, first, last, tensor, unit
    for t, tensor in enumerate(graph.tensors):
        if tensor.nbytes:
            first = step[graph.producer[t]] if t in graph.producer else -1
            last = max([first, *(step[k] for k in graph.consumers.get(t, ()))])
            buffers.append((tensor.nbytes, first, len(order) if t in graph.outputs else last, t, unit))
    for k, demand in enumerate(case.demands):
        if demand.scratch_bytes:
            buffers.append((demand.scratch_bytes, step[k], step[k], None, max(unit, demand.scratch_alignment)))
    best = sum(size + 8 for size, *_ in buffers)

    def fits(n: int, at: int, m: int, other: int) -> bool:
        (size, first, last, t, _), (size2, first2, last2, u, _) = buffers[n], buffers[m]
        if last < first2 or last2 < first or at + size <= other or other + size2 <= at:
            return True
        if t is None or u is None:
            return False
        if last == first2 and first < first2:
            return _may_overlap(case, t, at, u, other)
        if last2 == first and first2 < first:
            return _may_overlap(case, u, other, t, at)
        return False

    def search(placed: list[int], peak: int) -> None:
        nonlocal best
        if len(placed) == len(buffers):
            best = min(best, peak)
            return
        n = len(placed)
        size, align = buffers[n][0], buffers[n][4]
        for at in range(0, best - size, align):
            if max(peak, at + size) < best and all(fits(n, at, m, other) for m, other in enumerate(placed)):
                search([*placed, at], max(peak, at + size))

    search([], 0)
    return best


def _may_overlap(case: Case, source: int, start: int, target: int, at: int) -> bool:
    """Whether the op that makes `target` may do so over its dying input `source`."""
    k = case.graph.producer[target]
    op, below, above = case.graph.ops[k], case.demands[k].overlaps, case.demands[k].overlaps_above
    o = op.outputs.index(target)
    uses = [i for i, t in enumerate(op.inputs) if t == source]
    if len(op.inputs) == len(op.outputs) == 1 and (0, 0) in above and at >= start + above[0, 0]:
        return True
    if at == start and uses and all((i, o) in case.demands[k].in_place for i in uses):
        return True
    return bool(uses) and all((i, o) in below and at <= start - below[i, o] for i in uses)


def test_empty_graph() -> None:
    case = Case(_nothing(), (), ())
    result = make_plan(case)
    assert (result.peak, result.lower_bound, result.order, result.witness) == (0, 0, (), None)
    assert result.gap == 0.0


def _nothing() -> Graph:
    return Graph("empty", (), (), (), ())


def test_plan_rejects_bad_arguments() -> None:
    with pytest.raises(ValueError, match="power of two"):
        plan(_nothing(), alignment=3)
    with pytest.raises(ValueError, match="demands for 0 ops"):
        plan(_nothing(), demands=[None])  # type: ignore[list-item]
