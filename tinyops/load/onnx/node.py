"""A node of the ONNX graph as importer functions see it: attributes, inputs by position, refusals by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tinyops.errors import ModelError
from tinyops.load.onnx.value import Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """`inputs` are values by position, None where absent; `opset` is the model's version of the operator set."""

    kind: str
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    @property
    def where(self) -> str:
        return f"node {self.name} ({self.kind})"

    def refuse(self, what: str, allowed: str | None = None, hint: str | None = None) -> NoReturn:
        raise ModelError(what, where=self.where, allowed=allowed, hint=hint)

    def input(self, i: int = 0) -> Value:
        """Input `i`, which must be there."""
        value = self.optional(i)
        if value is None:
            self.refuse(f"input {i} is absent")
        return value

    def optional(self, i: int) -> Value | None:
        return self.inputs[i] if i < len(self.inputs) else None

    def constant(self, i: int) -> Array:
        """The array of input `i`, which must be known."""
        value = self.input(i)
        if value.data is None:
            self.refuse(f"input {i} ({value.name}) is computed at run time", "a constant, or what shapes make one")
        return value.data

    def ints(self, i: int) -> list[int]:
        """The integers of the constant input `i`, of at most one dimension."""
        data = self.constant(i)
        if data.dtype.kind not in "iu" or data.ndim > 1:
            self.refuse(f"input {i} is {data.dtype}{list(data.shape)}", "a list of integers")
        return [int(v) for v in data.reshape(-1)]

    def attr_int(self, name: str, default: int | None = None) -> int:
        value = self._attr(name, default)
        if not isinstance(value, int):
            self.refuse(f"attribute {name} is no integer")
        return value

    def attr_float(self, name: str, default: float) -> float:
        value = self._attr(name, default)
        if not isinstance(value, int | float) or not np.isfinite(value):
            self.refuse(f"attribute {name} is no finite number")
        return float(value)

    def attr_text(self, name: str, default: str) -> str:
        value = self._attr(name, default)
        if not isinstance(value, str):
            self.refuse(f"attribute {name} is no text")
        return value

    def attr_ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """Of `default`'s length, where there is one."""
        value = self._attr(name, None if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(v, int) for v in value):
            self.refuse(f"attribute {name} is no list of integers")
        if default is not None and len(value) != len(default):
            self.refuse(f"attribute {name} has {len(value)} values", f"{len(default)}")
        return value

    def _attr(self, name: str, default: Any) -> Any:
        value = self.attributes.get(name, default)
        if value is None:
            self.refuse(f"attribute {name} is missing")
        return value

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front."""
        if not -rank <= axis < rank:
            self.refuse(f"axis {axis}", f"{-rank} to {rank - 1}" if rank else "none: the input has no dimensions")
        return axis % rank

    def only(self, name: str, value: Any, *allowed: Any) -> None:
        """The attribute or property `name` has one of the values that are supported."""
        if value not in allowed:
            self.refuse(f"{name} is {value!r}", ", ".join(repr(v) for v in allowed))
