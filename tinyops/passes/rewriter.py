"""A graph that is written anew, operator by operator, with every old value known as a view of a new tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyops.graph import DType, Graph, Op, Tensor
from tinyops.ops.base import NoAttrs
from tinyops.passes.views import Axes, View, inverse, keeps_order, permuted

_MAX_RANK = 6


class Rewriter:
    """Tensors and operators of the new graph; `views` maps old tensors to what they have become."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs: list[int] = []
        self.views: dict[int, View] = {}
        self._plain: dict[View, int] = {}
        self._settled: dict[View, View] = {}
        self._names = {op.name for op in graph.ops}

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def old(self, t: int | None) -> Tensor:
        """A tensor of the old graph."""
        assert t is not None
        return self.graph.tensors[t]

    def view(self, t: int | None) -> View:
        """What an old tensor has become; constants and variables are taken over when they are first used."""
        tensor = self.old(t)
        assert t is not None
        if t not in self.views:
            self.views[t] = View.of(self.tensor(tensor), tensor.shape)
        return self.views[t]

    def name(self, wanted: str) -> str:
        """A name that no operator has yet."""
        name, k = wanted, 1
        while name in self._names:
            name, k = f"{wanted}_{k}", k + 1
        self._names.add(name)
        return name

    def ints(self, name: str, values: Any) -> int:
        """A constant int32 operand."""
        data = np.array(values, dtype=np.int32)
        return self.tensor(Tensor(name, DType.INT32, tuple(data.shape), None, data))

    def reshaped(self, index: int, shape: Axes) -> int:
        """The tensor under another shape."""
        tensor = self.tensors[index]
        if tensor.shape == shape:
            return index
        if tensor.data is not None:
            return self.tensor(dataclasses.replace(tensor, shape=shape, data=tensor.data.reshape(shape)))
        result = self.tensor(dataclasses.replace(tensor, name=f"{tensor.name}/reshape", shape=shape))
        operand = self.ints(f"{tensor.name}/shape", shape)
        self.ops.append(Op("RESHAPE", self.name(f"reshape_of_{index}"), (index, operand), (result,), NoAttrs()))
        return result

    def transposed(self, index: int, order: Axes) -> int:
        """The tensor with its axes permuted; a reshape where that moves nothing."""
        tensor = self.tensors[index]
        shape = permuted(tensor.shape, order)
        if keeps_order(tensor.shape, order):
            return self.reshaped(index, shape)
        if tensor.data is not None:
            data = np.ascontiguousarray(tensor.data.transpose(order))
            return self.tensor(dataclasses.replace(tensor, shape=shape, data=data))
        result = self.tensor(dataclasses.replace(tensor, name=f"{tensor.name}/transpose", shape=shape))
        operand = self.ints(f"{tensor.name}/permutation", order)
        self.ops.append(Op("TRANSPOSE", self.name(f"transpose_of_{index}"), (index, operand), (result,), NoAttrs()))
        return result

    def plain(self, view: View) -> int:
        """A tensor that holds the view's value as it is."""
        if view.is_plain:
            return view.index
        if view not in self._plain:
            if view.keeps_order:
                self._plain[view] = self.reshaped(view.index, view.shape)
            else:
                moved = self.settle(view)
                if moved.is_plain:
                    return moved.index
                self._plain[view] = self.reshaped(self.transposed(moved.index, moved.permutation), view.shape)
        return self._plain[view]

    def settle(self, view: View) -> View:
        """The same value without a final reshape."""
        if view.is_settled:
            return view
        if len(view.shape) > _MAX_RANK:
            return View.of(self.reshaped(self.transposed(view.index, view.permutation), view.shape), view.shape)
        if view not in self._settled:
            order, shape, permutation = view.settled()
            index = self.reshaped(self.transposed(view.index, order), shape)
            self._settled[view] = View(index, shape, permutation, view.shape)
        return self._settled[view]

    def align(self, view: View, order: Axes) -> int:
        """A tensor that stores the view's value such that value = stored.transpose(order)."""
        settled = self.settle(view)
        return self.transposed(settled.index, permuted(settled.permutation, inverse(order)))

    def emit(self, op: Op, inputs: Sequence[int | None], shapes: Sequence[Axes], attrs: Any = None) -> tuple[int, ...]:
        """The operator on new tensors, its results of `shapes`."""
        outputs = tuple(
            self.tensor(dataclasses.replace(self.old(t), shape=shape))
            for t, shape in zip(op.outputs, shapes, strict=True)
        )
        chosen = op.attrs if attrs is None else attrs
        self.ops.append(dataclasses.replace(op, inputs=tuple(inputs), outputs=outputs, attrs=chosen))
        return outputs

    def keep(self, op: Op) -> None:
        """The operator as it is."""
        inputs = [None if t is None else self.plain(self.view(t)) for t in op.inputs]
        shapes = [self.old(t).shape for t in op.outputs]
        for t, index, shape in zip(op.outputs, self.emit(op, inputs, shapes), shapes, strict=True):
            self.views[t] = View.of(index, shape)

    def through(self, op: Op, inputs: Sequence[int | None], order: Axes, attrs: Any = None) -> None:
        """The operator on tensors stored such that value = stored.transpose(order), its results likewise."""
        stored = [permuted(self.old(t).shape, inverse(order)) for t in op.outputs]
        for t, index, shape in zip(op.outputs, self.emit(op, inputs, stored, attrs), stored, strict=True):
            self.views[t] = View(index, shape, order, self.old(t).shape)

    def renamed(self, index: int, t: int) -> None:
        """A tensor whose name extends that of an old one that is but a view of it takes over that name."""
        name = self.old(t).name
        if self.tensors[index].name.startswith(f"{name}/"):
            self.tensors[index] = dataclasses.replace(self.tensors[index], name=name)
