"""float32 operators that TFLite Micro has no integer kernels for, as several that it has.

All are exact up to float32 rounding, but GELU's: that by the error function is taken by its tanh approximation, which
is within 5e-4 of it (Hendrycks and Gimpel 2016), less than a tenth of an int8 step at usual ranges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyops.graph import DType, Graph, Model, Op, OpView, Tensor
from tinyops.ops.add import AddAttrs
from tinyops.ops.base import NoAttrs
from tinyops.ops.mul import MulAttrs

#: 2 * sqrt(2 / pi), and times the factor of the cube.
_LINEAR = 2 * (2 / np.pi) ** 0.5
_CUBIC = _LINEAR * 0.044715


def decompose(model: Model) -> Model:
    """Of operators with float32 results; the last of the parts has the name of the whole."""
    return dataclasses.replace(model, graphs=tuple(_Decomposer(graph, _RULES).graph() for graph in model.graphs))


def decompose_finer(model: Model) -> Model:
    """The same without those that have an integer form here, if not in TFLite Micro: one table of 256 values."""
    rules = {kind: rule for kind, rule in _RULES.items() if kind not in ("GELU", "NEG")}
    return dataclasses.replace(model, graphs=tuple(_Decomposer(graph, rules).graph() for graph in model.graphs))


class _Decomposer:
    def __init__(self, graph: Graph, rules: Mapping[str, Callable[[_Decomposer, OpView], bool]]) -> None:
        self.source = graph
        self.rules = rules
        self.tensors = list(graph.tensors)
        self.ops: list[Op] = []
        self.whole = ""

    def graph(self) -> Graph:
        for view in self.source.views():
            self.whole = view.name
            rule = self.rules.get(view.kind)
            is_real = bool(view.outputs) and view.output().dtype is DType.FLOAT32
            if rule is None or not is_real or not rule(self, view):
                self.ops.append(view.op)
        return dataclasses.replace(self.source, tensors=tuple(self.tensors), ops=tuple(self.ops))

    def scalar(self, value: float) -> int:
        self.tensors.append(Tensor(f"{self.whole}/constant", DType.FLOAT32, (), data=np.array(value, np.float32)))
        return len(self.tensors) - 1

    def part(self, kind: str, inputs: Sequence[int], like: int, attrs: Any) -> int:
        """An operator whose result has the shape of tensor `like`."""
        number = len(self.tensors)
        self.tensors.append(Tensor(f"{self.whole}/{kind.lower()}_{number}", DType.FLOAT32, self.tensors[like].shape))
        self.ops.append(Op(kind, f"{self.whole}_{kind.lower()}_{number}", tuple(inputs), (number,), attrs))
        return number

    def last(self, kind: str, inputs: Sequence[int], view: OpView, attrs: Any) -> bool:
        """The operator that gives what the whole gave."""
        self.ops.append(Op(kind, view.name, tuple(inputs), view.op.outputs, attrs))
        return True


def _input(view: OpView, i: int = 0) -> int:
    t = view.op.inputs[i]
    assert t is not None
    return t


def _gelu(to: _Decomposer, view: OpView) -> bool:
    """x * logistic(x * (linear + cubic * x**2)): the factor has a small range, so 8 bits lose little."""
    x = _input(view)
    square = to.part("MUL", (x, x), x, MulAttrs())
    slope = to.part(
        "ADD", (to.part("MUL", (square, to.scalar(_CUBIC)), x, MulAttrs()), to.scalar(_LINEAR)), x, AddAttrs()
    )
    gate = to.part("LOGISTIC", (to.part("MUL", (x, slope), x, MulAttrs()),), x, NoAttrs())
    return to.last("MUL", (x, gate), view, MulAttrs())


def _neg(to: _Decomposer, view: OpView) -> bool:
    return to.last("MUL", (_input(view), to.scalar(-1.0)), view, MulAttrs())


def _square(to: _Decomposer, view: OpView) -> bool:
    return to.last("MUL", (_input(view), _input(view)), view, MulAttrs())


def _add_n(to: _Decomposer, view: OpView) -> bool:
    terms = [_input(view, i) for i in range(len(view.op.inputs))]
    if len(terms) < 2:
        return False
    total = terms[0]
    for term in terms[1:-1]:
        total = to.part("ADD", (total, term), total, AddAttrs())
    return to.last("ADD", (total, terms[-1]), view, AddAttrs())


def _pow(to: _Decomposer, view: OpView) -> bool:
    """The exponents 2, 3, 1/2 and -1/2; others stay, and are refused."""
    exponent = view.input(1).data
    if exponent is None or exponent.size != 1 or view.input(0).shape != view.output().shape:
        return False
    x, power = _input(view), float(exponent.reshape(-1)[0])
    if power == 2:
        return to.last("MUL", (x, x), view, MulAttrs())
    if power == 3:
        return to.last("MUL", (to.part("MUL", (x, x), x, MulAttrs()), x), view, MulAttrs())
    if abs(power) == 0.5:
        return to.last("SQRT" if power > 0 else "RSQRT", (x,), view, NoAttrs())
    return False


def _div(to: _Decomposer, view: OpView) -> bool:
    """a / sqrt(b) is a * rsqrt(b), and a division by a constant a multiplication: both are finer in 8 bits."""
    divisor = view.input(1)
    attrs = MulAttrs(view.attrs.fused_activation_function)
    if divisor.data is not None:
        with np.errstate(divide="ignore", over="ignore"):
            inverse = (1 / divisor.data).astype(np.float32)
        if not np.isfinite(inverse).all():
            return False
        to.tensors.append(Tensor(f"{to.whole}/inverse", DType.FLOAT32, divisor.shape, data=inverse))
        return to.last("MUL", (_input(view), len(to.tensors) - 1), view, attrs)
    producer = to.source.producer.get(_input(view, 1))
    root = None if producer is None else to.source.ops[producer]
    if root is None or root.kind != "SQRT" or root.inputs[0] is None:
        return False
    inverse_root = to.part("RSQRT", (root.inputs[0],), root.inputs[0], NoAttrs())
    return to.last("MUL", (_input(view), inverse_root), view, attrs)


_RULES: dict[str, Callable[[_Decomposer, OpView], bool]] = {
    "ADD_N": _add_n,
    "DIV": _div,
    "GELU": _gelu,
    "NEG": _neg,
    "POW": _pow,
    "SQUARE": _square,
}
