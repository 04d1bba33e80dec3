"""Operators that only move bytes: a strided copy, or nothing where the plan shares the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import ArenaRef, Call, ConstantRef, Ref, StateRef, Value
from tinyops.lower.strides import lead, merge
from tinyops.ops import concatenation as concat
from tinyops.ops import pack as pack_op
from tinyops.ops import pad as pad_op
from tinyops.ops import split as split_op
from tinyops.ops import split_v as split_v_op
from tinyops.ops import unpack as unpack_op

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
) -> list[Call]:
    """Copy runs of `run` contiguous bytes for every index below `extents`; strides in bytes.

    Dimensions that continue each other are merged, innermost into the run; it is one call unless more than six are
    left.
    """
    e, (i, o) = merge(extents, in_stride, out_stride)
    if e and i[-1] == run and o[-1] == run:
        run *= e[-1]
        e, i, o = e[:-1], i[:-1], o[:-1]
    if len(e) > _MAX_DIMS:
        parts = [copy(at(source, k * i[0]), at(target, k * o[0]), e[1:], i[1:], o[1:], run) for k in range(e[0])]
        return [call for part in parts for call in part]
    fill = _MAX_DIMS - len(e)
    params: dict[str, Value] = {
        "dims": len(e),
        "extents": e + (1,) * fill,
        "in_stride": i + (0,) * fill,
        "out_stride": o + (0,) * fill,
        "run": run,
    }
    return [Call("to_copy_any_b_c", params, (source, target))]


def contiguous(source: Ref, target: Ref, nbytes: int) -> list[Call]:
    """One run, or nothing where source and target are the same place."""
    return [] if source == target or nbytes == 0 else copy(source, target, (), (), (), nbytes)


def same_bytes(op: Lowering) -> list[Call]:
    return contiguous(op.input(), op.output(), op.view.output().nbytes) if op.output_needs_copy() else []


for _kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
    rule(_kind)(same_bytes)


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
    return _join(op, concat.axis_of(op.view))


@rule("PACK")
def pack(op: Lowering) -> list[Call]:
    return _join(op, pack_op.axis_of(op.view))


def _join(op: Lowering, axis: int) -> list[Call]:
    """The inputs side by side: a run of each for every index of the axes before `axis`."""
    tensor = op.view.output()
    outer = math.prod(tensor.shape[:axis])
    row = tensor.nbytes // outer
    calls: list[Call] = []
    offset = 0
    for i in range(len(op.view.inputs)):
        run = op.view.input(i).nbytes // outer
        if run and op.input_needs_copy(i):
            calls += copy(op.input(i), at(op.output(), offset), (outer,), (run,), (row,), run)
        offset += run
    return calls


@rule("SPLIT")
def split(op: Lowering) -> list[Call]:
    return _part(op, 1, split_op.axis_of(op.view))


@rule("SPLIT_V")
def split_v(op: Lowering) -> list[Call]:
    return _part(op, 0, split_v_op.axis_of(op.view))


@rule("UNPACK")
def unpack(op: Lowering) -> list[Call]:
    return _part(op, 0, unpack_op.axis_of(op.view))


def _part(op: Lowering, i: int, axis: int) -> list[Call]:
    """The outputs lie side by side in input `i`, as in _join."""
    tensor = op.view.input(i)
    outer = math.prod(tensor.shape[:axis])
    row = tensor.nbytes // outer
    calls: list[Call] = []
    offset = 0
    for o, part in enumerate(op.view.outputs):
        run = part.nbytes // outer
        if op.output_needs_copy(o):
            calls += copy(at(op.input(i), offset), op.output(o), (outer,), (row,), (run,), run)
        offset += run
    return calls


@rule("PAD")
def pad(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    paddings = pad_op.paddings(op.view)
    raw = np.array(pad_op.fill_value(op.view), dtype=tensor.dtype.numpy).tobytes()
    params: dict[str, Value] = {
        "in_extents": lead(tensor.shape, _PAD_DIMS, 1),
        "before": lead([before for before, _ in paddings], _PAD_DIMS, 0),
        "after": lead([after for _, after in paddings], _PAD_DIMS, 0),
        "element_size": tensor.dtype.itemsize,
        "fill": tuple(raw) + (0,) * (4 - len(raw)),
    }
    return [Call("to_pad_any_b_c", params, (op.input(), op.output()))]


rule("PADV2")(pad)
