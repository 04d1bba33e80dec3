"""An independent check of a plan: run it symbolically and see that every byte read is the byte meant.

It knows nothing of lifetimes or searches. First the graph runs in its original order with unlimited memory, which
gives each tensor's content as pieces of values; then the plan runs in its own order on one arena and one state
memory, and whatever an op reads there must be that content.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tinyops.errors import VerifyError
from tinyops.graph import Graph, Op, OpView, State
from tinyops.ops.base import operator
from tinyops.plan.liveness import Demand
from tinyops.plan.plan import Plan
from tinyops.plan.storage import READ_STATE, WRITE_STATE, has_bytes, has_effect


@dataclass(frozen=True, slots=True)
class _Piece:
    """`size` bytes of value `value` from its byte `start`."""

    value: tuple[object, ...]
    start: int
    size: int


_Content = tuple[_Piece, ...]


def _join(pieces: Sequence[_Piece]) -> _Content:
    """The same bytes in as few pieces as possible, so that equal contents are equal tuples."""
    joined: list[_Piece] = []
    for p in pieces:
        if p.size == 0:
            continue
        if joined and joined[-1].value == p.value and joined[-1].start + joined[-1].size == p.start:
            joined[-1] = _Piece(p.value, joined[-1].start, joined[-1].size + p.size)
        else:
            joined.append(p)
    return tuple(joined)


def _slice(content: Sequence[_Piece], start: int, size: int) -> _Content:
    """Bytes [start, start + size) of a content."""
    found, at = [], 0
    for p in content:
        low, high = max(start, at), min(start + size, at + p.size)
        if low < high:
            found.append(_Piece(p.value, p.start + low - at, high - low))
        at += p.size
    return _join(found)


class _Memory:
    """A memory as runs of bytes in ascending order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._starts = [0]
        self._pieces: list[_Piece] = [_Piece(("nothing",), 0, size)]

    def _cut(self, at: int) -> int:
        """Index of the run that starts at byte `at`, after cutting there."""
        if at == self.size:
            return len(self._starts)
        i = bisect_right(self._starts, at) - 1
        into = at - self._starts[i]
        if into:
            p = self._pieces[i]
            self._pieces[i : i + 1] = [_Piece(p.value, p.start, into), _Piece(p.value, p.start + into, p.size - into)]
            self._starts.insert(i + 1, at)
            i += 1
        return i

    def write(self, at: int, content: _Content) -> None:
        size = sum(p.size for p in content)
        if at < 0 or at + size > self.size:
            raise VerifyError(f"bytes {at} to {at + size} lie outside a memory of {self.size}")
        first, last = self._cut(at), self._cut(at + size)
        starts = []
        for p in content:
            starts.append(at)
            at += p.size
        self._starts[first:last] = starts
        self._pieces[first:last] = content

    def read(self, at: int, size: int) -> _Content:
        if at < 0 or at + size > self.size:
            raise VerifyError(f"bytes {at} to {at + size} lie outside a memory of {self.size}")
        return _join(self._pieces[self._cut(at) : self._cut(at + size)])


def verify_plan(graph: Graph, states: Sequence[State], demands: Sequence[Demand], plan: Plan) -> None:
    """Raise VerifyError, naming op and tensor, if running `plan` would read a byte that is not the one meant."""
    if sorted(plan.order) != list(range(len(graph.ops))):
        raise VerifyError("the order does not run every op once", where=f"plan of graph {graph.name}")
    contents, final = _meant(graph, states)
    _Run(graph, states, demands, plan, contents).run(final)


def _meant(graph: Graph, states: Sequence[State]) -> tuple[dict[int, _Content], list[_Content]]:
    """Content of each tensor, and of each state at the end, by the graph's original order."""
    contents: dict[int, _Content] = {
        t: (_Piece(("constant" if tensor.is_constant else "input", t), 0, tensor.nbytes),)
        for t, tensor in enumerate(graph.tensors)
        if has_bytes(tensor) and (tensor.is_constant or t in graph.inputs)
    }
    memory: list[_Content] = [(_Piece(("state", s), 0, state.nbytes),) for s, state in enumerate(states)]
    for op in graph.ops:
        if op.kind == READ_STATE:
            contents[op.outputs[0]] = memory[op.attrs.state]
            continue
        if op.kind == WRITE_STATE:
            t = op.inputs[0]
            assert t is not None
            memory[op.attrs.state] = contents.get(t, ())
            continue
        for o, t in enumerate(op.outputs):
            if has_bytes(graph.tensors[t]):
                contents[t] = _computed(graph, op, o, contents)
    return contents, memory


