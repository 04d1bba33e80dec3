"""Small graphs of bytes: opaque computations, views (PART), concatenations (JOIN) and state; by hand and at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from tinyops.graph import DType, Graph, Op, OpView, State, Tensor
from tinyops.ops.base import Operator
from tinyops.ops.state import StateAttrs
from tinyops.plan import READ_STATE, WRITE_STATE, Demand


@dataclass(frozen=True)
class PartAttrs:
    offset: int


class Part(Operator):
    """Output 0 is the input's bytes from `offset`."""

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return {0: (0, op.attrs.offset)}


class Join(Operator):
    """Output 0 is all inputs one after the other."""

    def embed(self, op: OpView) -> Mapping[int, int]:
        sizes = [t.nbytes for t in op.inputs if t is not None]
        return {i: sum(sizes[:i]) for i in range(len(sizes))}


OPERATORS: dict[str, Operator] = {"TEST_PART": Part(), "TEST_JOIN": Join()}


@dataclass
class Sketch:
    """Builds a graph op by op; each method returns the index of the tensor that it makes."""

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    demands: list[Demand] = field(default_factory=list)

    def tensor(self, nbytes: int, dtype: DType = DType.INT8) -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", dtype, (nbytes // dtype.itemsize,)))
        return len(self.tensors) - 1

    def input(self, nbytes: int) -> int:
        self.inputs.append(self.tensor(nbytes))
        return self.inputs[-1]

    def constant(self, nbytes: int) -> int:
        data = np.arange(nbytes, dtype=np.int8)
        self.tensors.append(Tensor(f"t{len(self.tensors)}", DType.INT8, (nbytes,), data=data))
        return len(self.tensors) - 1

    def op(
        self,
        kind: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        attrs: object = None,
        demand: Demand | None = None,
    ) -> None:
        self.ops.append(Op(kind, f"op{len(self.ops)}", inputs, outputs, attrs))
        self.demands.append(demand or Demand())

    def compute(self, nbytes: int, *inputs: int, scratch: int = 0, **distances: int) -> int:
        """`d0=3` lets output 0 start 3 bytes below input 0, overlapping it; `u0=3` lets it start 3 bytes above."""
        out = self.tensor(nbytes)
        below = {(int(name[1:]), 0): d for name, d in distances.items() if name.startswith("d")}
        above = {(int(name[1:]), 0): d for name, d in distances.items() if name.startswith("u")}
        self.op("TEST_COMPUTE", inputs, (out,), demand=Demand(scratch, 4, below, above))
        return out

    def part(self, source: int, offset: int, nbytes: int, dtype: DType = DType.INT8) -> int:
        out = self.tensor(nbytes, dtype)
        self.op("TEST_PART", (source,), (out,), PartAttrs(offset))
        return out

    def join(self, *sources: int) -> int:
        out = self.tensor(sum(self.tensors[t].nbytes for t in sources))
        self.op("TEST_JOIN", sources, (out,))
        return out

    def state(self, nbytes: int) -> int:
        initial = np.arange(nbytes, dtype=np.int8)
        self.states.append(State(f"s{len(self.states)}", DType.INT8, (nbytes,), initial))
        return len(self.states) - 1

    def read(self, state: int) -> int:
        out = self.tensor(self.states[state].nbytes)
        self.op(READ_STATE, (), (out,), StateAttrs(state))
        return out

    def write(self, state: int, source: int) -> None:
        self.op(WRITE_STATE, (source,), (), StateAttrs(state))

    def graph(self, *outputs: int) -> Graph:
        return Graph("test", tuple(self.tensors), tuple(self.ops), tuple(self.inputs), outputs)


@dataclass(frozen=True)
class Case:
    graph: Graph
    states: tuple[State, ...]
    demands: tuple[Demand, ...]


@st.composite
def computations(draw: st.DrawFn, ops: int, sizes: int = 12) -> Case:
    """Random graphs of opaque ops with random overlaps and scratch."""
    sketch = Sketch()
    for _ in range(draw(st.integers(1, 2))):
        sketch.input(draw(st.integers(1, sizes)))
    for _ in range(draw(st.integers(1, ops))):
        _compute(draw, sketch, sizes, least=1)
    return _case(draw, sketch)


