"""Plans whose best peak is known, and a checker that refuses broken ones."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.plan.graphs import Sketch
from tinyops.errors import VerifyError
from tinyops.graph import Graph
from tinyops.plan import Demand, plan, verify_plan


def keyword_spotting(depthwise: int, scratch: int) -> Sketch:
    """The sizes of MLPerf Tiny's keyword spotting model (49x10 features, 25x5x64 images), overlaps by convolution."""
    sketch = Sketch()
    image = sketch.compute(8000, sketch.input(490), d0=7552)
    for _ in range(4):
        image = sketch.compute(8000, image, d0=depthwise, scratch=scratch)
        image = sketch.compute(8000, image, d0=63)
    pooled = sketch.part(sketch.compute(64, image, d0=0), 0, 64)
    logits = sketch.compute(12, pooled)
    sketch.compute(12, logits, d0=0)
    return sketch


@pytest.mark.parametrize(
    ("depthwise", "scratch", "peak"),
    [(384, 0, 8000 + 4 * (384 + 64)), (0, 0, 490 + 2 + 7552 + 256), (0, 384, 8000 + 2 * 64 + 384)],
)
def test_keyword_spotting(depthwise: int, scratch: int, peak: int) -> None:
    """Each step down costs its distance, since all kernels write upwards; in place, only the scratch counts."""
    sketch = keyword_spotting(depthwise, scratch)
    started = time.monotonic()
    result = plan(sketch.graph(len(sketch.tensors) - 1), demands=sketch.demands)
    assert time.monotonic() - started < 1
    assert result.optimal
    assert result.peak == peak
    assert result.gap == 0


def test_kernels_of_both_directions_zigzag() -> None:
    """Down by the depthwise distance and up again by the pointwise one: the steps do not add up."""
    sketch = Sketch()
    image = sketch.compute(8000, sketch.input(100))
    for _ in range(4):
        image = sketch.compute(8000, sketch.compute(8000, image, d0=384), d0=63, u0=64)
    result = plan(sketch.graph(image), demands=sketch.demands)
    assert result.optimal
    assert result.peak == 8384
    assert any(result.offsets[op.outputs[0]] > result.offsets[op.inputs[0] or 0] for op in sketch.ops[1:])


def test_kernels_in_place_need_no_more_than_the_image() -> None:
    """An output that may start where its input does lies there; anywhere else it stays apart."""
    sketch = Sketch()
    image = sketch.input(8000)
    for _ in range(4):
        out = sketch.tensor(8000)
        sketch.op("TEST_COMPUTE", (image,), (out,), demand=Demand(48, in_place=frozenset({(0, 0)})))
        image = out
    result = plan(sketch.graph(image), demands=sketch.demands)
    assert (result.optimal, result.peak) == (True, 8048)
    assert len(set(result.offsets.values())) == 1
    smaller = {t: offset - 4 * (t == image) for t, offset in result.offsets.items()}
    with pytest.raises(VerifyError, match="too early"):
        verify_plan(sketch.graph(image), (), sketch.demands, replace(result, offsets=smaller, peak=8052))


def test_growing_image_ends_where_its_input_ended() -> None:
    """A pointwise convolution to twice the channels runs over its input, which lies at the end of the output."""
    sketch = Sketch()
    first = sketch.compute(18_432, sketch.input(27_648), d0=101)
    small = sketch.compute(18_432, first, d0=392)
    large = sketch.compute(36_864, small, d0=18_439)
    sketch.compute(9_216, large, d0=0)
    result = plan(sketch.graph(4), demands=sketch.demands)
    assert result.peak == result.lower_bound == 36_872
    assert result.witness == "op2"
    assert result.offsets[small] - result.offsets[large] == 18_440


def test_residual_block() -> None:
    sketch = Sketch()
    a = sketch.compute(16_384, sketch.input(3_072))
    c = sketch.compute(16_384, sketch.compute(16_384, a), d0=543)
    total = sketch.compute(16_384, a, c, d0=0, d1=0)
    result = plan(sketch.graph(total), demands=sketch.demands)
    assert result.peak == result.lower_bound == 2 * 16_384 + 544
    assert result.optimal


def test_best_order_is_found() -> None:
    """Each branch shrinks to 4 bytes: one after the other they need one large buffer, in the given order four."""
    sketch = Sketch()
    a = sketch.input(4)
    large = [sketch.compute(400, a) for _ in range(4)]
    small = [sketch.compute(4, t) for t in large]
    result = plan(sketch.graph(sketch.compute(4, *small)), demands=sketch.demands)
    assert result.peak == result.lower_bound == 4 + 400 + 4 * 4 - 4
    assert result.order != tuple(range(len(sketch.ops)))


def test_inputs_coexist_and_outputs_stay() -> None:
    sketch = Sketch()
    inputs = [sketch.input(100), sketch.input(60)]
    outputs = [sketch.compute(80, inputs[0]), sketch.compute(120, inputs[1])]
    result = plan(sketch.graph(*outputs), demands=sketch.demands)
    assert result.peak == result.lower_bound == 60 + 80 + 120
    assert {t: result.lifetimes[t][0] for t in inputs} == {0: -1, 1: -1}
    assert {t: result.lifetimes[t][1] for t in outputs} == {2: 2, 3: 2}


