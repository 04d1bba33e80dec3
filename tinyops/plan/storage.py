"""Which tensors share storage: views are aliases, concatenation inputs are made in place, state is read in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tinyops.errors import VerifyError
from tinyops.graph import DType, Graph, Op, OpView, State, Tensor
from tinyops.ops.base import operator

READ_STATE = "READ_STATE"
WRITE_STATE = "WRITE_STATE"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's bytes are: `offset` bytes into a root.

    The root is a tensor index in the spaces "arena" and "constant", a state index in the space "state".
    """

    space: Literal["arena", "state", "constant"]
    root: int
    offset: int


@dataclass(frozen=True, eq=False)
class Storage:
    """Places of all tensors that have bytes, and which copies that makes superfluous.

    `places`: tensor index -> place; tensors without bytes (zero elements, resources) and unused ones have none.
    `aliased`: (op, output position) pairs whose bytes are there already, because the output is a view.
    `embedded`: (op, input position) pairs whose bytes are at their final place inside output 0 already.
    `roots`: arena root tensor -> bytes. `alignments`: arena root tensor -> alignment in bytes (a power of two).
    """

    graph: Graph
    places: Mapping[int, Place]
    aliased: frozenset[tuple[int, int]]
    embedded: frozenset[tuple[int, int]]
    roots: Mapping[int, int]
    alignments: Mapping[int, int]

    def is_noop(self, op: int) -> bool:
        """Whether op `op` needs no code: all its outputs are in their places when its inputs are."""
        node = self.graph.ops[op]
        if node.kind == WRITE_STATE or has_effect(node):
            return False
        return all(
            (op, o) in self.aliased or (o == 0 and self._is_filled(op))
            for o, t in enumerate(node.outputs)
            if has_bytes(self.graph.tensors[t])
        )

    def is_aliased(self, op: int, output: int) -> bool:
        """Whether that output of op `op` is a view and needs no code."""
        return (op, output) in self.aliased

    def is_embedded(self, op: int, position: int) -> bool:
        """Whether that input of op `op` was made in place inside output 0 and is not to be copied."""
        return (op, position) in self.embedded

    def reads(self, op: int) -> tuple[int, ...]:
        """Positions of the inputs whose bytes op `op` reads when it runs, wherever they are."""
        if self.is_noop(op):
            return ()
        inputs = self.graph.ops[op].inputs
        return tuple(
            i for i, t in enumerate(inputs) if t is not None and t in self.places and (op, i) not in self.embedded
        )

    def writes(self, op: int) -> tuple[int, ...]:
        """Positions of the outputs that op `op` writes when it runs (output 0 perhaps in part, see `embedded`)."""
        outputs = self.graph.ops[op].outputs
        if self.is_noop(op):
            return ()
        return tuple(o for o, t in enumerate(outputs) if t in self.places and (op, o) not in self.aliased)

    def is_unary(self, op: int) -> bool:
        """Whether op `op` reads one tensor of the arena when it runs, and writes one."""
        inputs = self.graph.ops[op].inputs
        places = [self.places[t] for t in (inputs[i] for i in self.reads(op)) if t is not None]
        return sum(place.space == "arena" for place in places) == 1 and len(self.writes(op)) == 1

    def _is_filled(self, op: int) -> bool:
        inputs = self.graph.ops[op].inputs
        inside = sum(
            self.graph.tensors[t].nbytes for i, t in enumerate(inputs) if t is not None and (op, i) in self.embedded
        )
        return inside == self.graph.tensors[self.graph.ops[op].outputs[0]].nbytes


def has_bytes(tensor: Tensor) -> bool:
    return tensor.dtype is not DType.RESOURCE and tensor.nbytes > 0


def has_effect(op: Op) -> bool:
    """Whether the op changes something that the graph does not show; reading and writing state is shown."""
    rules = operator(op.kind)
    return rules is not None and rules.effect and op.kind not in (READ_STATE, WRITE_STATE)


def resolve_storage(graph: Graph, states: Sequence[State], *, alignment: int = 4, embed: bool = True) -> Storage:
    """Decide which tensors share storage.

    A view is an alias unless it looks into a constant (the op copies it) or its offset breaks `alignment` or
    the dtype's. READ_STATE is an alias of the state where nothing reads it after the state is written again and no
    graph output shows it; otherwise it copies. With `embed`, a concatenation input is made in place inside the
    output if it fills a root of its own that is not a graph input and is not embedded elsewhere.

    Raises VerifyError when an operator's state or view is out of bounds.
    """
    families = _Families(graph, alignment)
    places: dict[int, Place] = {
        t: Place("constant", t, 0) for t, tensor in enumerate(graph.tensors) if tensor.is_constant and has_bytes(tensor)
    }
    for k, op in enumerate(graph.ops):
        if op.kind in (READ_STATE, WRITE_STATE):
            _check_state(graph, op, states)
        if op.kind == READ_STATE and families.is_stable(k):
            for t, offset in families.members.pop(op.outputs[0], {}).items():
                places[t] = Place("state", op.attrs.state, offset)
            families.aliased.add((k, 0))
    embedded = _embed(graph, families) if embed else {}
    for root, members in families.members.items():
        into, base = _outermost(embedded, root)
        places.update({t: Place("arena", into, base + offset) for t, offset in members.items()})
    roots = {root: graph.tensors[root].nbytes for root in families.members if root not in embedded}
    return Storage(
        graph,
        places,
        frozenset(families.aliased),
        frozenset(at for _, _, at in embedded.values()),
        roots,
        {root: families.alignments[root] for root in roots},
    )


