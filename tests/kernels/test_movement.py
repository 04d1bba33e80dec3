"""The kernels that move, pad and resize."""

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


@given(st.data())
def test_take(c: Kernels, data: st.DataObject) -> None:
    """Tables may name any element, in any order, more than once."""
    draw = data.draw
    dtype = draw(DTYPES)
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
    x = _data(draw, shape, dtype)
    tables = [draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5)) for n in shape]
    elements = np.arange(x.size).reshape(shape)[np.ix_(*tables)].reshape(-1)
    strides = contiguous_strides(shape, x.itemsize)
    offsets = np.concatenate([np.array(t) * s for t, s in zip(tables, strides, strict=True)]).astype(np.int32)
    extents = (*map(len, tables), *(1,) * (6 - len(shape)))
    p = {"dims": len(shape), "extents": extents, "run": x.itemsize}
    expected, output = x.reshape(-1)[elements], (len(elements), dtype)
    distance = least_distance(elements, x.size)
    for overlap in (None, (0, distance * x.itemsize), (0, (distance + 1) * x.itemsize)):
        assert np.array_equal(c.run("to_take_any_b_c", p, [x, offsets], output, overlap=overlap), expected)


@given(st.data(), st.booleans())
def test_gather_stays_inside(c: Kernels, data: st.DataObject, at_end: bool) -> None:
    """Indices may be anything; what lies before and after the input cannot be read."""
    draw = data.draw
    batches, outer, count, run, depth = (draw(st.integers(1, n)) for n in (3, 3, 4, 12, 3))
    extents = [draw(st.integers(1, 5)) for _ in range(depth)]
    x = _data(draw, (batches, outer, *extents, run), np.int8)
    anything = st.sampled_from([-(2**31), -1, 0, 1, 2, 4, 5, 2**31 - 1])
    indices = np.array([[[draw(anything) for _ in extents] for _ in range(count)] for _ in range(batches)], np.int32)
    rows = np.moveaxis(np.clip(indices.astype(np.int64), 0, np.array(extents) - 1), -1, 0)
    expected = np.stack([x[b][(slice(None), *rows[:, b])] for b in range(batches)]).reshape(-1)
    p: dict[str, Any] = {"batches": batches, "outer": outer, "size": math.prod(extents), "count": count, "run": run}
    p |= {"depth": depth, "extents": (*extents, *(1,) * (5 - depth))}
    result = c.run("to_gather_any_b_c", p, [x, indices], (expected.size, np.int8), at_end=at_end)
    assert np.array_equal(result, expected)


@given(st.data(), st.booleans())
def test_resize_bilinear(c: Kernels, data: st.DataObject, at_end: bool) -> None:
    """Any positions from half a pixel before the image up to its end, by exact rational numbers."""
    draw = data.draw
    batches, channels = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    sizes, outs, scales, offsets = [], [], [], []
    for _ in range(2):
        sizes.append(draw(st.integers(1, 6)))
        offsets.append(draw(st.integers(-512, 0)))
        outs.append(draw(st.integers(1, 8)))
        scales.append(draw(st.integers(0, (sizes[-1] * 1024 - 1 - offsets[-1]) // max(outs[-1] - 1, 1))))
    x = cases.int8_data(draw, batches, *sizes, channels)
    total: Array = x.astype(np.int64)
    for axis, (n, out, scale, offset) in enumerate(zip(sizes, outs, scales, offsets, strict=True), start=1):
        place = np.maximum(np.arange(out) * scale + offset, 0)
        weight = (place % 1024).reshape([-1 if k == axis else 1 for k in range(4)])
        low, high = place // 1024, np.minimum(place // 1024 + 1, n - 1)
        total = np.take(total, low, axis) * (1024 - weight) + np.take(total, high, axis) * weight
    expected = np.sign(total) * ((np.abs(total) + 2**19) >> 20)
    p = {"batches": batches, "channels": channels} | {
        f"{name}_{axis}": values[k]
        for name, values in (("in", sizes), ("out", outs), ("scale", scales), ("offset", offsets))
        for k, axis in enumerate("hw")
    }
    result = c.run("to_resize_bilinear_any_s8_c", p, [x], (expected.size, np.int8), at_end=at_end)
    assert np.array_equal(result, expected.reshape(-1))
