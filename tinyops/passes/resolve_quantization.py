"""DEQUANTIZE -> operator -> QUANTIZE, as QDQ models have it, becomes the integer operator.

Every float tensor whose values lie on a known grid gets an integer twin: those that DEQUANTIZE makes, those that
nothing but one QUANTIZE reads, and those that lead there through operators that only move or clamp values. An operator
all of whose float tensors have twins, and whose rules take them, is computed in integers; the others stay float32,
between DEQUANTIZE and QUANTIZE. Where a rule fixes the output's scale, as SOFTMAX's does, a QUANTIZE follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Op, OpView, Quantization, Tensor
from tinyops.ops.base import NoAttrs, operator

_Grid = tuple[DType, Quantization]
_Array = np.ndarray[Any, Any]

#: Their outputs hold nothing but values of their first data input (and zeros).
_MOVES = frozenset(
    {
        *("BROADCAST_TO", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "RESHAPE"),
        *("RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE"),
        *("TILE", "TRANSPOSE"),
    }
)
_CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
#: Others whose rules want the output on the input's grid.
_SAME_GRID = _MOVES | {"AVERAGE_POOL_2D", "RELU6", "RELU_N1_TO_1", "RESIZE_BILINEAR"}
_SIGMOIDS = {
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "LOG_SOFTMAX": (1 / 16, 127),
}
_WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 2}
_INT16_UNIT = 2.0**-15


def resolve_quantization(model: Model) -> Model:
    """Of the main graph. Its float inputs and outputs become integers where they are quantized at once."""
    graph = model.main
    if any(op.kind in ("QUANTIZE", "DEQUANTIZE") for op in graph.ops):
        graph = _Resolver(graph).graph()
    elif not any(_on_grid(tensor) for tensor in graph.tensors):
        return model
    tensors = tuple(dataclasses.replace(t, quantization=None) if _on_grid(t) else t for t in graph.tensors)
    return dataclasses.replace(model, graphs=(dataclasses.replace(graph, tensors=tensors), *model.graphs[1:]))


def _on_grid(tensor: Tensor) -> bool:
    """A float32 constant that stands for symmetric int8 weights with the quantization that it carries."""
    return tensor.dtype is DType.FLOAT32 and tensor.quantization is not None


def _data(op: Op) -> int:
    """Position of the data that a moving operator moves."""
    return 1 if op.kind == "SPLIT" else 0


def _grids(graph: Graph) -> dict[int, _Grid]:
    """Float tensor -> the grid of its integer twin."""
    found: dict[int, _Grid] = {}
    for op in graph.ops:  # forwards from DEQUANTIZE
        source = op.inputs[_data(op)] if op.inputs else None
        if op.kind == "DEQUANTIZE" and source is not None:
            tensor = graph.tensors[source]
            if tensor.quantization is not None:
                found[op.outputs[0]] = (tensor.dtype, tensor.quantization)
        elif op.kind in _MOVES and source in found:
            found.update(dict.fromkeys(op.outputs, found[source]))
    _backwards(graph, found)
    if _hard_sigmoids(graph, found):
        _backwards(graph, found)
    return found


def _backwards(graph: Graph, found: dict[int, _Grid]) -> None:
    """From QUANTIZE."""
    computed = [t for op in reversed(graph.ops) for t in op.outputs]
    for t in (*computed, *graph.inputs):
        if t not in found and (grid := _wanted(graph, t, found)) is not None:
            found[t] = grid


def _hard_sigmoids(graph: Graph, found: dict[int, _Grid]) -> bool:
    """relu6(x + a) * b within the grids of x and the product: what RELU6 gives lies from 0 to 6."""
    added = False
    for op in graph.ops:
        middle = op.inputs[0] if op.kind == "MUL" and op.outputs[0] in found else None
        clamp = None if middle is None or middle not in graph.producer else graph.ops[graph.producer[middle]]
        if middle is None or clamp is None or clamp.kind != "RELU6" or middle in found:
            continue
        if len(graph.consumers[middle]) == 1 and middle not in graph.outputs:
            found[middle] = (DType.INT8, Quantization((float(np.float32(6 / 255)),), (-128,)))
            added = True
    return added


def _wanted(graph: Graph, t: int, found: dict[int, _Grid]) -> _Grid | None:
    """The one grid that all readers of a float tensor want, if there is one."""
    if graph.tensors[t].dtype is not DType.FLOAT32 or t in graph.outputs:
        return None
    grids = set()
    for k in graph.consumers.get(t, ()):
        op = graph.ops[k]
        result = graph.tensors[op.outputs[0]] if op.outputs else None
        if op.kind == "QUANTIZE" and result is not None and result.quantization is not None:
            grids.add((result.dtype, result.quantization))
        elif op.kind in _MOVES | _CLAMPS and op.inputs[_data(op)] == t and op.outputs[0] in found:
            grids.update(found[o] for o in op.outputs if o in found)
        else:
            return None
    return grids.pop() if len(grids) == 1 else None


class _Resolver:
    """The new operators; `floats` and `integers` say where a float tensor's values are, by old index."""

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.tensors: list[Tensor] = list(graph.tensors)
        self.ops: list[Op] = []
        self.grids = _grids(graph)
        # Operators are checked against this growing list; nothing else of the graph is looked at.
        self.view = Graph("", self.tensors, (), (), ())  # type: ignore[arg-type]
        self.floats: dict[int, int] = {}
        self.integers: dict[int, int] = {}
        self.aliases: dict[int, int] = {}

    def graph(self) -> Graph:
        inputs = []
        for t in self.old.inputs:
            if t in self.grids:
                self.integers[t] = self._twin(t)
                inputs.append(self.integers[t])
            else:
                self.floats[t] = t
                inputs.append(t)
        for op in self.old.ops:
            self._step(op)
        outputs = [self._output(t) for t in self.old.outputs]
        graph = dataclasses.replace(self.old, tensors=tuple(self.tensors), ops=tuple(self.ops), inputs=tuple(inputs))
        return dataclasses.replace(graph, outputs=tuple(outputs))

    def _output(self, t: int) -> int:
        return self.integers[t] if t in self.integers else self._float(t)

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _twin(self, t: int) -> int:
        dtype, quantization = self.grids[t]
        return self._add(dataclasses.replace(self.old.tensors[t], dtype=dtype, quantization=quantization))

    def _emit(self, kind: str, inputs: Sequence[int | None], outputs: Sequence[int], attrs: Any = None) -> None:
        name = f"{kind.lower()}_{len(self.ops)}"
        self.ops.append(Op(kind, name, tuple(inputs), tuple(outputs), NoAttrs() if attrs is None else attrs))

    def _float(self, t: int) -> int:
        """The tensor that holds the float values of old tensor `t`, or that tensor itself."""
        t = self.aliases.get(t, t)
        if t not in self.floats and t in self.integers:
            self.floats[t] = self._add(self.old.tensors[t])
            self._emit("DEQUANTIZE", [self.integers[t]], [self.floats[t]])
        return self.floats.get(t, t)

    def _requantized(self, index: int, grid: _Grid) -> int:
        """A tensor of that grid with the values of an integer tensor."""
        tensor = self.tensors[index]
        if (tensor.dtype, tensor.quantization) == grid:
            return index
        result = self._add(dataclasses.replace(tensor, dtype=grid[0], quantization=grid[1], data=None))
        self._emit("QUANTIZE", [index], [result])
        return result

    def _step(self, op: Op) -> None:
        source = op.inputs[0] if op.inputs else None
        if op.kind == "DEQUANTIZE" and source is not None and op.outputs[0] in self.grids:
            self.integers[op.outputs[0]] = self.aliases.get(source, source)
        elif op.kind == "QUANTIZE" and source in self.integers:
            result = self.old.tensors[op.outputs[0]]
            assert result.quantization is not None
            self.aliases[op.outputs[0]] = self._requantized(self.integers[source], (result.dtype, result.quantization))
        elif not self._integer(op):
            self._emit(op.kind, [None if t is None else self._float(t) for t in op.inputs], op.outputs, op.attrs)
            for t in op.outputs:
                if t in self.grids:
                    self.integers[t] = self._twin(t)
                    self._emit("QUANTIZE", [t], [self.integers[t]])

    def _integer(self, op: Op) -> bool:
        """Whether the operator could be emitted with integer twins."""
        if any(t not in self.grids for t in op.outputs):
            return False
        kept = len(self.tensors), len(self.ops)
        inputs = self._operands(op)
        if inputs is None:
            del self.tensors[kept[0] :], self.ops[kept[1] :]
            return False
        outputs = [self._twin(t) for t in op.outputs]
        wanted = [self.grids[t] for t in op.outputs]
        given = inputs[_data(op)]
        for k, index in enumerate(outputs):
            fixed = self._fixed(op.kind, given, wanted[k])
            self.tensors[index] = dataclasses.replace(self.tensors[index], dtype=fixed[0], quantization=fixed[1])
        rules = operator(op.kind)
        name = f"{op.kind.lower()}_{len(self.ops)}"
        new = dataclasses.replace(op, name=name, inputs=tuple(inputs), outputs=tuple(outputs))
        try:
            assert rules is not None
            rules.check(OpView(new, self.view))
        except ModelError:
            del self.tensors[kept[0] :], self.ops[kept[1] :]
            return False
        self.ops.append(new)
        for t, index, grid in zip(op.outputs, outputs, wanted, strict=True):
            self.integers[t] = self._requantized(index, grid)
        return True

    def _fixed(self, kind: str, given: int | None, wanted: _Grid) -> _Grid:
        """The grid that the operator itself can give."""
        if kind in _SIGMOIDS:
            if wanted[0] is DType.INT16:
                return DType.INT16, Quantization((_INT16_UNIT,), (0,))
            scale, zero_point = _SIGMOIDS[kind]
            return DType.INT8, Quantization((scale,), (zero_point,))
        if kind in _SAME_GRID and given is not None:
            quantization = self.tensors[given].quantization
            assert quantization is not None
            return self.tensors[given].dtype, quantization
        return wanted

    def _operands(self, op: Op) -> list[int | None] | None:
        """Inputs for the integer operator; None where a float one has no twin."""
        inputs: list[int | None] = []
        for position, t in enumerate(op.inputs):
            if t is None:
                inputs.append(None)
                continue
            tensor = self.old.tensors[t]
            if t in self.integers:
                inputs.append(self.integers[t])
            elif tensor.dtype is DType.FLOAT32:
                known = self._number(op, tensor) if tensor.elements == 1 else None
                known = self._weights(op, position, tensor) if known is None else known
                known = self._bias(op, position, tensor) if known is None else known
                if known is None:
                    return None
                inputs.append(known)
            else:
                inputs.append(self.aliases.get(t, t))
        if op.kind == "CONCATENATION":
            return [None if k is None else self._requantized(k, self.grids[op.outputs[0]]) for k in inputs]
        return inputs

    def _number(self, op: Op, tensor: Tensor) -> int | None:
        """A constant number as the integer 127 or -127, beside int8."""
        if (
            tensor.data is None
            or op.kind not in ("ADD", "SUB", "MUL")
            or self.grids[op.outputs[0]][0] is not DType.INT8
        ):
            return None
        value = float(tensor.data.reshape(-1)[0])
        if not np.isfinite(value):
            return None
        scale = float(np.float32(abs(value) / 127)) or 1.0
        integer = np.full(tensor.shape, 0 if value == 0 else np.copysign(127, value), dtype=np.int8)
        return self._add(Tensor(tensor.name, DType.INT8, tensor.shape, Quantization((scale,), (0,)), integer))

    def _weights(self, op: Op, position: int, tensor: Tensor) -> int | None:
        """The integers of constant weights; None for any other tensor."""
        if op.kind not in _WEIGHTED or position != 1 or tensor.data is None or tensor.quantization is None:
            return None
        shape = [1] * len(tensor.shape)
        if tensor.quantization.per_channel:
            shape[tensor.quantization.axis] = -1
        integers = np.rint(tensor.data / np.array(tensor.quantization.scales).reshape(shape)).astype(np.int8)
        return self._add(dataclasses.replace(tensor, dtype=DType.INT8, data=integers))

    def _bias(self, op: Op, position: int, tensor: Tensor) -> int | None:
        """The integers of a constant bias, in units of input scale * weight scale; None for any other tensor."""
        data = _WEIGHTED.get(op.kind)
        if data is None or position != (3 if op.kind == "TRANSPOSE_CONV" else 2) or tensor.data is None:
            return None
        values, weights = op.inputs[data], op.inputs[1]
        if values not in self.integers or weights is None or (q := self.old.tensors[weights].quantization) is None:
            return None
        given = self.tensors[self.integers[values]]
        scales = np.array(q.scales) * given.scale
        wide = given.dtype is DType.INT16
        reach = 2.0**62 if wide else 2.0**31 - 1
        rounded = np.rint(tensor.data.astype(np.float64) / scales)
        if np.abs(rounded).max(initial=0) > reach:
            return None
        dtype = DType.INT64 if wide else DType.INT32
        grid = Quantization(tuple(float(np.float32(s)) for s in scales), (0,) * len(scales))
        return self._add(Tensor(tensor.name, dtype, tensor.shape, grid, rounded.astype(dtype.numpy)))
