"""What the planner reasons about: blocks to place, the atoms they consist of, and how much memory a step needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tinyops.errors import ModelError
from tinyops.graph import Graph
from tinyops.ops.base import operator
from tinyops.plan.storage import Storage, dependencies

#: The writer of a graph input: it is there before the first op.
START = -1

#: Parts that tensors which share memory are cut into, added up over the tensors: 1,000 nested concatenations make so
#: many.
MAX_COVERS = 500_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What the kernel of one op asks of the planner.

    `overlaps`: (input position, output position) -> d in bytes: the output's start may be at
    `input start - d` or lower, overlapping that input. `overlaps_above`: the same for a start at `input start + d` or
    higher; it counts only for an op that reads one tensor of the arena and writes one: a kernel runs in one direction.
    `in_place`: pairs whose output may start exactly where the input starts. Pairs that are not listed never overlap.
    """

    scratch_bytes: int = 0
    scratch_alignment: int = 4
    overlaps: Mapping[tuple[int, int], int] = field(default_factory=dict)
    overlaps_above: Mapping[tuple[int, int], int] = field(default_factory=dict)
    in_place: frozenset[tuple[int, int]] = frozenset()


def default_demands(graph: Graph) -> tuple[Demand, ...]:
    """The overlaps that the operators allow in canonical and in descending order; no scratch."""
    demands = []
    for view in graph.views():
        rules = operator(view.kind)
        demands.append(
            Demand(overlaps=dict(rules.overlap(view)), overlaps_above=dict(rules.overlap_descending(view)))
            if rules
            else Demand()
        )
    return tuple(demands)


@dataclass(frozen=True, slots=True)
class Block:
    """A contiguous piece of the arena: an arena root (`tensor`) or the scratch of an op (`scratch_op`).

    Its size is padded to the plan's alignment: no other block could start in the rest of its last unit.
    """

    size: int
    alignment: int
    tensor: int | None = None
    scratch_op: int | None = None