def _computed(graph: Graph, op: Op, o: int, contents: dict[int, _Content]) -> _Content:
    """Content of an output: part of an input (view), a value of its own, or one that contains inputs (embed)."""
    rules = operator(op.kind)
    nbytes = graph.tensors[op.outputs[o]].nbytes
    content: _Content = (_Piece(("computed", op.name, o), 0, nbytes),)
    if rules is None:
        return content
    view = rules.view(OpView(op, graph)).get(o)
    if view is not None:
        source = op.inputs[view[0]]
        assert source is not None
        return _slice(contents[source], view[1], nbytes)
    embeds = rules.embed(OpView(op, graph)) if o == 0 else {}
    pieces: list[_Piece] = []
    end = 0
    for at, i in sorted((at, i) for i, at in embeds.items() if op.inputs[i] in contents):
        source = op.inputs[i]
        assert source is not None
        if at < end:
            raise VerifyError("embedded inputs lie over one another", where=f"op {op.name} ({op.kind})")
        pieces += (_Piece(("computed", op.name, o), end, at - end), *contents[source])
        end = at + graph.tensors[source].nbytes
    return _join([*pieces, _Piece(("computed", op.name, o), end, nbytes - end)])


class _Run:
    def __init__(
        self,
        graph: Graph,
        states: Sequence[State],
        demands: Sequence[Demand],
        plan: Plan,
        contents: dict[int, _Content],
    ) -> None:
        self.graph = graph
        self.states = states
        self.demands = demands
        self.plan = plan
        self.contents = contents
        self.arena = _Memory(plan.peak)
        self.state_memory = _Memory(plan.state_bytes)

    def run(self, final: Sequence[_Content]) -> None:
        for s, state in enumerate(self.states):
            self.state_memory.write(self.plan.state_offsets[s], (_Piece(("state", s), 0, state.nbytes),))
        for s in range(len(self.states)):
            self._same(self._state(s), (_Piece(("state", s), 0, self.states[s].nbytes),), f"state {s}", "at the start")
        inputs = [t for t in self.graph.inputs if t in self.contents]
        for t in inputs:
            self.arena.write(self._arena(t), self.contents[t])
        for t in inputs:
            self._expect(t, "before the first op")
        ran: set[int] = set()
        for k in self.plan.order:
            self._step(k, ran)
            ran.add(k)
        for t in self.graph.outputs:
            if t in self.contents:
                self._expect(t, "after the last op")
        for s, content in enumerate(final):
            self._same(self._state(s), _join(content), f"state {s}", "after the last op")

    def _step(self, k: int, ran: set[int]) -> None:
        op = self.graph.ops[k]
        where = f"op {op.name} ({op.kind})"
        for t in op.inputs:
            if t is not None and self.graph.producer.get(t, k) not in ran and t in self.graph.producer:
                self._fail("runs before the producer of an input", where)
        if has_effect(op) and any(j < k and j not in ran for j in range(k) if has_effect(self.graph.ops[j])):
            self._fail("ops with effects change places", where)
        for i in self.plan.storage.reads(k):
            t = op.inputs[i]
            assert t is not None
            self._expect(t, f"where {where} reads it")
        self._in_place(k, where)
        self._hazards(k, where)
        demand = self.demands[k]
        if demand.scratch_bytes and not self.plan.storage.is_noop(k):
            at = self.plan.scratch_offsets[k]
            if at % max(demand.scratch_alignment, 1):
                self._fail(f"scratch at {at} is not aligned to {demand.scratch_alignment}", where)
            self.arena.write(at, (_Piece(("scratch", k), 0, demand.scratch_bytes),))
        if op.kind == WRITE_STATE and op.inputs[0] in self.contents:
            self.state_memory.write(self.plan.state_offsets[op.attrs.state], self.contents[op.inputs[0]])
        for start, content in self._written(k):
            self.arena.write(start, content)
        for t in op.outputs:
            if t in self.contents:
                self._expect(t, f"after {where}")

    def _in_place(self, k: int, where: str) -> None:
        """Views and embedded inputs are where the op's rules say, relative to the input and to output 0."""
        op, storage, rules = self.graph.ops[k], self.plan.storage, operator(self.graph.ops[k].kind)
        views = rules.view(OpView(op, self.graph)) if rules else {}
        embeds = rules.embed(OpView(op, self.graph)) if rules else {}
        for o, t in enumerate(op.outputs):
            if not storage.is_aliased(k, o):
                continue
            if op.kind == READ_STATE:
                base = ("state", self.plan.state_offsets[op.attrs.state])
            elif o in views:
                space, start = self._address(op.inputs[views[o][0]])
                base = (space, start + views[o][1])
            else:
                self._fail(f"output {o} is no view", where)
            if self._address(t) != base:
                self._fail(f"output {o} is not at its place in the input", where)
        for i, source in enumerate(op.inputs):
            if storage.is_embedded(k, i):
                space, start = self._address(op.outputs[0])
                if i not in embeds or self._address(source) != (space, start + embeds[i]):
                    self._fail(f"input {i} is not at its place in the output", where)

    def _address(self, t: int | None) -> tuple[str, int]:
        """The memory that tensor `t` is in, and its offset there."""
        place = self.plan.storage.places[t] if t is not None else None
        if t is not None and place is not None and place.space == "arena":
            return "arena", self._arena(t)
        if place is None or place.space == "constant":
            return "constant", 0
        return "state", self.plan.state_offsets[place.root] + place.offset

    def _written(self, k: int) -> list[tuple[int, _Content]]:
        """(arena offset, content) of all that op `k` stores: outputs that are not aliases, less embedded inputs."""
        op, storage = self.graph.ops[k], self.plan.storage
        stores = []
        for o in storage.writes(k):
            t = op.outputs[o]
            at, content = self._arena(t), self.contents[t]
            holes = sorted(self._hole(k, i) for i in range(len(op.inputs)) if o == 0 and storage.is_embedded(k, i))
            start, end = at, at + self.graph.tensors[t].nbytes
            for low, high in (*holes, (end, end)):
                if low > start:
                    stores.append((start, _slice(content, start - at, low - start)))
                start = max(start, high)
        return stores

    def _hole(self, k: int, i: int) -> tuple[int, int]:
        t = self.graph.ops[k].inputs[i]
        assert t is not None
        return self._arena(t), self._arena(t) + self.graph.tensors[t].nbytes

    def _hazards(self, k: int, where: str) -> None:
        """What op `k` stores and its scratch may not lie over what it reads, except as its overlaps allow."""
        op, storage, demand = self.graph.ops[k], self.plan.storage, self.demands[k]
        scratch: list[tuple[int, int]] = []
        if k in self.plan.scratch_offsets:
            at = self.plan.scratch_offsets[k]
            scratch = [(at, at + demand.scratch_bytes)]
        stores = [(start, start + sum(p.size for p in content)) for start, content in self._written(k)]
        read = {i: t for i, t in enumerate(op.inputs) if t in self.plan.offsets and i in storage.reads(k)}
        for t in read.values():
            if t is not None and _meet(scratch, [self._span(t)]):
                self._fail(f"scratch lies over tensor {self.graph.tensors[t].name}", where)
        if _meet(scratch, [self._span(t) for t in op.outputs if t in self.plan.offsets]):
            self._fail("scratch lies over an output", where)
        if any(_meet([a], stores[:n]) for n, a in enumerate(stores)):
            self._fail("outputs lie over one another", where)
        for o in storage.writes(k):
            low, high = self._span(op.outputs[o])
            own = [(a, b) for a, b in stores if low <= a and b <= high]
            for i, t in read.items():
                if t is None or not _meet(own, [self._span(t)]):
                    continue
                below, above = demand.overlaps.get((i, o)), demand.overlaps_above.get((i, o))
                if len(read) > 1 or len(storage.writes(k)) > 1:
                    above = None
                safe_below = below is not None and low <= self._arena(t) - below
                safe_above = above is not None and low >= self._arena(t) + above
                same = (i, o) in demand.in_place and low == self._arena(t)
                if not (safe_below or safe_above or same):
                    self._fail(f"output {o} overwrites tensor {self.graph.tensors[t].name} too early", where)

    def _span(self, t: int) -> tuple[int, int]:
        return self._arena(t), self._arena(t) + self.graph.tensors[t].nbytes

    def _arena(self, t: int) -> int:
        at = self.plan.offsets[t]
        unit = max(self.plan.alignment, self.graph.tensors[t].dtype.itemsize)
        if at % unit:
            self._fail(f"offset {at} is not aligned to {unit}", f"tensor {self.graph.tensors[t].name}")
        return at

    def _state(self, s: int) -> _Content:
        return self.state_memory.read(self.plan.state_offsets[s], self.states[s].nbytes)

    def _expect(self, t: int, when: str) -> None:
        place = self.plan.storage.places[t]
        size = self.graph.tensors[t].nbytes
        if place.space == "constant":
            return
        if place.space == "state":
            held = self.state_memory.read(self.plan.state_offsets[place.root] + place.offset, size)
        else:
            held = self.arena.read(self._arena(t), size)
        self._same(held, _join(self.contents[t]), f"tensor {self.graph.tensors[t].name}", when)

    def _same(self, held: _Content, meant: _Content, what: str, when: str) -> None:
        if held != meant:
            self._fail(f"its bytes are gone {when}", what)

    def _fail(self, what: str, where: str) -> NoReturn:
        raise VerifyError(what, where=f"plan of graph {self.graph.name}, {where}")


def _meet(one: Sequence[tuple[int, int]], two: Sequence[tuple[int, int]]) -> bool:
    return any(a < d and c < b for a, b in one for c, d in two)
