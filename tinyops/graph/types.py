"""Tensors, quantization, operators, state and models. Everything is immutable: a pass returns a new Model."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np


class DType(enum.StrEnum):
    """Element types. RESOURCE is a handle to a variable and has no bytes of its own.

    INT4 and FLOAT16 are for constants only. INT4 values stand in int8 arrays and take half a byte in files and in
    programs.
    """

    INT4 = "int4"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    BOOL = "bool"
    RESOURCE = "resource"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype({DType.RESOURCE: "int32", DType.INT4: "int8"}.get(self, self.value))

    @property
    def itemsize(self) -> int:
        """Bytes of one element in an array."""
        return int(self.numpy.itemsize)

    def stored_bytes(self, elements: int) -> int:
        """Bytes of so many elements in a file and in a program."""
        return (elements + 1) // 2 if self is DType.INT4 else elements * self.itemsize


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantization: real = scale * (q - zero_point), per tensor or per channel along `axis`.

    `scales` hold float32 values exactly (as Python floats); one entry means per tensor.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1

    @property
    def scale(self) -> float:
        if len(self.scales) != 1:
            raise ValueError("scale of a per-channel quantization")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        if len(set(self.zero_points)) != 1:
            raise ValueError("zero point of a per-channel quantization")
        return self.zero_points[0]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of the graph; a constant when `data` is given (dtype and shape equal to the tensor's).

    A `variable` keeps its value from one invocation to the next; the pass resolve_state turns it into a State.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    quantization: Quantization | None = None
    data: np.ndarray[Any, Any] | None = None
    variable: bool = False

    @property
    def elements(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        return self.dtype.stored_bytes(self.elements)

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        if self.quantization is None:
            raise ValueError(f"tensor {self.name} has no quantization")
        return self.quantization.scale

    @property
    def zero_point(self) -> int:
        if self.quantization is None:
            raise ValueError(f"tensor {self.name} has no quantization")
        return self.quantization.zero_point


@dataclass(frozen=True, slots=True)
class Op:
    """An operator: `inputs` and `outputs` index the graph's tensors; an absent optional input is None.

    `intermediates` are tensors whose quantization LiteRT's LSTM reads; nothing else does, and passes drop them.
    """

    kind: str
    name: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attrs: Any = None
    version: int = 1
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Memory that persists between invocations (a variable, a delay line, a cache); init sets it to `initial`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    initial: np.ndarray[Any, Any]
    quantization: Quantization | None = None

    @property
    def nbytes(self) -> int:
        return int(self.initial.nbytes)


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph: ops stand in a valid execution order."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def producer(self) -> dict[int, int]:
        """Tensor index -> index of the op that writes it."""
        return {t: k for k, op in enumerate(self.ops) for t in op.outputs}

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """Tensor index -> indices of the ops that read it, in order."""
        found: dict[int, list[int]] = {}
        for k, op in enumerate(self.ops):
            for t in dict.fromkeys(op.inputs):
                if t is not None:
                    found.setdefault(t, []).append(k)
        return {t: tuple(ks) for t, ks in found.items()}

    def views(self) -> Iterator[OpView]:
        for op in self.ops:
            yield OpView(op, self)


@dataclass(frozen=True, eq=False)
class Model:
    """Subgraphs (the first is the main one) and the state they share."""

    name: str
    graphs: tuple[Graph, ...]
    states: tuple[State, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Graph:
        return self.graphs[0]


@dataclass(frozen=True, slots=True)
class OpView:
    """An op together with its tensors: what operator rules, references and lowerings look at."""

    op: Op
    graph: Graph

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def kind(self) -> str:
        return self.op.kind

    @property
    def attrs(self) -> Any:
        return self.op.attrs

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        return tuple(None if t is None else self.graph.tensors[t] for t in self.op.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[t] for t in self.op.outputs)

    def input(self, i: int) -> Tensor:
        """Input `i`, which must be present."""
        t = self.op.inputs[i] if i < len(self.op.inputs) else None
        if t is None:
            raise IndexError(f"{self.name}: no input {i}")
        return self.graph.tensors[t]

    def optional(self, i: int) -> Tensor | None:
        t = self.op.inputs[i] if i < len(self.op.inputs) else None
        return None if t is None else self.graph.tensors[t]

    def output(self, i: int = 0) -> Tensor:
        return self.graph.tensors[self.op.outputs[i]]