@dataclass(frozen=True, slots=True)
class Atom:
    """Bytes [start, end) of a block with one writer (an op or START), the same readers, and the same fate.

    `readers` is a bit mask of op indices; `kept` bytes belong to a graph output and live to the end.
    """

    block: int
    start: int
    end: int
    writer: int
    readers: int
    kept: bool

    @property
    def size(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class _Reach:
    """How much of output atoms `written` may lie over input atoms `read` (one pair of tensors), at most `cap` bytes.

    `side` is -1 where the output starts below the input and 1 where it starts above: an output takes one of them.
    """

    read: frozenset[int]
    written: int
    output: int
    cap: int
    side: int


@dataclass(frozen=True, eq=False)
class Problem:
    """A graph as the searches see it.

    `before`: per op the mask of ops that must precede it directly. `meets`: (input atom, output atom) of one op ->
    limit: when that op is the input atom's end, the atoms may overlap if `output block - input block <= limit`.
    `meets_above`: the same for `output block - input block >= limit`. `meets_at`: the same for equality.
    """

    blocks: tuple[Block, ...]
    atoms: tuple[Atom, ...]
    before: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    meets: Mapping[tuple[int, int], int]
    meets_above: Mapping[tuple[int, int], int]
    meets_at: Mapping[tuple[int, int], int]
    _reaches: tuple[tuple[_Reach, ...], ...]

    @property
    def ops(self) -> int:
        return len(self.before)

    def dies(self, atom: int, op: int, done: int) -> bool:
        """Whether `op`, run after the ops of the mask `done`, is the last to need that atom."""
        a = self.atoms[atom]
        return not a.kept and a.readers & ~(done | 1 << op) == 0

    def saving(self, op: int, done: int) -> int:
        """Upper bound of the bytes that outputs of `op` can share with its dying inputs."""
        total: dict[tuple[int, int], int] = {}
        shared: set[int] = set()
        for reach in self._reaches[op]:
            dying = [a for a in reach.read if self.dies(a, op, done)]
            shared.update(dying)
            room = min(reach.cap, sum(self.atoms[a].size for a in dying))
            key = reach.output, reach.side
            total[key] = min(reach.written, total.get(key, 0) + room)
        outputs = {output for output, _ in total}
        saved = sum(max(total.get((output, side), 0) for side in (-1, 1)) for output in outputs)
        return min(saved, sum(self.atoms[a].size for a in shared))

    def step(self, op: int, done: int, live: int) -> tuple[int, int]:
        """Bytes needed while `op` runs after `done` (a lower bound), and bytes live after it."""
        born = sum(self.atoms[a].size for a in self.writes[op])
        dead = sum(self.atoms[a].size for a in (*self.reads[op], *self.writes[op]) if self.dies(a, op, done))
        return live + born - self.saving(op, done), live + born - dead

    @property
    def initial_bytes(self) -> int:
        """Graph inputs: all of them are in the arena before the first op."""
        return sum(a.size for a in self.atoms if a.writer == START)

    @property
    def final_bytes(self) -> int:
        """Graph outputs: all of them are in the arena after the last op."""
        return sum(a.size for a in self.atoms if a.kept)

    def live_at_start(self) -> int:
        """Bytes that the first op finds live: inputs that nothing reads are gone by then."""
        return sum(a.size for a in self.atoms if a.writer == START and (a.kept or a.readers))

    def lifetimes(self, order: Sequence[int]) -> list[tuple[int, int]]:
        """Per atom the first and the last step; -1 is before the first op, `ops` after the last."""
        at = {op: step for step, op in enumerate(order)}
        spans = []
        for a in self.atoms:
            first = START if a.writer == START else at[a.writer]
            last = self.ops if a.kept else max((at[k] for k in bits(a.readers)), default=first)
            spans.append((first, last))
        return spans


def round_up(n: float, unit: int) -> int:
    """The least multiple of `unit` that is `n` at least."""
    return -int(-n // unit) * unit


def bits(mask: int) -> list[int]:
    """Positions of the ones."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def build_problem(graph: Graph, storage: Storage, demands: Sequence[Demand], alignment: int = 4) -> Problem:
    """The blocks and atoms of a graph whose storage is resolved; scratch is aligned to `alignment` at least."""
    builder = _Builder(graph, storage, alignment)
    for root in sorted(storage.roots):
        builder.add_root(root)
    for k, demand in enumerate(demands):
        if demand.scratch_bytes and not storage.is_noop(k):
            builder.add_scratch(k, demand.scratch_bytes, demand.scratch_alignment)
    meets: dict[tuple[int, int], int] = {}
    meets_above: dict[tuple[int, int], int] = {}
    meets_at: dict[tuple[int, int], int] = {}
    reaches = []
    for k, demand in enumerate(demands):
        above = demand.overlaps_above if storage.is_unary(k) else {}
        meets.update(builder.meets(k, demand.overlaps, -1))
        meets_above.update(builder.meets(k, above, 1))
        equal = dict.fromkeys(demand.in_place, 0)
        meets_at.update(builder.meets(k, equal, -1))
        reaches.append(
            builder.reaches(k, demand.overlaps, -1) + builder.reaches(k, above, 1) + builder.reaches(k, equal, -1)
        )
    return Problem(
        tuple(builder.blocks),
        tuple(builder.atoms),
        tuple(sum(1 << j for j in js) for js in dependencies(graph, storage)),
        tuple(map(tuple, builder.reads)),
        tuple(map(tuple, builder.writes)),
        meets,
        meets_above,
        meets_at,
        tuple(reaches),
    )


class _Builder:
    def __init__(self, graph: Graph, storage: Storage, alignment: int) -> None:
        self.alignment = alignment
        self.graph = graph
        self.storage = storage
        self.blocks: list[Block] = []
        self.atoms: list[Atom] = []
        self.reads: list[list[int]] = [[] for _ in graph.ops]
        self.writes: list[list[int]] = [[] for _ in graph.ops]
        self._members: dict[int, list[int]] = {}
        self._within: dict[int, list[int]] = {}
        self._readers: dict[int, int] = {}
        self._sizes = [tensor.nbytes for tensor in graph.tensors]
        self._outputs = frozenset(graph.outputs)
        self._covers = 0
        for t, place in storage.places.items():
            if place.space == "arena":
                self._members.setdefault(place.root, []).append(t)
        for k, op in enumerate(graph.ops):
            # An op holds all its outputs too, aliases and embedded parts included: they are intact when it ends.
            for index in (*(op.inputs[i] for i in storage.reads(k)), *op.outputs):
                if index is not None:
                    self._readers[index] = self._readers.get(index, 0) | 1 << k

    def _span(self, t: int) -> tuple[int, int]:
        start = self.storage.places[t].offset
        return start, start + self.graph.tensors[t].nbytes

    def add_root(self, root: int) -> None:
        """Cut a root where any of its tensors starts or ends."""
        block = len(self.blocks)
        size = round_up(self.storage.roots[root], self.alignment)
        self.blocks.append(Block(size, self.storage.alignments[root], tensor=root))
        spans = {t: self._span(t) for t in self._members[root]}
        cuts = sorted({edge for span in spans.values() for edge in span})
        rank = {t: n for n, t in enumerate(spans)}
        opening = sorted(spans, key=lambda t: spans[t][0], reverse=True)
        cover: list[int] = []
        for start, end in pairwise(cuts):
            cover = [t for t in cover if spans[t][1] > start]
            while opening and spans[opening[-1]][0] <= start:
                cover.append(opening.pop())
            cover.sort(key=rank.__getitem__)
            self._covers += len(cover)
            if self._covers > MAX_COVERS:
                raise ModelError(
                    "tensors share memory in too many parts", allowed=f"up to {MAX_COVERS:,} parts of tensors"
                )
            readers = 0
            for t in cover:
                readers |= self._readers.get(t, 0)
            kept = not self._outputs.isdisjoint(cover)
            end = size if end == cuts[-1] else end
            writer = self._writer(cover)
            readers &= ~(1 << writer) if writer != START else -1
            self._add(Atom(block, start, end, writer, readers, kept))
            for t in cover:
                self._within.setdefault(t, []).append(len(self.atoms) - 1)

    def add_scratch(self, op: int, size: int, alignment: int) -> None:
        block = len(self.blocks)
        size = round_up(size, self.alignment)
        self.blocks.append(Block(size, max(alignment, self.alignment), scratch_op=op))
        self._add(Atom(block, 0, size, op, 0, False))

    def _add(self, atom: Atom) -> None:
        index = len(self.atoms)
        self.atoms.append(atom)
        if atom.writer != START:
            self.writes[atom.writer].append(index)
        for k in bits(atom.readers):
            self.reads[k].append(index)

    def _writer(self, cover: Sequence[int]) -> int:
        """The innermost tensor that is not a view wrote the bytes; the ones around it embed it."""
        for t in sorted(cover, key=self._sizes.__getitem__):
            if t in self.graph.inputs:
                return START
            k = self.graph.producer[t]
            if (k, self.graph.ops[k].outputs.index(t)) not in self.storage.aliased and not self._embeds(k, cover):
                return k
        raise AssertionError("bytes that nothing writes")

    def _embeds(self, op: int, cover: Sequence[int]) -> bool:
        inputs = self.graph.ops[op].inputs
        return any(t in cover and (op, i) in self.storage.embedded for i, t in enumerate(inputs))

    def meets(self, op: int, overlaps: Mapping[tuple[int, int], int], side: int) -> dict[tuple[int, int], int]:
        """Limits of `output block - input block` for each input atom that all inputs with it let an output overlap.

        They are upper limits for `side` -1 (the output starts below) and lower ones for 1.
        """
        found: dict[tuple[int, int], int] = {}
        node = self.graph.ops[op]
        for o in self.storage.writes(op):
            out = node.outputs[o]
            start = self.storage.places.get(out)
            if start is None or not overlaps:
                continue
            for a in self.reads[op]:
                limits = self._limits(op, o, a, overlaps, side)
                if not limits:
                    continue
                strictest = min(limits) if side < 0 else max(limits)
                for b in self._within[out]:
                    if self.atoms[b].writer == op and self.atoms[b].block != self.atoms[a].block:
                        found[a, b] = strictest - start.offset
        return found

    def _limits(
        self, op: int, o: int, atom: int, overlaps: Mapping[tuple[int, int], int], side: int
    ) -> list[int] | None:
        """Extreme positions of output `o`'s start relative to the atom's block, one per input that holds the atom."""
        limits = []
        for i in self.storage.reads(op):
            t = self.graph.ops[op].inputs[i]
            if t is None or atom not in self._within.get(t, ()):
                continue
            if (i, o) not in overlaps:
                return None
            limits.append(self.storage.places[t].offset + side * overlaps[i, o])
        return limits

    def reaches(self, op: int, overlaps: Mapping[tuple[int, int], int], side: int) -> tuple[_Reach, ...]:
        """What `Problem.saving` needs: per pair of input and output, what may overlap and how far."""
        found = []
        node = self.graph.ops[op]
        for (i, o), distance in sorted(overlaps.items()):
            t, out = node.inputs[i], node.outputs[o]
            if t is None or i not in self.storage.reads(op) or o not in self.storage.writes(op):
                continue
            read = frozenset(a for a in self._within.get(t, ()) if self._limits(op, o, a, overlaps, side))
            written = sum(self.atoms[b].size for b in self._within[out] if self.atoms[b].writer == op)
            # The lower tensor starts at least `distance` below the upper one: so much of it cannot lie over that.
            apart = round_up(max(0, distance), self.alignment)
            lower = self.graph.tensors[out if side < 0 else t]
            cap = max(0, round_up(lower.nbytes, self.alignment) - apart)
            found.append(_Reach(read, written, o, cap, side))
        return tuple(found)