class _Families:
    """Tensors that are views of one another: root tensor -> {member: byte offset}."""

    def __init__(self, graph: Graph, alignment: int) -> None:
        self.graph = graph
        self.members: dict[int, dict[int, int]] = {}
        self.alignments: dict[int, int] = {}
        self.aliased: set[tuple[int, int]] = set()
        self._root: dict[int, int] = {}
        self._alignment = alignment
        for t in graph.inputs:
            self._add(t, t, 0)
        for k, op in enumerate(graph.ops):
            views = self._views(k)
            for o, t in enumerate(op.outputs):
                if o in views and has_bytes(graph.tensors[t]):
                    root, offset = views[o]
                    self._add(t, root, offset)
                    self.aliased.add((k, o))
                else:
                    self._add(t, t, 0)

    def _add(self, t: int, root: int, offset: int) -> None:
        if has_bytes(self.graph.tensors[t]):
            self._root[t] = root
            self.members.setdefault(root, {})[t] = offset
            self.alignments[root] = max(self.alignments.get(root, 1), self._need(t))

    def _need(self, t: int) -> int:
        return max(self._alignment, self.graph.tensors[t].dtype.itemsize)

    def _views(self, k: int) -> dict[int, tuple[int, int]]:
        """Outputs of op `k` that can be aliases -> (root, offset in the root)."""
        op = self.graph.ops[k]
        rules = operator(op.kind)
        found: dict[int, tuple[int, int]] = {}
        for o, (i, offset) in rules.view(OpView(op, self.graph)).items() if rules else ():
            t = op.inputs[i]
            if t is None or t not in self._root:
                continue
            if offset < 0 or offset + self.graph.tensors[op.outputs[o]].nbytes > self.graph.tensors[t].nbytes:
                raise VerifyError(f"output {o} is a view that leaves input {i}", where=f"op {op.name} ({op.kind})")
            root = self._root[t]
            total = self.members[root][t] + offset
            if total % self._need(op.outputs[o]) == 0:
                found[o] = (root, total)
        return found

    def is_stable(self, read: int) -> bool:
        """Whether READ_STATE op `read` may show the state's memory: all its readers come before the next write."""
        op = self.graph.ops[read]
        members = self.members.get(op.outputs[0], {})
        if any(t in members for t in self.graph.outputs):
            return False
        writes = (
            k
            for k, other in enumerate(self.graph.ops)
            if k > read and other.kind == WRITE_STATE and other.attrs.state == op.attrs.state
        )
        end = next(writes, len(self.graph.ops))
        return all(k < end for t in members for k in self.graph.consumers.get(t, ()))

    def whole(self, t: int | None) -> int | None:
        """The root that tensor `t` fills from start to end, if any."""
        root = None if t is None else self._root.get(t)
        if root is None or t is None or root not in self.members or self.members[root][t] != 0:
            return None
        return root if self.graph.tensors[root].nbytes == self.graph.tensors[t].nbytes else None


_Embedding = tuple[int, int, tuple[int, int]]


def _embed(graph: Graph, families: _Families) -> dict[int, _Embedding]:
    """Root -> (root it lies in, offset, (op, input position)) for roots made in place inside another one."""
    inside: dict[int, _Embedding] = {}
    for k, op in enumerate(graph.ops):
        rules = operator(op.kind)
        wanted = rules.embed(OpView(op, graph)) if rules else {}
        if not wanted or (k, 0) in families.aliased:
            continue
        into = op.outputs[0]
        for i, offset in sorted(wanted.items()):
            root = families.whole(op.inputs[i])
            if root is None or root in inside or root in graph.inputs or offset % families.alignments[root]:
                continue
            inside[root] = (into, offset, (k, i))
            families.alignments[into] = max(families.alignments[into], families.alignments[root])
    return inside


def _outermost(embedded: Mapping[int, _Embedding], root: int) -> tuple[int, int]:
    offset = 0
    while root in embedded:
        root, step, _ = embedded[root]
        offset += step
    return root, offset


def _check_state(graph: Graph, op: Op, states: Sequence[State]) -> None:
    where = f"op {op.name} ({op.kind})"
    if not 0 <= op.attrs.state < len(states):
        raise VerifyError(f"state {op.attrs.state} does not exist: the model has {len(states)}", where=where)
    tensor = op.outputs[0] if op.kind == READ_STATE else op.inputs[0]
    if tensor is None or graph.tensors[tensor].nbytes != states[op.attrs.state].nbytes:
        raise VerifyError(f"the tensor and state {states[op.attrs.state].name} differ in size", where=where)


def dependencies(graph: Graph, storage: Storage) -> tuple[frozenset[int], ...]:
    """Per op, the ops that must run before it: producers of its inputs and the order of accesses to state.

    A WRITE_STATE waits for the reads of the value that it replaces and for all that look at these in place.
    """
    before: list[set[int]] = [
        {graph.producer[t] for t in op.inputs if t is not None and t in graph.producer} for op in graph.ops
    ]
    lookers: dict[int, set[int]] = {}
    for t, place in storage.places.items():
        if place.space == "state":
            lookers.setdefault(place.root, set()).update(graph.consumers.get(t, ()))
    last_write: dict[int, int] = {}
    reads: dict[int, set[int]] = {}
    effects: list[int] = []
    accesses: list[int] = []
    for k, op in enumerate(graph.ops):
        if has_effect(op):
            before[k].update(accesses)
            effects.append(k)
        elif op.kind not in (READ_STATE, WRITE_STATE):
            continue
        else:
            s = op.attrs.state
            if s in last_write:
                before[k].add(last_write[s])
            before[k].update(effects[-1:])
            if op.kind == READ_STATE:
                reads.setdefault(s, set()).add(k)
            else:
                before[k].update(reads.pop(s, ()), (j for j in lookers.get(s, ()) if j < k))
                last_write[s] = k
        accesses.append(k)
    return tuple(frozenset(ks) for ks in before)
