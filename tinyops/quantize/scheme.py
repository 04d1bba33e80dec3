"""Which tensors share a scale: groups of values, by the operators' rules, and one quantization for each group.

Every use of an activation is a *value*: the tensor at the dtype of the operator that reads or writes it. Rules join
values into groups. Where joining would cost too much, or cannot be, the operator reads a converted copy of its input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, OpView, Quantization, Tensor
from tinyops.ops.base import Operator, operator
from tinyops.ops.quantization import QuantizationRule
from tinyops.quantize.ranges import Range
from tinyops.quantize.settings import QuantizationSettings
from tinyops.quantize.spec import quantization_of_range, range_of

#: A tensor's scale may become so many times coarser, for others that read it, before a copy is made.
_COARSER = 2.0
#: What a range may exceed that of a fixed quantization by, as a part of its width (1/256 is the end of 0..1).
_TOLERANCE = 0.01
#: Cell states of 16 bits: room for so many times what is observed, and at least the range -16..16.
_CELL_ROOM = 4.0
_LEAST_CELL_POWER = -11


@dataclass(frozen=True, slots=True)
class Value:
    """`tensor` at `dtype`; of a converted copy or of a constant, `use` is the (operator, input) that reads it."""

    tensor: int
    dtype: DType
    use: tuple[int, int] | None = None


@dataclass(slots=True)
class Group:
    """Values with one quantization: the union of their ranges, or what is fixed.

    `learned` says that training fixed it: values beyond it are meant to be clipped.
    """

    dtype: DType
    members: list[Value] = field(default_factory=list)
    ranged: set[int] = field(default_factory=set)
    fixed: Quantization | None = None
    learned: bool = False


class Scheme:
    """The groups of a float32 model's values. `ranges` of the tensors are given to `quantization` later."""

    def __init__(self, model: Model, ranges: Mapping[int, Range], settings: QuantizationSettings) -> None:
        self.model = model
        self.graph: Graph = model.main
        self.io = DType(settings.io)
        self.dtypes: tuple[DType, ...] = tuple(settings.dtype(view) for view in self.graph.views())
        self._ranges = ranges
        self._group: dict[Value, Group] = {}
        self._copies: dict[tuple[int, int], Value] = {}
        self._states: dict[int, Value] = {}
        self._producer: dict[int, DType] = dict.fromkeys(self.graph.inputs, self.io)
        states = self._state_dtypes()
        for k, view in enumerate(self.graph.views()):
            if view.kind in ("READ_STATE", "WRITE_STATE"):
                dtype = states.get(view.attrs.state, DType(settings.activations))
                self.dtypes = (*self.dtypes[:k], dtype, *self.dtypes[k + 1 :])
            self._producer.update({t: self._result_dtype(k, o) for o, t in enumerate(view.op.outputs)})
            self._add(k, view)

    def _state_dtypes(self) -> dict[int, DType]:
        """Of the states that recurrent operators update: theirs."""
        reads = {op.outputs[0]: op.attrs.state for op in self.graph.ops if op.kind == "READ_STATE"}
        found = {}
        for k, op in enumerate(self.graph.ops):
            rule = _rule(op.kind)
            for i in (*rule.joined[0], *(i for i, _ in rule.cells)):
                t = op.inputs[i]
                if t is not None and t in reads:
                    found[reads[t]] = self._plain(k, i).dtype
        return found

    def _result_dtype(self, k: int, o: int) -> DType:
        """Of output `o` of operator `k`."""
        cell = o in [output for _, output in _rule(self.graph.ops[k].kind).cells]
        return DType.INT16 if cell and self.dtypes[k] is not DType.FLOAT32 else self.dtypes[k]

    @property
    def groups(self) -> list[Group]:
        """Of integers, each once, in the order of the operators."""
        unique = {id(group): group for group in self._group.values() if group.dtype is not DType.FLOAT32}
        return list(unique.values())

    def produced(self, tensor: int) -> Value:
        """The value that the tensor's producer writes."""
        return Value(tensor, self._producer[tensor])

    def operand(self, k: int, i: int) -> Value:
        """What operator `k` reads as its float32 input `i`."""
        return self._copies.get((k, i)) or self._plain(k, i)

    def quantization(self, value: Value) -> Quantization | None:
        """None for float32."""
        if value.dtype is DType.FLOAT32:
            return None
        return self.group_quantization(self.group(value))

    def group_quantization(self, group: Group) -> Quantization:
        return group.fixed or quantization_of_range(*self.group_range(group), group.dtype)

    def group_range(self, group: Group) -> Range:
        """Of the reals that the group's integers cover: the union of its tensors' ranges."""
        if group.fixed is not None:
            return range_of(group.fixed, group.dtype)
        found = [self._ranges[t] for t in group.ranged]
        return min((r[0] for r in found), default=0.0), max((r[1] for r in found), default=0.0)

    def group(self, value: Value) -> Group:
        if value not in self._group:
            group = Group(value.dtype, [value], {value.tensor})
            group.fixed = self._learned(value)
            group.learned = group.fixed is not None
            self._group[value] = group
        return self._group[value]

    def _learned(self, value: Value) -> Quantization | None:
        """The quantization that training left at a tensor."""
        learned = self.graph.tensors[value.tensor].quantization
        if learned is None or value.dtype is not DType.INT8:
            return None
        return learned

    def _plain(self, k: int, i: int) -> Value:
        tensor = self.graph.ops[k].inputs[i]
        assert tensor is not None
        use = (k, i) if self.graph.tensors[tensor].is_constant else None
        rule, dtype = _rule(self.graph.ops[k].kind), self.dtypes[k]
        if dtype is DType.INT16 and i in rule.int8:
            dtype = DType.INT8
        if dtype is DType.INT8 and i in [cell for cell, _ in rule.cells]:
            dtype = DType.INT16
        return Value(tensor, dtype, use)

    def _add(self, k: int, view: OpView) -> None:
        rules = operator(view.kind)
        assert rules is not None
        if self.dtypes[k] is DType.FLOAT32:
            return
        if rules.quantization.refused and any(map(is_real, view.outputs)):
            raise ModelError(
                f"cannot be quantized: {rules.quantization.refused}",
                where=f"operator {view.name} ({view.kind})",
                allowed='activations = "float32" for this layer, or the layer exported in parts',
            )
        inputs = [i for i, t in enumerate(view.inputs) if is_real(t) and not _is_weight(rules, i)]
        outputs = [
            Value(t, self._result_dtype(k, o)) for o, t in enumerate(view.op.outputs) if is_real(self.graph.tensors[t])
        ]
        for value in outputs:
            fixed = rules.quantization.outputs.get(self.dtypes[k])
            if fixed is not None:
                group = self.group(value)
                group.fixed, group.learned = Quantization((fixed[0],), (fixed[1],)), False
        if view.kind in ("READ_STATE", "WRITE_STATE"):
            self._tie_state(k, view)
        elif rules.quantization.shared and outputs:
            for value in outputs[1:]:
                self._join(self.group(outputs[0]), self.group(value))
            for i in inputs:
                self._share(k, i, outputs[0], rules.quantization.clamps)
        else:
            for i in inputs:
                self.group(self._plain(k, i))
            self._recur(k, view, rules.quantization)

    def _recur(self, k: int, view: OpView, rule: QuantizationRule) -> None:
        """A recurrent operator's hidden state has the output's scale, its cell state a power of two."""
        inputs, results = rule.joined
        for o in results[1:]:
            self._join(
                self.group(self.produced(view.op.outputs[results[0]])), self.group(self.produced(view.op.outputs[o]))
            )
        for i in inputs:
            self._share(k, i, self.produced(view.op.outputs[results[0]]), clamps=False)
        for i, o in rule.cells:
            low, high = self._ranges[view.op.outputs[o]]
            # Within the sequence a cell may hold more than at its end, which is all that is observed.
            largest = max(_CELL_ROOM * max(-low, high), 2.0**-100)
            power = max(math.ceil(math.log2(largest)) - 15, _LEAST_CELL_POWER)
            for value in (self._plain(k, i), self.produced(view.op.outputs[o])):
                self.group(value).fixed = Quantization((2.0**power,), (0,))

    def _share(self, k: int, i: int, output: Value, clamps: bool) -> None:
        """Input `i` joins the group of `output`, or is copied."""
        value, group = self._plain(k, i), self.group(output)
        own = self.group(value)
        if own is group:
            return
        if clamps and own.fixed is None and len(own.members) == 1 and self._sole(value, k):
            own.ranged = set()
        elif not self._fits(own, group) or not (self._sole(value, k) or self._cheap(own, group)):
            value = Value(value.tensor, value.dtype, (k, i))
            self._copies[k, i] = value
            own = self.group(value)
            own.fixed, own.learned = None, False
            own.ranged = own.ranged if group.fixed is None else set()
        self._join(group, own)

    def _sole(self, value: Value, k: int) -> bool:
        """Nothing but operator `k` reads the value, and operators around keep its dtype."""
        if value.use is not None:
            return True
        return self.graph.consumers[value.tensor] == (k,) and value.tensor not in self.graph.outputs

    def _fits(self, own: Group, other: Group) -> bool:
        """Whether one quantization can serve both."""
        if own.fixed is not None and other.fixed is not None:
            return own.fixed == other.fixed
        if own.fixed is None and other.fixed is None:
            return True
        fixed, free = (own, other) if own.fixed is not None else (other, own)
        if fixed.learned:
            return True
        (low, high), (least, most) = self.group_range(free), self.group_range(fixed)
        slack = _TOLERANCE * (most - least)
        return least - slack <= low and high <= most + slack

    def _cheap(self, own: Group, other: Group) -> bool:
        """Whether `own` gets no scale that is much coarser, when it joins `other`."""
        (low, high), (least, most) = self.group_range(own), self.group_range(other)
        joined = max(high, most, 0.0) - min(low, least, 0.0)
        return joined <= _COARSER * (max(high, 0.0) - min(low, 0.0))

    def _join(self, group: Group, other: Group) -> None:
        if group is other:
            return
        group.members += other.members
        group.ranged |= other.ranged
        if group.fixed is None:
            group.fixed, group.learned = other.fixed, other.learned
        for value in other.members:
            self._group[value] = group

    def _tie_state(self, k: int, view: OpView) -> None:
        """All that is read from a state and written to it has one quantization, which covers its initial value."""
        state = view.attrs.state
        value = Value(view.op.outputs[0], self.dtypes[k]) if view.op.outputs else self._plain(k, 0)
        if not is_real(self.graph.tensors[value.tensor]):
            return
        first = self._states.setdefault(state, value)
        own, group = self.group(value), self.group(first)
        if own is group:
            return
        if not self._fits(own, group):
            value = Value(value.tensor, value.dtype, (k, 0))
            self._copies[k, 0] = value
            own = self.group(value)
            own.fixed, own.learned = None, False
        self._join(group, own)

    def state_quantization(self, state: int) -> Quantization | None:
        """None for a state that stays what it is."""
        return self.quantization(self._states[state]) if state in self._states else None


def is_real(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype is DType.FLOAT32


def _is_weight(rules: Operator, i: int) -> bool:
    return any(i in (weights.weights, weights.bias) for weights in rules.quantization.all_weights)


def _rule(kind: str) -> QuantizationRule:
    rules = operator(kind)
    assert rules is not None
    return rules.quantization
