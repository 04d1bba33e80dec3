"""How operators compute with tensors whose axes are permuted: one handler each, False where it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyops.graph import Op, Tensor
from tinyops.ops.base import supported
from tinyops.ops.broadcast import Binary
from tinyops.ops.movement import ints
from tinyops.ops.unary import Unary
from tinyops.passes.rewriter import Rewriter
from tinyops.passes.views import Axes, View, inverse, permuted

Handler = Callable[[Rewriter, Op], bool]
HANDLERS: dict[str, Handler] = {}


def _handles(*kinds: str) -> Callable[[Handler], Handler]:
    def register(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _kinds(base: type) -> list[str]:
    return [kind for kind, rules in supported().items() if isinstance(rules, base)]


@_handles("TRANSPOSE")
def _transpose(r: Rewriter, op: Op) -> bool:
    view = r.settle(r.view(op.inputs[0]))
    order = permuted(view.permutation, ints(r.old(op.inputs[1])))
    r.renamed(view.index, op.outputs[0])
    r.views[op.outputs[0]] = View(view.index, view.stored, order, permuted(view.stored, order))
    return True


@_handles("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(r: Rewriter, op: Op) -> bool:
    view = r.view(op.inputs[0])
    r.renamed(view.index, op.outputs[0])
    r.views[op.outputs[0]] = dataclasses.replace(view, shape=r.old(op.outputs[0]).shape)
    return True


@_handles(*_kinds(Unary), "QUANTIZE", "DEQUANTIZE", "CAST")
def _unary(r: Rewriter, op: Op) -> bool:
    view = r.view(op.inputs[0])
    index = r.emit(op, [view.index], [view.stored])[0]
    r.views[op.outputs[0]] = dataclasses.replace(view, index=index)
    return True


@_handles(*_kinds(Binary), "SELECT_V2")
def _elementwise(r: Rewriter, op: Op) -> bool:
    shape = r.old(op.outputs[0]).shape
    views = [r.view(t) for t in op.inputs]
    computed = [v for t, v in zip(op.inputs, views, strict=True) if not r.old(t).is_constant and v.shape == shape]
    if not computed:
        return False
    lead = next((v for v in computed if not v.keeps_order), computed[0])
    inputs = [_beside(r, lead, v, r.tensors[v.index]) for v in views]
    if any(i is None for i in inputs):
        lead = r.settle(lead)
        inputs = [_beside(r, lead, v, r.tensors[v.index]) for v in views]
    if any(i is None for i in inputs):
        inputs = [_aligned(r, lead, v) for v in views]
    index = r.emit(op, inputs, [lead.stored])[0]
    r.views[op.outputs[0]] = dataclasses.replace(lead, index=index)
    return True


def _beside(r: Rewriter, lead: View, view: View, tensor: Tensor) -> int | None:
    """The tensor to use beside `lead`'s stored one; None where that takes an axis for each of the value's."""
    if view.same_place(lead) or tensor.elements == 1:
        return view.index
    if tensor.data is None:
        return None
    full = (1,) * (len(lead.shape) - len(view.shape)) + view.shape
    if lead.is_settled:
        data = tensor.data.reshape(full).transpose(inverse(lead.permutation))
    else:
        wide = [k for k, n in enumerate(lead.shape) if n != 1]
        spread = [n for n in lead.transposed if n != 1]
        if [lead.shape[k] for k in wide] != spread or any(n != 1 for k, n in enumerate(full) if k not in wide):
            return None
        sizes = iter(full[k] for k in wide)
        between = [1 if n == 1 else next(sizes) for n in lead.transposed]
        data = tensor.data.reshape(between).transpose(inverse(lead.permutation))
    kept = next((k for k, n in enumerate(data.shape) if n != 1), data.ndim - 1)
    data = np.ascontiguousarray(data.reshape(data.shape[kept:]))
    return r.tensor(dataclasses.replace(tensor, shape=data.shape, data=data))


def _aligned(r: Rewriter, lead: View, view: View) -> int:
    """The tensor of a view that broadcasts, beside a settled lead."""
    if view.same_place(lead) or len(view.shape) == 0:
        return view.index
    full = (1,) * (len(lead.shape) - len(view.shape)) + view.shape
    return r.align(dataclasses.replace(view, shape=full), lead.permutation)


def _order(r: Rewriter, op: Op, first: int = 0) -> tuple[int, Axes]:
    """The tensor and the permutation of the data."""
    view = r.settle(r.view(op.inputs[first]))
    return view.index, view.permutation


def _operand(r: Rewriter, t: int | None, values: Any) -> int:
    """A constant like the old one, with other values."""
    tensor = r.old(t)
    data = np.array(values, dtype=tensor.dtype.numpy).reshape(tensor.shape)
    return r.tensor(dataclasses.replace(tensor, data=data))


def _kept(r: Rewriter, t: int | None) -> int:
    return r.view(t).index


@_handles("CONCATENATION")
def _concatenation(r: Rewriter, op: Op) -> bool:
    views = [r.settle(r.view(t)) for t in op.inputs]
    order = next((v.permutation for v in views if not v.keeps_order), views[0].permutation)
    axis = order[op.attrs.axis % len(order)]
    r.through(op, [r.align(v, order) for v in views], order, dataclasses.replace(op.attrs, axis=axis))
    return True


@_handles("SPLIT")
def _split(r: Rewriter, op: Op) -> bool:
    index, order = _order(r, op, 1)
    axis = order[ints(r.old(op.inputs[0]))[0] % len(order)]
    r.through(op, [_operand(r, op.inputs[0], [axis]), index], order)
    return True


@_handles("SPLIT_V")
def _split_v(r: Rewriter, op: Op) -> bool:
    index, order = _order(r, op)
    axis = order[ints(r.old(op.inputs[2]))[0] % len(order)]
    r.through(op, [index, _kept(r, op.inputs[1]), _operand(r, op.inputs[2], [axis])], order)
    return True


@_handles("SLICE", "TILE")
def _by_axis(r: Rewriter, op: Op) -> bool:
    """Operands with one value for each axis."""
    index, order = _order(r, op)
    back = inverse(order)
    operands = [_operand(r, t, permuted(ints(r.old(t)), back)) for t in op.inputs[1:]]
    r.through(op, [index, *operands], order)
    return True


@_handles("STRIDED_SLICE")
def _strided_slice(r: Rewriter, op: Op) -> bool:
    if op.attrs.shrink_axis_mask:
        return False
    index, order = _order(r, op)
    back = inverse(order)
    masks = {
        name: sum((getattr(op.attrs, name) >> axis & 1) << k for k, axis in enumerate(back))
        for name in ("begin_mask", "end_mask")
    }
    operands = [_operand(r, t, permuted(ints(r.old(t)), back)) for t in op.inputs[1:]]
    r.through(op, [index, *operands], order, dataclasses.replace(op.attrs, **masks))
    return True


@_handles("PAD", "PADV2", "MIRROR_PAD")
def _pad(r: Rewriter, op: Op) -> bool:
    index, order = _order(r, op)
    flat = ints(r.old(op.inputs[1]))
    pairs = [(flat[2 * k], flat[2 * k + 1]) for k in inverse(order)]
    r.through(op, [index, _operand(r, op.inputs[1], pairs), *(_kept(r, t) for t in op.inputs[2:])], order)
    return True


@_handles("BROADCAST_TO")
def _broadcast_to(r: Rewriter, op: Op) -> bool:
    if len(r.old(op.inputs[0]).shape) != len(r.old(op.outputs[0]).shape):
        return False
    return _by_axis(r, op)


@_handles("GATHER")
def _gather(r: Rewriter, op: Op) -> bool:
    if op.attrs.batch_dims or len(r.old(op.inputs[1]).shape) != 1 or r.old(op.inputs[0]).is_constant:
        return False
    index, order = _order(r, op)
    attrs = dataclasses.replace(op.attrs, axis=order[op.attrs.axis % len(order)])
    r.through(op, [index, r.plain(r.view(op.inputs[1]))], order, attrs)
    return True


@_handles("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
def _reduction(r: Rewriter, op: Op) -> bool:
    index, order = _order(r, op)
    rank = len(order)
    reduced = {axis % rank for axis in ints(r.old(op.inputs[1]))}
    axes = sorted(order[axis] for axis in reduced)
    inputs = [index, r.ints(r.old(op.inputs[1]).name, axes)]
    if op.attrs.keep_dims:
        r.through(op, inputs, order)
        return True
    left = [axis for axis in range(rank) if axis not in axes]
    r.through(op, inputs, tuple(left.index(order[k]) for k in range(rank) if k not in reduced))
    return True


@_handles("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
def _last_axis(r: Rewriter, op: Op) -> bool:
    index, order = _order(r, op)
    if order[-1] != len(order) - 1:
        return False
    r.through(op, [index], order)
    return True


@_handles("FULLY_CONNECTED")
def _fully_connected(r: Rewriter, op: Op) -> bool:
    view, weights = r.view(op.inputs[0]), r.old(op.inputs[1])
    rest = [None if t is None else _kept(r, t) for t in op.inputs[2:]]
    if op.attrs.keep_num_dims:
        settled = r.settle(view)
        if settled.permutation[-1] != len(settled.permutation) - 1:
            return False
        r.through(op, [settled.index, _kept(r, op.inputs[1]), *rest], settled.permutation)
        return True
    depth = weights.shape[1]
    if weights.data is None or r.old(op.inputs[0]).elements != depth or view.keeps_order:
        return False
    # One row: instead of its elements, the columns of the weights are moved.
    places = np.arange(depth).reshape(view.stored).transpose(view.permutation).reshape(-1)
    data = np.empty_like(weights.data)
    data[:, places] = weights.data
    moved = r.tensor(dataclasses.replace(weights, data=data))
    shape = r.old(op.outputs[0]).shape
    index = r.emit(op, [r.reshaped(view.index, (1, depth)), moved, *rest], [shape])[0]
    r.views[op.outputs[0]] = View.of(index, shape)
    return True


@_handles("BATCH_MATMUL")
def _batch_matmul(r: Rewriter, op: Op) -> bool:
    """An operand whose last two axes alone are swapped is taken as it is stored."""
    inputs, flags = [], []
    for t, flag in zip(op.inputs, (op.attrs.adj_x, op.attrs.adj_y), strict=True):
        view = r.settle(r.view(t))
        rank = len(view.shape)
        swapped = (*range(rank - 2), rank - 1, rank - 2)
        if view.permutation == swapped:
            inputs.append(view.index)
            flags.append(not flag)
        else:
            inputs.append(r.plain(view))
            flags.append(flag)
    shape = r.old(op.outputs[0]).shape
    attrs = dataclasses.replace(op.attrs, adj_x=flags[0], adj_y=flags[1])
    r.views[op.outputs[0]] = View.of(r.emit(op, inputs, [shape], attrs)[0], shape)
    return True
