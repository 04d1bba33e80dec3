"""Runs graphs on bytes: once with a memory of its own for each tensor, once on the arena and the state of a plan.

Output bytes k of TEST_COMPUTE depend on the input bytes from k - d to k + e, where d and e are the least distances that
the input has to an output below and above it (without one, from the first or to the last byte). The second run
computes byte by byte, straight from and into the arena, so that an overlap that is too close, or a buffer that is
reused too early, changes a result. It runs upwards, and downwards if the output of an op with one input lies above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.plan.graphs import Case
from tinyops.graph import Op
from tinyops.plan import READ_STATE, WRITE_STATE, Demand, Plan

Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


def run_apart(case: Case, inputs: Sequence[Bytes], states: list[Bytes]) -> list[Bytes]:
    """Outputs of the graph; `states` is updated in place."""
    graph = case.graph
    values: dict[int, Bytes] = {
        t: tensor.data.view(np.uint8) for t, tensor in enumerate(graph.tensors) if tensor.data is not None
    }
    values.update(zip(graph.inputs, (x.copy() for x in inputs), strict=True))
    for op, demand in zip(graph.ops, case.demands, strict=True):
        for t in op.outputs:
            values[t] = np.zeros(graph.tensors[t].nbytes, np.uint8)
        if op.kind == READ_STATE:
            values[op.outputs[0]][:] = states[op.attrs.state]
        elif op.kind == WRITE_STATE:
            states[op.attrs.state][:] = values[_tensors(op)[0]]
        elif op.kind == "TEST_PART":
            out = values[op.outputs[0]]
            out[:] = values[_tensors(op)[0]][op.attrs.offset : op.attrs.offset + len(out)]
        elif op.kind == "TEST_JOIN":
            values[op.outputs[0]][:] = np.concatenate([values[t] for t in _tensors(op)])
        else:
            _compute(op, demand, [values[t] for t in _tensors(op)], [values[t] for t in op.outputs])
    return [values[t].copy() for t in graph.outputs]


def run_planned(case: Case, plan: Plan, inputs: Sequence[Bytes], state_memory: Bytes) -> list[Bytes]:
    """The same on one arena, which starts as garbage; `state_memory` is updated in place."""
    graph, storage = case.graph, plan.storage
    arena = np.full(plan.peak, 0xAA, np.uint8)

    def memory(t: int) -> Bytes:
        nbytes = graph.tensors[t].nbytes
        place = storage.places.get(t)
        if place is None:
            return np.zeros(0, np.uint8)
        if place.space == "constant":
            data = graph.tensors[t].data
            assert data is not None
            return data.view(np.uint8)
        if place.space == "state":
            start = plan.state_offsets[place.root] + place.offset
            return state_memory[start : start + nbytes]
        return arena[plan.offsets[t] : plan.offsets[t] + nbytes]

    for t, x in zip(graph.inputs, inputs, strict=True):
        memory(t)[:] = x
    for k in plan.order:
        op = graph.ops[k]
        if storage.is_noop(k):
            continue
        if k in plan.scratch_offsets:
            start = plan.scratch_offsets[k]
            arena[start : start + case.demands[k].scratch_bytes] = 0x55
        if op.kind == READ_STATE:
            state = op.attrs.state
            memory(op.outputs[0])[:] = _state(case, plan, state_memory, state)
        elif op.kind == WRITE_STATE:
            _state(case, plan, state_memory, op.attrs.state)[:] = memory(_tensors(op)[0])
        elif op.kind == "TEST_PART":
            out = memory(op.outputs[0])
            out[:] = memory(_tensors(op)[0])[op.attrs.offset : op.attrs.offset + len(out)]
        elif op.kind == "TEST_JOIN":
            at = 0
            for i, t in enumerate(_tensors(op)):
                nbytes = graph.tensors[t].nbytes
                if not storage.is_embedded(k, i):
                    memory(op.outputs[0])[at : at + nbytes] = memory(t)
                at += nbytes
        else:
            sources, targets = [memory(t) for t in _tensors(op)], [memory(t) for t in op.outputs]
            if _is_in_place(case, plan, k):
                sources = [source.copy() for source in sources]
            _compute(op, case.demands[k], sources, targets, descending=_descends(case, plan, k))
            if k in plan.scratch_offsets:
                start = plan.scratch_offsets[k]
                assert (arena[start : start + case.demands[k].scratch_bytes] == 0x55).all()
    return [memory(t).copy() for t in graph.outputs]


def _is_in_place(case: Case, plan: Plan, k: int) -> bool:
    """Whether op `k` has a kernel that works in place in an order of its own, and the plan asks it to."""
    op = case.graph.ops[k]
    return any(plan.offsets.get(op.inputs[i] or 0) == plan.offsets[op.outputs[o]] for i, o in case.demands[k].in_place)


def _descends(case: Case, plan: Plan, k: int) -> bool:
    """Whether op `k` has a kernel for an output above its input, and the plan puts the output there."""
    op, storage = case.graph.ops[k], plan.storage
    sources = [(i, t) for i, t in enumerate(op.inputs) if t in plan.offsets and i in storage.reads(k)]
    targets = [(o, t) for o, t in enumerate(op.outputs) if o in storage.writes(k)]
    if len(sources) != 1 or len(targets) != 1:
        return False
    (i, source), (o, target) = sources[0], targets[0]
    above = (i, o) in case.demands[k].overlaps_above
    return above and source is not None and plan.offsets[target] > plan.offsets[source]


def _state(case: Case, plan: Plan, memory: Bytes, state: int) -> Bytes:
    start = plan.state_offsets[state]
    return memory[start : start + case.states[state].nbytes]


def _tensors(op: Op) -> list[int]:
    return [t for t in op.inputs if t is not None]


def _compute(
    op: Op, demand: Demand, inputs: Sequence[Bytes], outputs: Sequence[Bytes], *, descending: bool = False
) -> None:
    """All outputs in lockstep: byte k of each is stored once byte k of all was computed."""
    steps = range(max((len(out) for out in outputs), default=0))
    for k in reversed(steps) if descending else steps:
        total = 31 * k + len(op.name)
        for i, x in enumerate(inputs):
            first = max([0, *(k - d for (j, _), d in demand.overlaps.items() if j == i)])
            end = min([len(x), *(k + d + 1 for (j, _), d in demand.overlaps_above.items() if j == i)])
            total += (2 * i + 3) * int(x[first:end].sum(dtype=np.int64))
        for o, out in enumerate(outputs):
            if k < len(out):
                out[k] = (total + 7 * o) & 0xFF
