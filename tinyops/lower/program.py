"""The lowered program: language-neutral. Templates of C and Rust only write down what stands here.

An invocation runs `layers` in order; each layer is a list of kernel calls on places in the arena, in the state
memory and in constants.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyops.graph import DType, State, Tensor
from tinyops.plan import Plan

Array = np.ndarray[Any, Any]


class Role(enum.StrEnum):
    """What a constant is for; the report counts each role."""

    WEIGHTS = "weights"
    BIAS = "bias"
    REQUANTIZATION = "requantization"
    TABLE = "table"
    DATA = "data"


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A constant array, packed in the order in which its kernel reads it. `dtype` is the C element type's dtype."""

    name: str
    role: Role
    data: Array
    alignment: int = 4

    @property
    def nbytes(self) -> int:
        return int(self.data.nbytes)


@dataclass(frozen=True, slots=True)
class ArenaRef:
    """Bytes at a fixed offset of the caller's arena."""

    offset: int
    dtype: DType


@dataclass(frozen=True, slots=True)
class StateRef:
    """Bytes at a fixed offset of the caller's state."""

    offset: int
    dtype: DType


@dataclass(frozen=True, slots=True)
class ConstantRef:
    """A constant of the program, from byte `offset` on."""

    name: str
    dtype: DType
    offset: int = 0


Ref = ArenaRef | StateRef | ConstantRef
#: Of a parameter struct's field; a float is a float32.
Value = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """kernel(&params, *arguments): `params` has the fields of the kernel's parameter struct.

    The last `outputs` arguments are what the kernel writes.
    """

    kernel: str
    params: Mapping[str, Value]
    arguments: tuple[Ref, ...]
    outputs: int = 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator: `calls` may be empty where the plan made it free (a view, an embedded input)."""

    name: str
    op: str
    calls: tuple[Call, ...]
    macs: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    scratch_bytes: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """A model input or output: a tensor and its offset in the arena."""

    name: str
    tensor: Tensor
    offset: int


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that generated code needs; sizes in bytes."""

    name: str
    digest: bytes
    layers: tuple[Layer, ...]
    constants: tuple[Constant, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[State, ...]
    state_offsets: tuple[int, ...]
    state_bytes: int
    arena_bytes: int
    plan: Plan
    #: Blocks that the plan placed: (root tensor, its name, bytes).
    arena_blocks: tuple[tuple[int, str, int], ...] = ()
    isa: str = "c"
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels that the program calls, sorted."""
        return tuple(sorted({call.kernel for layer in self.layers for call in layer.calls}))

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def constant_bytes(self, *roles: Role) -> int:
        """Bytes of the constants with these roles (of all, when none is named)."""
        return sum(c.nbytes for c in self.constants if not roles or c.role in roles)