@st.composite
def programs(draw: st.DrawFn, ops: int, sizes: int = 24) -> Case:
    """Random graphs of all kinds of ops that the planner treats specially."""
    sketch = Sketch()
    for _ in range(draw(st.integers(0, 2))):
        sketch.input(draw(st.integers(1, sizes)))
    for _ in range(draw(st.integers(0, 2))):
        sketch.state(draw(st.integers(1, sizes)))
    sketch.constant(draw(st.integers(1, sizes)))
    for _ in range(draw(st.integers(1, ops))):
        draw(st.sampled_from([_compute, _compute, _part, _join, _read, _write]))(draw, sketch, sizes)
    return _case(draw, sketch)


def _case(draw: st.DrawFn, sketch: Sketch) -> Case:
    candidates = [t for t, tensor in enumerate(sketch.tensors) if not tensor.is_constant]
    outputs = draw(st.lists(st.sampled_from(candidates), max_size=3, unique=True)) if candidates else []
    return Case(sketch.graph(*outputs), tuple(sketch.states), tuple(sketch.demands))


def _compute(draw: st.DrawFn, sketch: Sketch, sizes: int, least: int = 0) -> None:
    recent = st.integers(0, len(sketch.tensors) - 1).map(lambda back: len(sketch.tensors) - 1 - back)
    inputs = tuple(draw(st.lists(recent, min_size=1, max_size=3)))
    outputs = tuple(sketch.tensor(draw(st.integers(least, sizes))) for _ in range(draw(st.sampled_from([1, 1, 1, 2]))))
    pairs = [(i, o) for i in range(len(inputs)) for o in range(len(outputs))]
    overlaps = draw(st.dictionaries(st.sampled_from(pairs), st.integers(-6, 10), max_size=len(pairs)))
    above = draw(st.dictionaries(st.sampled_from(pairs), st.integers(1, 10), max_size=len(pairs)))
    overlaps = {pair: max(0, d) if pair in above else d for pair, d in overlaps.items()}
    scratch = draw(st.sampled_from([0, 0, 0, 3, 8]))
    single = len(inputs) == len(outputs) == 1
    in_place = frozenset({(0, 0)} if single and draw(st.booleans()) else ())
    demand = Demand(scratch, draw(st.sampled_from([1, 4, 8])), overlaps, above, in_place)
    sketch.op("TEST_COMPUTE", inputs, outputs, demand=demand)


def _part(draw: st.DrawFn, sketch: Sketch, sizes: int) -> None:
    source = draw(st.integers(0, len(sketch.tensors) - 1))
    size = sketch.tensors[source].nbytes
    offset = draw(st.sampled_from([0, 0, 4, 8, 1]).filter(lambda n: n <= size))
    left = size - offset
    if left >= 4 and draw(st.booleans()):
        sketch.part(source, offset, left - left % 4, DType.INT32)
    else:
        sketch.part(source, offset, draw(st.integers(0, left)))


def _join(draw: st.DrawFn, sketch: Sketch, sizes: int) -> None:
    sketch.join(*draw(st.lists(st.integers(0, len(sketch.tensors) - 1), min_size=1, max_size=3)))


def _read(draw: st.DrawFn, sketch: Sketch, sizes: int) -> None:
    if sketch.states:
        sketch.read(draw(st.integers(0, len(sketch.states) - 1)))


def _write(draw: st.DrawFn, sketch: Sketch, sizes: int) -> None:
    if sketch.states:
        state = draw(st.integers(0, len(sketch.states) - 1))
        nbytes = sketch.states[state].nbytes
        fitting = [t for t, tensor in enumerate(sketch.tensors) if tensor.nbytes == nbytes]
        if fitting:
            sketch.write(state, draw(st.sampled_from(fitting)))
        else:
            source = draw(st.integers(0, len(sketch.tensors) - 1))
            out = sketch.tensor(nbytes)
            sketch.op("TEST_COMPUTE", (source,), (out,))
            sketch.write(state, out)
