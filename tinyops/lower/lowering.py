"""How operators become kernel calls: a rule per operator, in rules/, registered by a decorator."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, OpView, Tensor
from tinyops.lower.program import ArenaRef, Call, Constant, ConstantRef, Layer, Port, Program, Ref, Role, StateRef
from tinyops.ops.base import operator
from tinyops.plan import Demand, Plan, Storage, default_demands, plan

Array = np.ndarray[Any, Any]


class ConstantPool:
    """Constants by content: equal arrays with the same element type are stored once; or, `by_name`, each by itself."""

    def __init__(self, *, by_name: bool = False) -> None:
        self._by_content: dict[tuple[str, bytes], Constant] = {}
        self._by_name = by_name

    def add(self, name: str, role: Role, data: Array, alignment: int = 4) -> ConstantRef:
        packed = np.ascontiguousarray(data)
        content = name.encode() if self._by_name else hashlib.sha256(packed.tobytes()).digest()
        key = (str(packed.dtype), content)
        constant = self._by_content.setdefault(key, Constant(name, role, packed, max(alignment, packed.itemsize)))
        return ConstantRef(constant.name, DType(str(packed.dtype)))

    @property
    def constants(self) -> tuple[Constant, ...]:
        return tuple(self._by_content.values())


class Lowering:
    """What a rule sees of one op: its view, the addresses of its tensors, and the constant pool.

    With `by_structure` a rule must choose the same calls for any values of constants of numbers and any quantization.
    """

    def __init__(
        self,
        view: OpView,
        index: int,
        storage: Storage,
        plan: Plan,
        pool: ConstantPool,
        isa: str,
        *,
        by_structure: bool = False,
    ) -> None:
        self.view = view
        self.isa = isa
        self.by_structure = by_structure
        self._index = index
        self._storage = storage
        self._plan = plan
        self._pool = pool

    def input(self, i: int = 0) -> Ref:
        index = self.view.op.inputs[i]
        if index is None:
            raise IndexError(f"{self.view.name}: input {i} is absent")
        return self._ref(index)

    def output(self, i: int = 0) -> Ref:
        return self._ref(self.view.op.outputs[i])

    def scratch(self, dtype: DType) -> ArenaRef:
        """The scratch that the op's fast lowering asked for."""
        return ArenaRef(self._plan.scratch_offsets[self._index], dtype)

    def state(self, index: int, dtype: DType) -> StateRef:
        return StateRef(self._plan.state_offsets[index], dtype)

    def constant(self, suffix: str, role: Role, data: Array) -> ConstantRef:
        return self._pool.add(f"{self.view.name}_{suffix}", role, data)

    def input_needs_copy(self, i: int) -> bool:
        """False where the input was produced in its place inside the output."""
        return not self._storage.is_embedded(self._index, i)

    def output_needs_copy(self, o: int = 0) -> bool:
        """False where the output is a part of the input's memory."""
        return not self._storage.is_aliased(self._index, o)

    def output_overlaps_from_above(self) -> bool:
        """Whether output 0 starts above input 0 and overlaps it, so that the kernel must run in descending order."""
        source, target = self.input(), self.output()
        if not (isinstance(source, ArenaRef) and isinstance(target, ArenaRef)):
            return False
        return source.offset < target.offset < source.offset + self.view.input(0).nbytes

    def _ref(self, index: int) -> Ref:
        tensor = self.view.graph.tensors[index]
        if tensor.data is not None:
            return self._pool.add(f"{self.view.name}_{_suffix(tensor)}", Role.DATA, tensor.data)
        place = self._storage.places[index]
        if place.space == "state":
            return StateRef(self._plan.state_offsets[place.root] + place.offset, tensor.dtype)
        return ArenaRef(self._plan.offsets[index], tensor.dtype)


def _block_name(graph: Graph, root: int) -> str:
    """Tensors have long names after exporters' fusions; layers have short ones."""
    producer = graph.producer.get(root)
    return "model input" if producer is None else f"output of {graph.ops[producer].name}"


def _suffix(tensor: Tensor) -> str:
    return "data_" + hashlib.sha256(tensor.name.encode()).hexdigest()[:6]


Rule = Callable[[Lowering], Sequence[Call]]
_rules: dict[tuple[str, DType | None], Rule] = {}


def rule(kind: str, dtype: DType | None = None) -> Callable[[Rule], Rule]:
    """Register the lowering of an operator kind; a second one is an error.

    With `dtype` it is that of ops whose input 0 has this dtype, before the one for all.
    """

    def register(function: Rule) -> Rule:
        if (kind, dtype) in _rules:
            raise RuntimeError(f"two lowerings of {kind}, {dtype or 'all dtypes'}")
        _rules[kind, dtype] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class Fast:
    """A lowering to kernels of one instruction set, with what they ask of the planner.

    `descending` says that `Operator.overlap_descending` holds for them, too. `overlaps`, where given, stands in for
    those of the operator, and `in_place` is that of the demand.
    """

    calls: Rule
    scratch_bytes: int = 0
    descending: bool = False
    overlaps: Mapping[tuple[int, int], int] | None = None
    in_place: frozenset[tuple[int, int]] = frozenset()


