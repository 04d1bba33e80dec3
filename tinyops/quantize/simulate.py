"""The float32 model with parts of it rounded as integers would be: what one quantization costs at the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tinyops.graph import DType, Graph, Model, OpView, Quantization
from tinyops.ops.base import Array, operator
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.calibrate import Samples, checked

#: Tensor index -> the quantization and dtype that its values are rounded by.
Rounding = Mapping[int, tuple[Quantization, DType]]
_SQUASHING = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH")


def rounded(values: Array, quantization: Quantization, dtype: DType) -> Array:
    """float32 values as their integers stand for them."""
    scale, zero_point = np.float32(quantization.scale), quantization.zero_point
    integers = np.clip(np.round(values / scale) + zero_point, *dtype_range(dtype))
    result: Array = ((integers - zero_point) * scale).astype(np.float32)
    return result


def judged(graph: Graph) -> list[int]:
    """The float32 tensors whose errors count: the outputs, before a softmax or the like that would hide errors."""
    found = []
    for t in graph.outputs:
        producer = graph.ops[graph.producer[t]] if t in graph.producer else None
        if producer is not None and producer.kind in _SQUASHING and producer.inputs[0] is not None:
            t = producer.inputs[0]
        if graph.tensors[t].dtype is DType.FLOAT32:
            found.append(t)
    return found or [t for op in graph.ops[-1:] for t in (*op.inputs, *op.outputs) if t is not None and _real(graph, t)]


def _real(graph: Graph, t: int) -> bool:
    return graph.tensors[t].dtype is DType.FLOAT32 and graph.tensors[t].data is None


class Simulation:
    """Runs of the float32 model over samples, each then repeated from where something is changed."""

    def __init__(self, model: Model) -> None:
        self.graph = model.main
        self.targets = judged(self.graph)
        self._interpreter = Interpreter(model)
        self._values: dict[int, Array] = {}

    def runs(self, samples: Samples, limit: int) -> Iterator[Mapping[int, Array]]:
        """The exact values of all tensors, sample by sample; `changed` refers to the last ones."""
        for sample in checked(self.graph, samples, limit):
            self._interpreter.run(*(np.asarray(value) for value in sample))
            self._values = self._interpreter.tensors
            yield self._values

    def changed(self, rounding: Rounding, constants: Mapping[int, Array] | None = None) -> dict[int, Array]:
        """The tensors that differ when those of `rounding` are rounded and `constants` replace others."""
        differ: dict[int, Array] = dict(constants or {})
        for t in self.graph.inputs:
            if t in rounding:
                differ[t] = rounded(self._values[t], *rounding[t])
        for op in self.graph.ops:
            if op.kind in ("READ_STATE", "WRITE_STATE"):
                results = [self._values[t] for t in op.outputs]
                if not any(t in rounding for t in op.outputs):
                    continue
            elif any(t in differ for t in op.inputs if t is not None):
                inputs = [None if t is None else differ.get(t, self._values[t]) for t in op.inputs]
                rules = operator(op.kind)
                assert rules is not None
                with np.errstate(over="ignore", invalid="ignore"):
                    results = rules.reference(OpView(op, self.graph), inputs)
            elif any(t in rounding for t in op.outputs):
                results = [self._values[t] for t in op.outputs]
            else:
                continue
            for t, value in zip(op.outputs, results, strict=True):
                differ[t] = rounded(value, *rounding[t]) if t in rounding else value
        return differ

    def power(self) -> Array:
        """float64[targets]: the sums of squares of the exact targets."""
        return np.array([(self._values[t].astype(np.float64) ** 2).sum() for t in self.targets])

    def error(self, rounding: Rounding, constants: Mapping[int, Array] | None = None) -> Array:
        """float64[targets]: the sums of squared differences."""
        differ = self.changed(rounding, constants)
        return np.array(
            [
                ((differ[t].astype(np.float64) - self._values[t]) ** 2).sum() if t in differ else 0.0
                for t in self.targets
            ]
        )
