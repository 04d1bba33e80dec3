"""Operators that only move bytes: a strided copy, or nothing where the plan shares the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import ArenaRef, Call, ConstantRef, Ref, StateRef, Value
from tinyops.lower.strides import contiguous_strides, lead, merge
from tinyops.ops import concatenation as concat
from tinyops.ops import pad as pad_op
from tinyops.ops import split_v as split
from tinyops.ops.strided_slice import ranges

_MAX_DIMS = 6
_PAD_DIMS = 5


def at(ref: Ref, offset: int) -> Ref:
    """The place `offset` bytes further on."""
    if isinstance(ref, ArenaRef):
        return ArenaRef(ref.offset + offset, ref.dtype)
    if isinstance(ref, StateRef):
        return StateRef(ref.offset + offset, ref.dtype)
    return ConstantRef(ref.name, ref.dtype, ref.offset + offset // ref.dtype.itemsize)


def copy(
    source: Ref, target: Ref, extents: Sequence[int], in_stride: Sequence[int], out_stride: Sequence[int], run: int
) -> Call:
    """Copy runs of `run` contiguous bytes for every index below `extents`; strides in bytes.

    Dimensions that continue each other are merged, innermost into the run.
    """
    e, (i, o) = merge(extents, in_stride, out_stride)
    if e and i[-1] == run and o[-1] == run:
        run *= e[-1]
        e, i, o = e[:-1], i[:-1], o[:-1]
    fill = _MAX_DIMS - len(e)
    params: dict[str, Value] = {
        "dims": len(e),
        "extents": e + (1,) * fill,
        "in_stride": i + (0,) * fill,
        "out_stride": o + (0,) * fill,
        "run": run,
    }
    return Call("to_copy_any_b_c", params, (source, target))


def contiguous(source: Ref, target: Ref, nbytes: int) -> list[Call]:
    """One run, or nothing where source and target are the same place."""
    return [] if source == target or nbytes == 0 else [copy(source, target, (), (), (), nbytes)]


@rule("RESHAPE")
def reshape(op: Lowering) -> list[Call]:
    return contiguous(op.input(), op.output(), op.view.output().nbytes) if op.output_needs_copy() else []


@rule("READ_STATE")
def read_state(op: Lowering) -> list[Call]:
    tensor = op.view.output()
    if not op.output_needs_copy():
        return []
    return contiguous(op.state(op.view.attrs.state, tensor.dtype), op.output(), tensor.nbytes)


@rule("WRITE_STATE")
def write_state(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    return contiguous(op.input(), op.state(op.view.attrs.state, tensor.dtype), tensor.nbytes)


@rule("CONCATENATION")
def concatenation(op: Lowering) -> list[Call]:
    tensor = op.view.output()
    axis = concat.axis_of(op.view)
    outer = math.prod(tensor.shape[:axis])
    inner = math.prod(tensor.shape[axis + 1 :]) * tensor.dtype.itemsize
    row = tensor.shape[axis] * inner
    calls: list[Call] = []
    offset = 0
    for i in range(len(op.view.inputs)):
        run = op.view.input(i).shape[axis] * inner
        if run and outer and op.input_needs_copy(i):
            calls.append(copy(op.input(i), at(op.output(), offset), (outer,), (run,), (row,), run))
        offset += run
    return calls


@rule("SPLIT_V")
def split_v(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    axis = split.axis_of(op.view)
    outer = math.prod(tensor.shape[:axis])
    inner = math.prod(tensor.shape[axis + 1 :]) * tensor.dtype.itemsize
    row = tensor.shape[axis] * inner
    calls: list[Call] = []
    offset = 0
    for o, part in enumerate(op.view.outputs):
        run = part.shape[axis] * inner
        if run and outer and op.output_needs_copy(o):
            calls.append(copy(at(op.input(), offset), op.output(o), (outer,), (row,), (run,), run))
        offset += run
    return calls


@rule("STRIDED_SLICE")
def strided_slice(op: Lowering) -> list[Call]:
    source, target = op.view.input(0), op.view.output()
    if not op.output_needs_copy() or target.elements == 0:
        return []
    size = source.dtype.itemsize
    step = contiguous_strides(source.shape, size)
    taken = ranges(op.view)
    extents = [len(indices) for indices in taken]
    start = sum(indices[0] * b for indices, b in zip(taken, step, strict=True))
    in_stride = [indices.step * b for indices, b in zip(taken, step, strict=True)]
    return [copy(at(op.input(), start), op.output(), extents, in_stride, contiguous_strides(extents, size), size)]


@rule("PAD")
def pad(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    paddings = pad_op.paddings(op.view)
    raw = pad_op.fill_value(op.view).to_bytes(tensor.dtype.itemsize, "little", signed=tensor.dtype is not DType.UINT8)
    params: dict[str, Value] = {
        "in_extents": lead(tensor.shape, _PAD_DIMS, 1),
        "before": lead([before for before, _ in paddings], _PAD_DIMS, 0),
        "after": lead([after for _, after in paddings], _PAD_DIMS, 0),
        "element_size": tensor.dtype.itemsize,
        "fill": tuple(raw) + (0,) * (4 - len(raw)),
    }
    return [Call("to_pad_any_b_c", params, (op.input(), op.output()))]
