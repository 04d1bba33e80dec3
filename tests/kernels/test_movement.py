"""The copy and padding kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import cases, oracle
from tests.kernels.harness import Array, Kernels, least_distance
from tinyops.lower.strides import contiguous_strides, lead, merge

DTYPES = st.sampled_from([np.int8, np.int16, np.int32])


def _data(draw: cases.Draw, shape: tuple[int, ...], dtype: Any) -> Array:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.random.default_rng(draw(cases.seeds)).integers(0, 256, size).astype(np.uint8)
    values: Array = raw.view(dtype)
    return values.reshape(shape)


def _copy_params(extents: list[int], in_stride: list[int], out_stride: list[int], size: int) -> dict[str, Any]:
    """Elements of `size` bytes are a dimension of their own; what is contiguous in both becomes the run."""
    merged, (ins, outs) = merge([*extents, size], [*in_stride, 1], [*out_stride, 1])
    run = 1
    if merged and ins[-1] == outs[-1] == 1:
        run, merged, ins, outs = merged[-1], merged[:-1], ins[:-1], outs[:-1]
    pad = 6 - len(merged)
    fields = zip(("extents", "in_stride", "out_stride"), (merged, ins, outs), strict=True)
    return {"dims": len(merged), "run": run, **{name: (*values, *(0,) * pad) for name, values in fields}}


@given(st.data())
def test_strided_slice(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    dtype = draw(DTYPES)
    size = np.dtype(dtype).itemsize
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)))
    x = _data(draw, shape, dtype)
    slices = []
    for n in shape:
        start, stop = sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))))
        step = draw(st.integers(1, 3))
        slices.append(
            slice(start, stop + 1, step) if draw(st.booleans()) else slice(stop, start - 1 if start else None, -step)
        )
    if draw(st.booleans()):
        slices[-1] = slice(None)
    y = np.ascontiguousarray(x[tuple(slices)])
    elements = np.arange(x.size).reshape(shape)[tuple(slices)]
    start = int(elements.reshape(-1)[0])
    steps = [s * (sl.step or 1) * size for s, sl in zip(contiguous_strides(shape), slices, strict=True)]
    p = _copy_params(list(y.shape), steps, list(contiguous_strides(y.shape, size)), size)
    first = elements.reshape(-1) - start
    if first.min() == 0:  # the run's start is the lowest address: the whole slice is a tail of the input
        argument = x.reshape(-1)[start:]
        result = c.run("to_copy_any_b_c", p, [argument], (y.size, dtype))
        assert np.array_equal(result, y.reshape(-1))
        distance = least_distance(first, argument.size)
        for d in (distance, distance + 1):
            result = c.run("to_copy_any_b_c", p, [argument], (y.size, dtype), overlap=(0, d * size))
            assert np.array_equal(result, y.reshape(-1))
    else:
        result = c.run("to_copy_any_b_c", p, [x], (y.size, dtype), start=start * size)
        assert np.array_equal(result, y.reshape(-1))


@given(st.data())
def test_concatenation(c: Kernels, data: st.DataObject) -> None:
    """Copies into a part of the output; what belongs to the other inputs stays."""
    draw = data.draw
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    whole = [*shape]
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    whole[axis] += before + after
    x = _data(draw, tuple(shape), np.int8)
    y = np.full(whole, 0x5A, np.int8)
    y[(*(slice(None),) * axis, slice(before, before + shape[axis]))] = x
    strides = contiguous_strides(whole)
    p = _copy_params(shape, list(contiguous_strides(shape)), list(strides), 1)
    start = before * strides[axis]
    result = c.run("to_copy_any_b_c", p, [x], (y.size - start, np.int8))
    assert np.array_equal(result, y.reshape(-1)[start:])


@given(st.integers(1, 70), st.integers(0, 70), cases.seeds)
def test_copy_moves_down(c: Kernels, run: int, distance: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, run).astype(np.int8)
    p = {"dims": 0, "run": run} | dict.fromkeys(("extents", "in_stride", "out_stride"), (0,) * 6)
    assert np.array_equal(c.run("to_copy_any_b_c", p, [x], (run, np.int8), overlap=(0, distance)), x)


@given(st.data())
def test_pad(c: Kernels, data: st.DataObject) -> None:
    draw = data.draw
    dtype = draw(DTYPES)
    size = np.dtype(dtype).itemsize
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))
    widths = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in shape]
    x = _data(draw, shape, dtype)
    fill = _data(draw, (1,), dtype)
    y = np.pad(x, widths, constant_values=fill[0])
    p = {
        "in_extents": lead(shape, 5, 1),
        "before": lead([b for b, _ in widths], 5, 0),
        "after": lead([a for _, a in widths], 5, 0),
        "element_size": size,
        "fill": (*fill.tobytes(), *(0,) * (4 - size)),
    }
    output = (y.size, dtype)
    assert np.array_equal(c.run("to_pad_any_b_c", p, [x], output), y.reshape(-1))
    first = np.pad(np.arange(x.size).reshape(shape), widths, constant_values=oracle.NONE).reshape(-1)
    distance = least_distance(first, x.size)
    for d in (distance, distance + 1):
        result = c.run("to_pad_any_b_c", p, [x], output, overlap=(0, d * size))
        assert np.array_equal(result, y.reshape(-1))