def test_input_that_lives_on_is_not_overwritten() -> None:
    sketch = Sketch()
    a = sketch.input(100)
    b = sketch.compute(100, a, d0=0)
    c = sketch.compute(100, a, b, d0=0, d1=0)
    assert plan(sketch.graph(c), demands=sketch.demands).peak == 200
    assert plan(sketch.graph(a, c), demands=sketch.demands).peak == 200
    assert plan(sketch.graph(a, b, c), demands=sketch.demands).peak == 300


def test_same_tensor_twice_needs_both_overlaps() -> None:
    for distances, peak in (({"d0": 0}, 200), ({"d0": 0, "d1": 8}, 108)):
        sketch = Sketch()
        a = sketch.input(100)
        result = plan(sketch.graph(sketch.compute(100, a, a, **distances)), demands=sketch.demands)
        assert result.peak == peak


def test_scratch_is_aligned_and_apart() -> None:
    sketch = Sketch()
    a = sketch.input(20)
    b = sketch.tensor(20)
    sketch.op("TEST_COMPUTE", (a,), (b,), demand=Demand(30, 16, {(0, 0): 0}))
    result = plan(sketch.graph(b), demands=sketch.demands)
    assert result.peak == 52
    assert result.scratch_offsets == {0: 0}
    assert result.offsets == {a: 32, b: 32}
    assert result.arena_alignment == 16


def test_plan_does_not_depend_on_the_clock() -> None:
    sketch = keyword_spotting(384, 0)
    graph = sketch.graph(len(sketch.tensors) - 1)
    plans = [plan(graph, demands=sketch.demands, seconds=seconds) for seconds in (1.0, 1000.0)]
    assert plans[0].offsets == plans[1].offsets


def test_no_time_still_gives_a_valid_plan() -> None:
    sketch = Sketch()
    a = sketch.input(4)
    branches = [sketch.compute(4 * (n % 7 + 1), a) for n in range(40)]
    result = plan(sketch.graph(sketch.compute(4, *branches)), demands=sketch.demands, seconds=0.0)
    assert result.peak >= result.lower_bound >= sum(4 * (n % 7 + 1) for n in range(40))


def test_wide_graph_is_planned_fast() -> None:
    """More orders than anyone could try."""
    sketch = Sketch()
    a = sketch.input(64)
    ends = []
    for branch in range(12):
        t = a
        for depth in range(5):
            t = sketch.compute(40 + 36 * ((branch * 5 + depth * 3) % 7), t)
        ends.append(t)
    started = time.monotonic()
    result = plan(sketch.graph(sketch.compute(8, *ends)), demands=sketch.demands)
    assert time.monotonic() - started < 4
    assert result.gap < 0.1


def broken(change: str, offsets: dict[int, int], order: tuple[int, ...]) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {
        "one over the other": {"offsets": {**offsets, 2: offsets[1]}},
        "too close": {"offsets": {**offsets, 1: offsets[0] - 4}},
        "outside": {"offsets": {**offsets, 1: 4096}},
        "unaligned": {"offsets": {**offsets, 0: offsets[0] + 2}},
        "small arena": {"peak": 32},
        "backwards": {"order": tuple(reversed(order))},
        "incomplete": {"order": order[:-1]},
        "too close above": {"offsets": {**offsets, 1: offsets[0] + 4}},
        "scratch": {"scratch_offsets": {2: offsets[2]}},
        "state": {"state_offsets": (0, 4)},
    }
    return changes[change]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one over the other", "tensor t1"),
        ("too close", "output 0 overwrites tensor t0 too early"),
        ("too close above", "output 0 overwrites tensor t0 too early"),
        ("outside", "outside a memory"),
        ("unaligned", "not aligned to 4"),
        ("small arena", "outside a memory"),
        ("backwards", "before the producer"),
        ("incomplete", "does not run every op once"),
        ("scratch", "scratch lies over"),
        ("state", "state 0"),
    ],
)
def test_checker_refuses_broken_plans(change: str, message: str) -> None:
    sketch = Sketch()
    sketch.state(8)
    sketch.state(8)
    a = sketch.input(40)
    b = sketch.compute(40, a, d0=8, u0=8)
    c = sketch.compute(40, b)
    d = sketch.compute(40, b, c, scratch=8)
    graph: Graph = sketch.graph(d)
    good = plan(graph, sketch.states, demands=sketch.demands)
    bad = dataclasses.replace(good, **broken(change, dict(good.offsets), good.order))
    with pytest.raises(VerifyError, match=message):
        verify_plan(graph, sketch.states, sketch.demands, bad)


def test_checker_refuses_a_state_written_too_early() -> None:
    sketch = Sketch()
    s = sketch.state(8)
    old = sketch.read(s)
    new = sketch.compute(8, sketch.input(8))
    used = sketch.compute(8, old)
    sketch.write(s, new)
    graph = sketch.graph(used)
    good = plan(graph, sketch.states, demands=sketch.demands)
    bad = dataclasses.replace(good, order=(0, 1, 3, 2))
    with pytest.raises(VerifyError, match="tensor t0: its bytes are gone"):
        verify_plan(graph, sketch.states, sketch.demands, bad)