#: What a choice between kernels is for; "portable": those in C alone.
Optimize = Literal["portable", "size", "balanced", "speed"]
FastRule = Callable[[OpView, Optimize], Fast | None]
_fast_rules: dict[tuple[str, str], FastRule] = {}


def fast_rule(isa: str, kind: str) -> Callable[[FastRule], FastRule]:
    """Register the lowering of an operator kind for an instruction set; a second one is an error.

    It returns None for an op that the kernels of all processors must do.
    """

    def register(function: FastRule) -> FastRule:
        if (isa, kind) in _fast_rules:
            raise RuntimeError(f"two lowerings of {kind} for {isa}")
        _fast_rules[isa, kind] = function
        return function

    return register


def fast_of(view: OpView, isa: str, optimize: Optimize) -> Fast | None:
    """The lowering of an op for an instruction set, or None."""
    if optimize == "portable":
        return None
    _load_rules()
    found = _fast_rules.get((isa, view.kind))
    return found(view, optimize) if found else None


def rule_of(view: OpView) -> Rule | None:
    """The lowering of an op, or None."""
    _load_rules()
    first = view.optional(0)
    return _rules.get((view.kind, first.dtype if first else None)) or _rules.get((view.kind, None))


@cache
def _load_rules() -> None:
    package = importlib.import_module("tinyops.lower.rules")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def lower(
    model: Model,
    *,
    name: str,
    digest: bytes = bytes(32),
    source: str = "",
    isa: str = "c",
    optimize: Optimize = "portable",
    seconds: float = 2.0,
    by_structure: bool = False,
) -> Program:
    """Plan the memory of `model` (passes must have run) and choose kernels for `isa`.

    `name` is a C identifier. `optimize`: "speed" takes kernels that need more flash, "size" those that need least, and
    "portable" those that run anywhere. With `by_structure` a model that differs in weights and quantization alone gives
    the same calls with other numbers: equal constants are not shared, none is looked at, and kernels are portable.
    Raises ModelError for an operator that has no lowering or whose accumulator could overflow.
    """
    graph = model.main
    fast = [None if by_structure else fast_of(view, isa, optimize) for view in graph.views()]
    memory = plan(graph, model.states, demands=_demands(graph, fast), seconds=seconds)
    storage = memory.storage
    pool = ConstantPool(by_name=by_structure)
    layers = []
    for index in memory.order:
        view = OpView(graph.ops[index], graph)
        lowering = Lowering(view, index, storage, memory, pool, isa, by_structure=by_structure)
        layers.append(_layer(lowering, view, fast[index]))
    _refuse_constant_outputs(model)
    return Program(
        name=name,
        digest=digest,
        layers=tuple(layers),
        constants=pool.constants,
        inputs=_ports(model, memory, graph.inputs),
        outputs=_ports(model, memory, graph.outputs),
        states=model.states,
        state_offsets=tuple(memory.state_offsets[i] for i in range(len(model.states))),
        state_bytes=memory.state_bytes,
        arena_bytes=memory.peak,
        plan=memory,
        arena_blocks=tuple((root, _block_name(graph, root), size) for root, size in storage.roots.items()),
        isa=isa,
        metadata={"source": source or name},
    )


def _demands(graph: Graph, fast: Sequence[Fast | None]) -> list[Demand]:
    demands = []
    for demand, chosen in zip(default_demands(graph), fast, strict=True):
        if chosen is not None:
            demand = replace(
                demand,
                scratch_bytes=chosen.scratch_bytes,
                overlaps=demand.overlaps if chosen.overlaps is None else chosen.overlaps,
                overlaps_above=demand.overlaps_above if chosen.descending else {},
                in_place=chosen.in_place,
            )
        demands.append(demand)
    return demands


def _layer(lowering: Lowering, view: OpView, fast: Fast | None) -> Layer:
    apply = fast.calls if fast else rule_of(view)
    definition = operator(view.kind)
    if apply is None or definition is None:
        raise ModelError(
            f"{view.kind} has no generated code yet",
            where=f"operator {view.name}",
            allowed=", ".join(sorted({kind for kind, _ in _rules})),
        )
    return Layer(
        name=view.name,
        op=view.kind,
        calls=tuple(apply(lowering)),
        macs=definition.macs(view),
        inputs=tuple(t for t in view.inputs if t is not None and not t.is_constant),
        outputs=view.outputs,
        scratch_bytes=fast.scratch_bytes if fast else 0,
    )


def _ports(model: Model, memory: Plan, indices: tuple[int, ...]) -> tuple[Port, ...]:
    tensors = model.main.tensors
    return tuple(Port(tensors[t].name, tensors[t], memory.offsets.get(t, 0)) for t in indices)


def _refuse_constant_outputs(model: Model) -> None:
    for index in model.main.outputs:
        tensor = model.main.tensors[index]
        if tensor.is_constant:
            raise ModelError(
                "this model output is the same for every input",
                where=f"tensor {tensor.name}",
                allowed="computed outputs",
            )
