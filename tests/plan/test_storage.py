"""Which tensors share storage, and in which order state is accessed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.graphs import Sketch
from tinyops.errors import VerifyError
from tinyops.graph import DType, State
from tinyops.plan import Place, dependencies, plan, resolve_storage
from tinyops.plan.planner import layout_states


def test_view_of_a_view_is_an_alias_of_the_root() -> None:
    sketch = Sketch()
    a = sketch.input(24)
    b = sketch.part(a, 8, 12)
    c = sketch.part(b, 4, 8)
    storage = resolve_storage(sketch.graph(c), ())
    assert storage.places[c] == Place("arena", a, 12)
    assert storage.is_aliased(0, 0)
    assert storage.is_noop(0)
    assert storage.is_noop(1)
    assert storage.roots == {a: 24}


def test_view_of_a_constant_is_computed() -> None:
    sketch = Sketch()
    constant = sketch.constant(16)
    view = sketch.part(constant, 4, 8)
    storage = resolve_storage(sketch.graph(view), ())
    assert storage.places == {constant: Place("constant", constant, 0), view: Place("arena", view, 0)}
    assert not storage.is_noop(0)


@pytest.mark.parametrize(
    ("offset", "dtype", "alignment", "aliased"),
    [
        (4, DType.INT8, 4, True),
        (2, DType.INT8, 4, False),
        (2, DType.INT8, 1, True),
        (2, DType.INT32, 1, False),
        (4, DType.INT32, 1, True),
        (4, DType.INT64, 4, False),
        (8, DType.INT64, 4, True),
    ],
)
def test_view_at_an_unaligned_offset_is_copied(offset: int, dtype: DType, alignment: int, aliased: bool) -> None:
    sketch = Sketch()
    a = sketch.input(32)
    b = sketch.part(a, offset, 16, dtype)
    storage = resolve_storage(sketch.graph(b), (), alignment=alignment)
    assert storage.is_aliased(0, 0) == aliased
    assert storage.places[b].root == (a if aliased else b)


def test_tensors_without_bytes_have_no_place() -> None:
    sketch = Sketch()
    a = sketch.input(4)
    nothing = sketch.compute(0, a)
    unused = sketch.tensor(8)
    handle = sketch.tensor(4, DType.RESOURCE)
    sketch.op("TEST_COMPUTE", (a,), (handle,))
    assert set(resolve_storage(sketch.graph(nothing), ()).places) == {a}
    assert unused not in plan(sketch.graph(nothing)).offsets


def test_view_that_leaves_its_input_is_refused() -> None:
    sketch = Sketch()
    sketch.part(sketch.input(8), 4, 8)
    with pytest.raises(VerifyError, match="leaves input 0"):
        resolve_storage(sketch.graph(), ())


def test_joined_tensors_are_made_in_place() -> None:
    sketch = Sketch()
    a = sketch.input(8)
    b, c = sketch.compute(8, a), sketch.compute(12, a)
    d = sketch.join(b, c)
    e = sketch.join(d, sketch.compute(4, a))
    storage = resolve_storage(sketch.graph(e), ())
    assert [storage.places[t] for t in (b, c, d)] == [Place("arena", e, 0), Place("arena", e, 8), Place("arena", e, 0)]
    assert storage.is_noop(2)
    assert storage.is_noop(4)
    assert storage.roots == {a: 8, e: 24}
    assert plan(sketch.graph(e)).peak == 8 + 24


def test_joined_tensors_that_cannot_be_made_in_place() -> None:
    sketch = Sketch()
    a = sketch.input(8)
    b, odd = sketch.compute(8, a), sketch.compute(2, a)
    last, whole = sketch.compute(8, a), sketch.compute(16, a)
    d = sketch.join(a, b, b, odd, last, sketch.part(whole, 0, 8), sketch.constant(4))
    storage = resolve_storage(sketch.graph(d), ())
    join = len(sketch.ops) - 1
    # The graph input, the second use, the unaligned one, the part of a larger tensor, and the constant are copied.
    assert [storage.is_embedded(join, i) for i in range(7)] == [False, True, False, True, False, False, False]
    assert not storage.is_noop(join)
    assert storage.reads(join) == (0, 2, 4, 5, 6)


def test_embedding_is_given_up_where_it_costs_memory() -> None:
    """Held apart, the parts need not lie side by side while the large computation runs."""
    sketch = Sketch()
    a = sketch.input(4)
    b = sketch.compute(40, a)
    big = sketch.compute(4, sketch.compute(80, b, a))
    sketch.compute(4, big)
    c = sketch.join(b, big)
    together = plan(sketch.graph(c))
    assert together.peak == together.lower_bound
    assert together.peak <= 4 + 40 + 80 + 4


def test_state_is_read_in_place_until_it_is_written() -> None:
    sketch = Sketch()
    s = sketch.state(8)
    old = sketch.read(s)
    view = sketch.part(old, 4, 4)
    new = sketch.compute(8, view, sketch.input(8))
    sketch.write(s, new)
    graph = sketch.graph(new)
    storage = resolve_storage(graph, sketch.states)
    assert storage.places[view] == Place("state", s, 4)
    assert storage.is_noop(0)
    assert not storage.is_noop(3)
    assert 2 in dependencies(graph, storage)[3]


@pytest.mark.parametrize("why", ["read later", "graph output", "view is a graph output", "written back"])
def test_state_is_copied_where_its_old_value_is_needed_later(why: str) -> None:
    sketch = Sketch()
    s = sketch.state(8)
    old = sketch.read(s)
    view = sketch.part(old, 4, 4)
    if why == "written back":
        sketch.write(s, old)
    else:
        sketch.write(s, sketch.input(8))
    outputs = {"graph output": (old,), "view is a graph output": (view,)}.get(why, ())
    if why == "read later":
        outputs = (sketch.compute(4, view),)
    storage = resolve_storage(sketch.graph(*outputs), sketch.states)
    assert storage.places[view] == Place("arena", old, 4)
    assert not storage.is_noop(0)


def test_order_of_state_accesses() -> None:
    sketch = Sketch()
    s, other = sketch.state(4), sketch.state(4)
    a = sketch.input(4)
    old = sketch.read(s)  # op 0
    used = sketch.compute(4, old)  # op 1
    sketch.write(s, a)  # op 2
    new = sketch.read(s)  # op 3
    sketch.read(other)  # op 4
    sketch.write(s, a)  # op 5
    before = dependencies(sketch.graph(used, new), resolve_storage(sketch.graph(used, new), sketch.states))
    assert [set(ops) for ops in before] == [set(), {0}, {0, 1}, {2}, set(), {1, 2, 3}]


def test_state_that_does_not_exist_or_has_another_size() -> None:
    sketch = Sketch()
    s = sketch.state(8)
    sketch.read(s)
    with pytest.raises(VerifyError, match="state 0 does not exist"):
        resolve_storage(sketch.graph(), ())
    other = State("s0", DType.INT8, (4,), np.zeros(4, np.int8))
    with pytest.raises(VerifyError, match="differ in size"):
        resolve_storage(sketch.graph(), (other,))


def test_states_are_laid_out_aligned() -> None:
    states = [
        State("a", DType.INT8, (3,), np.zeros(3, np.int8)),
        State("b", DType.INT64, (1,), np.zeros(1, np.int64)),
        State("c", DType.INT16, (1,), np.zeros(1, np.int16)),
    ]
    assert layout_states(states, 4) == ((0, 8, 16), 18)
    assert layout_states([], 4) == ((), 0)
