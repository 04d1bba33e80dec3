"""What an operator is: attributes, rules, NumPy reference, cost and how its output may overlap its input.

One operator = one file in this folder; defining the class registers it. There is no central list.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.quantization import FREE, QuantizationRule

Array = np.ndarray[Any, Any]


class Padding(enum.IntEnum):
    """TFLite schema values."""

    SAME = 0
    VALID = 1


class Activation(enum.IntEnum):
    """Fused activations; TFLite schema values."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


@dataclass(frozen=True, slots=True)
class NoAttrs:
    """Attributes of an operator that has none."""


class Operator:
    """Base of all operators; subclass it once per operator kind.

    `options` names the TFLite options table; the fields of `attrs` have the names of the table's fields in
    snake case, and types int, bool, float, str, Padding or Activation, so that the importer can fill them.
    `versions` are the TFLite operator versions whose semantics are implemented.
    """

    kind: ClassVar[str] = ""
    attrs: ClassVar[type] = NoAttrs
    options: ClassVar[str | None] = None
    versions: ClassVar[range] = range(1, 2)
    #: False for operators of the graph that no model file can hold.
    importable: ClassVar[bool] = True
    #: Positions of the inputs that are variable tensors; their new values are the last outputs, in this order.
    variables: ClassVar[tuple[int, ...]] = ()
    #: Whether model files may name intermediate tensors, which are not used here.
    intermediates: ClassVar[bool] = False
    #: True where running the op changes something besides its outputs (state).
    effect: ClassVar[bool] = False
    #: True where the outputs depend on the inputs' shapes and dtypes alone, so that they are constants.
    reads_shapes_only: ClassVar[bool] = False
    #: What the quantizer must keep to.
    quantization: ClassVar[QuantizationRule] = FREE
    #: Dtypes of results that TFLite Micro has no kernel for.
    not_in_micro: ClassVar[tuple[DType, ...]] = ()

    def __init_subclass__(cls) -> None:
        if not cls.kind:
            return
        if cls.kind in _registry:
            raise RuntimeError(f"operator {cls.kind} is registered twice")
        _registry[cls.kind] = cls()

    def check(self, op: OpView) -> None:
        """Raise ModelError (by `refuse`) unless count, dtypes, shapes, quantization and attributes are supported."""
        raise NotImplementedError

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        """Outputs for `inputs` (arrays of the tensors' dtypes and shapes), bit-exact with TFLite Micro."""
        raise NotImplementedError

    def macs(self, op: OpView) -> int:
        """Multiply-accumulates of one invocation."""
        return 0

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """(input, output) -> distance d in bytes: the output may start at `input start - d` or lower, overlapping it.

        It holds for the canonical order, which every kernel keeps unless its lowering says otherwise: outputs
        are written in ascending address order, each element stored after all that it needs was read.
        Pairs that are not listed never overlap.
        """
        return {}

    def overlap_descending(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """(input, output) -> distance d in bytes: the output may start at `input start + d` or higher, overlapping it.

        It holds when the kernel works from the last pixel to the first: a pixel's outputs are stored in any order
        after the pixel's inputs were read for the last time but for that pixel, whose inputs they must not touch.
        Operators without such a kernel list nothing.
        """
        return {}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        """output -> (input, byte offset) where the output is nothing but a contiguous part of that input."""
        return {}

    def embed(self, op: OpView) -> Mapping[int, int]:
        """input -> byte offset in output 0 where that input could be produced in place (concatenation)."""
        return {}

    def refuse(self, op: OpView, what: str, allowed: str | None = None) -> NoReturn:
        raise ModelError(what, where=f"operator {op.name} ({op.kind})", allowed=allowed)

    def expect_arity(self, op: OpView, inputs: range | int, outputs: int = 1) -> None:
        """Input count in `inputs` (trailing ones may be absent), output count exactly `outputs`."""
        allowed = range(inputs, inputs + 1) if isinstance(inputs, int) else inputs
        n = len(op.op.inputs)
        if n not in allowed or len(op.op.outputs) != outputs:
            few, many = allowed[0], allowed[-1]
            self.refuse(
                op,
                f"{n} inputs and {len(op.op.outputs)} outputs",
                f"{few if few == many else f'{few} to {many}'} inputs, {outputs} outputs",
            )
        for i in range(few_required(allowed)):
            if op.op.inputs[i] is None:
                self.refuse(op, f"input {i} is absent")

    def expect_dtype(self, op: OpView, what: str, dtype: DType, *allowed: DType) -> None:
        if dtype not in allowed:
            self.refuse(op, f"{what} is {dtype}", ", ".join(allowed))

    def expect_shape(self, op: OpView, computed: Sequence[int], i: int = 0) -> None:
        """Output `i` must have the computed shape."""
        if tuple(computed) != op.output(i).shape:
            self.refuse(op, f"output {i} has shape {list(op.output(i).shape)}", f"{list(computed)}, by the shape rule")

    def expect_per_tensor(self, op: OpView, *indices: int) -> None:
        """Inputs `indices` and all outputs carry per-tensor quantization."""
        for tensor in (*(op.input(i) for i in indices), *op.outputs):
            self.expect_scale(op, tensor)

    def expect_scale(self, op: OpView, tensor: Tensor) -> None:
        """`tensor` carries per-tensor quantization."""
        if tensor.quantization is None:
            self.refuse(op, f"tensor {tensor.name} has no quantization", "a scale and a zero point")
        if tensor.quantization.per_channel:
            self.refuse(op, f"tensor {tensor.name} is quantized per channel", "per tensor")

    def constant(self, op: OpView, i: int) -> Array:
        """The value of input `i`, which must be a constant."""
        data = op.input(i).data
        if data is None:
            self.refuse(op, f"input {i} ({op.input(i).name}) is computed at run time", "a constant")
        return data


def few_required(allowed: range) -> int:
    return allowed[0]


_registry: dict[str, Operator] = {}


def _load_all() -> None:
    package = importlib.import_module("tinyops.ops")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"tinyops.ops.{module.name}")


def supported() -> dict[str, Operator]:
    """All operators by kind."""
    _load_all()
    return dict(sorted(_registry.items()))


def operator(kind: str) -> Operator | None:
    """The operator of that kind, or None."""
    if kind not in _registry:
        _load_all()
    return _registry.get(kind)
