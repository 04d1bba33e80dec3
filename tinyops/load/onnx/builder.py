"""The graph that importer functions write: operators of ours are added one by one, each checked as it is added."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Op, OpView, Quantization, Tensor
from tinyops.load.onnx.limits import MAX_CONSTANT_BYTES, MAX_FOLDING, MAX_OPS, MAX_RANK, MAX_TENSOR_BYTES, MAX_TENSORS
from tinyops.load.onnx.value import HELD_AS, Array, Stored, Value
from tinyops.ops.base import NoAttrs, operator

_INT32 = np.iinfo(np.int32)


class Builder:
    """Tensors and operators so far; `where` and `name` are those of the node that is being imported."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.producer: dict[int, Op] = {}
        self.where = "model"
        self.name = ""
        self._constants: dict[int, tuple[Array, int]] = {}
        self._constant_bytes = 0
        self._work = 0
        # Operators are checked against this growing list; nothing else of the graph is looked at.
        self._view = Graph("", self.tensors, (), (), ())  # type: ignore[arg-type]

    def refuse(self, what: str, allowed: str | None = None, hint: str | None = None) -> NoReturn:
        raise ModelError(what, where=self.where, allowed=allowed, hint=hint)

    def constant(self, data: Any, name: str | None = None, stored: Stored | None = None) -> Value:
        """A known array, of any dtype that ONNX files hold here."""
        array = np.asarray(data)
        self.bound(array.shape, array.dtype.itemsize)
        self._constant_bytes += array.nbytes
        if self._constant_bytes > MAX_CONSTANT_BYTES:
            self.refuse(f"{self._constant_bytes:,} bytes of constants", f"up to {MAX_CONSTANT_BYTES:,}")
        held = HELD_AS.get(array.dtype.name, DType.INT32)
        return Value(self.name if name is None else name, tuple(array.shape), held, array, stored=stored)

    def bound(self, shape: Sequence[int], itemsize: int = 4) -> None:
        """Refuse a shape that takes too many dimensions or bytes, before anything of that size is made."""
        if len(shape) > MAX_RANK:
            self.refuse(f"{len(shape)} dimensions", f"up to {MAX_RANK}")
        if any(d < 0 for d in shape):
            self.refuse(f"shape {list(shape)} has a negative dimension")
        size = math.prod(shape) * itemsize
        if size > MAX_TENSOR_BYTES:
            self.refuse(f"shape {list(shape)} takes {size:,} bytes", f"up to {MAX_TENSOR_BYTES:,} bytes")

    def work(self, count: int) -> None:
        """Refuse a model whose constants take more than MAX_FOLDING steps to fold."""
        self._work += count
        if self._work > MAX_FOLDING:
            self.refuse(f"folding constants takes {self._work:,} steps", f"up to {MAX_FOLDING:,}")

    def add_input(self, name: str, dtype: DType, shape: tuple[int, ...]) -> Value:
        self.bound(shape)
        return Value(name, shape, dtype, index=self._add(Tensor(name, dtype, shape)))

    def _add(self, tensor: Tensor) -> int:
        if len(self.tensors) >= MAX_TENSORS:
            self.refuse(f"more than {MAX_TENSORS:,} tensors")
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def index(self, value: Value) -> int:
        """The tensor of a value; a constant becomes one when it is first used."""
        if value.index is not None:
            return value.index
        if value.data is None:
            self.refuse(
                f"Erf ({value.name}) is no part of a GELU",
                "x / 2 * (1 + erf(x / sqrt(2))), in any order of its factors",
            )
        key = id(value.data)
        if key not in self._constants:
            tensor = Tensor(value.name, value.dtype, value.shape, None, self._held(value))
            self._constants[key] = (value.data, self._add(tensor))  # the array is kept, so that its id stays its own
        return self._constants[key][1]

    def _held(self, value: Value) -> Array:
        """A constant's data as the tensor has it: float32, int32 or another dtype of ours."""
        data = value.data
        assert data is not None
        if data.dtype.kind in "iu" and value.dtype is DType.INT32 and data.size:
            low, high = int(data.min()), int(data.max())
            if low < _INT32.min or high > _INT32.max:
                self.refuse(f"constant {value.name} holds {low} to {high}", "values of int32")
        if data.dtype.kind == "f" and np.isnan(data).any():
            self.refuse(f"constant {value.name} holds NaN", "numbers, infinity among them")
        with np.errstate(over="ignore"):  # a double beyond float32 is infinite
            return np.asarray(data, dtype=value.dtype.numpy, order="C")

    def annotated(self, value: Value, quantization: Quantization) -> int:
        """A constant float32 tensor whose values lie on that grid, which the pass resolve_quantization looks for."""
        return self._add(Tensor(value.name, DType.FLOAT32, value.shape, quantization, self._held(value)))

    def quantized_constant(self, stored: Stored, name: str) -> int:
        """A constant tensor of integers that stand for real values."""
        dtype = DType(stored.data.dtype.name)
        return self._add(Tensor(name, dtype, tuple(stored.data.shape), stored.quantization, stored.data))

    def op(
        self,
        kind: str,
        inputs: Sequence[Value | int | None],
        shape: Sequence[int],
        attrs: Any = None,
        *,
        dtype: DType | None = None,
        quantization: Quantization | None = None,
    ) -> Value:
        """Add an operator with one output; its dtype is the first input's unless given."""
        return self.op_many(kind, inputs, [shape], attrs, dtype=dtype, quantization=quantization)[0]

    def op_many(
        self,
        kind: str,
        inputs: Sequence[Value | int | None],
        shapes: Sequence[Sequence[int]],
        attrs: Any = None,
        *,
        dtype: DType | None = None,
        quantization: Quantization | None = None,
    ) -> list[Value]:
        """Add an operator with several outputs. Raises ModelError, naming the node, where its rules refuse it."""
        if len(self.ops) >= MAX_OPS:
            self.refuse(f"the model becomes more than {MAX_OPS:,} operators")
        indices = [self.index(v) if isinstance(v, Value) else v for v in inputs]
        if dtype is None:
            assert indices[0] is not None
            dtype = self.tensors[indices[0]].dtype
        values = []
        for shape in shapes:
            whole = tuple(int(d) for d in shape)
            self.bound(whole)
            if 0 in whole:
                self.refuse(f"a result has shape {list(whole)}", "at least one element")
            name = f"{self.name}/{kind.lower()}"
            values.append(Value(name, whole, dtype, index=self._add(Tensor(name, dtype, whole, quantization))))
        outputs = tuple(v.index for v in values if v.index is not None)
        rules = operator(kind)
        if rules is None:
            self.refuse(f"needs the operator {kind}, which is not supported")
        op = Op(kind, f"{kind.lower()}_{len(self.ops)}", tuple(indices), outputs, NoAttrs() if attrs is None else attrs)
        try:
            rules.check(OpView(op, self._view))
        except ModelError as error:
            self.refuse(f"{error.what} (operator {kind})", error.allowed)
        self.ops.append(op)
        self.producer.update(dict.fromkeys(outputs, op))
        return values

    def source(self, value: Value) -> Op | None:
        """The operator that computes a value, if it is one."""
        return None if value.index is None else self.producer.get(value.index)

    def named(self, value: Value, name: str) -> Value:
        """The value under the name that the file has for it; so is its tensor, unless that is an input."""
        if value.index is not None and value.index in self.producer and "/" in value.name:
            self.tensors[value.index] = dataclasses.replace(self.tensors[value.index], name=name)
        return dataclasses.replace(value, name=name)

    def graph(self, inputs: Sequence[int], outputs: Sequence[Value]) -> Graph:
        """What the outputs need, in order."""
        ends = [self.index(v) for v in outputs]
        needed, kept = set(ends), []
        for op in reversed(self.ops):
            if needed.intersection(op.outputs):
                kept.append(op)
                needed.update(t for t in op.inputs if t is not None)
                needed.update(op.outputs)
        needed.update(inputs)
        order = {old: new for new, old in enumerate(sorted(needed))}
        ops = tuple(
            dataclasses.replace(
                op,
                name=f"{op.kind.lower()}_{k}",
                inputs=tuple(None if t is None else order[t] for t in op.inputs),
                outputs=tuple(order[t] for t in op.outputs),
            )
            for k, op in enumerate(reversed(kept))
        )
        tensors = tuple(self.tensors[t] for t in sorted(needed))
        return Graph("main", tensors, ops, tuple(order[t] for t in inputs), tuple(order[t] for t in ends))
