"""What quantization costs, layer by layer: which layers lose most, and what would help.

Of each operator three signal-to-noise ratios: `alone` at the model's outputs when nothing but this layer's weights and
results are rounded; `weights` the same for its weights alone; `cumulative` of its own result in the integer model. And
how many of its results are clipped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Array, operator
from tinyops.ops.float32 import real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.calibrate import Progress, Samples, count, silent
from tinyops.quantize.result import QuantizationResult
from tinyops.quantize.scheme import is_real
from tinyops.quantize.settings import QuantizationSettings
from tinyops.quantize.simulate import Rounding, Simulation
from tinyops.quantize.spec import quantize_values

#: Above it a layer is fine, whatever the others are, in dB.
_FINE = 30.0
#: Part of a result's values that may be clipped, in a layer that is fine and in others.
_CLIPPED_FINE, _CLIPPED = 0.02, 0.001
#: Largest SQNR that is reported: of equal values.
MAX_SQNR = 200.0


@dataclass(frozen=True, slots=True)
class Layer:
    """SQNR in dB; None where the layer has no weights, or no result that is rounded."""

    name: str
    kind: str
    output: str
    activations: DType
    weights: DType | None
    alone: float
    alone_weights: float | None
    cumulative: float | None
    #: Part of the result's float32 values beyond the range of its integers.
    clipped: float
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """Of a graph output: SQNR in dB, and the largest and the mean absolute difference, real values."""

    name: str
    sqnr: float
    largest: float
    mean: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Layers in the model's order, outputs of the integer model against the float32 one, and the samples used."""

    layers: tuple[Layer, ...]
    outputs: tuple[Output, ...]
    samples: int

    def worst(self, number: int = 5) -> list[Layer]:
        """The layers that cost most at the outputs, the most expensive first."""
        return sorted(self.layers, key=lambda layer: layer.alone)[:number]


def sqnr(signal: float, noise: float) -> float:
    """Signal-to-quantization-noise ratio in dB of sums of squares; MAX_SQNR for no noise."""
    if noise <= 0:
        return MAX_SQNR
    return float(min(10 * np.log10(max(signal, 1e-300) / noise), MAX_SQNR))


def measure_sensitivity(
    result: QuantizationResult, samples: Samples, *, limit: int = 16, progress: Progress = silent
) -> Sensitivity:
    """Run both models on the first `limit` samples, as `quantize` takes them. State is carried between samples."""
    return _Measurement(result, limit, progress).of(samples)


class _Sums:
    """Sums of squares and absolute values, as samples come in."""

    def __init__(self) -> None:
        self.signal = self.noise = self.absolute = self.largest = 0.0
        self.count = 0

    def add(self, exact: Array, got: Array) -> None:
        difference = got.astype(np.float64) - exact
        self.signal += float((exact.astype(np.float64) ** 2).sum())
        self.noise += float((difference**2).sum())
        self.absolute += float(np.abs(difference).sum())
        self.largest = max(self.largest, float(np.abs(difference).max(initial=0.0)))
        self.count += difference.size


class _Measurement:
    def __init__(self, result: QuantizationResult, limit: int, progress: Progress) -> None:
        self.result, self.limit, self.progress = result, limit, progress
        self.graph = result.source.main
        self.integer = result.model.main
        self.index = {op.name: k for k, op in enumerate(self.integer.ops)}
        self.layers = [v for v in self.graph.views() if v.kind != "READ_STATE" and any(map(is_real, v.outputs))]
        self.simulation = Simulation(result.source)

    def of(self, samples: Samples) -> Sensitivity:
        changes = [(self._rounding(view), self._constants(view)) for view in self.layers]
        power = np.zeros(len(self.simulation.targets))
        alone, weights = (np.zeros((len(changes), power.size)) for _ in range(2))
        own = [_Sums() for _ in self.layers]
        outputs = [_Sums() for _ in self.graph.outputs]
        clipped = np.zeros((len(changes), 2))
        interpreter = Interpreter(self.result.model)
        number = 0
        for number, values in enumerate(self.simulation.runs(samples, self.limit), 1):
            power += self.simulation.power()
            interpreter.run(*(self._input(k, values[t]) for k, t in enumerate(self.graph.inputs)))
            for row, (view, (rounding, constants)) in enumerate(zip(self.layers, changes, strict=True)):
                alone[row] += self.simulation.error(rounding, constants)
                if constants:
                    weights[row] += self.simulation.error({}, constants)
                self._compare(view, values, interpreter, own[row], clipped[row])
            for sums, t, u in zip(outputs, self.graph.outputs, self.integer.outputs, strict=True):
                exact = real_values(self.graph.tensors[t], values[t])
                sums.add(exact, real_values(self.integer.tensors[u], interpreter.tensors[u]))
            self.progress(number, count(samples, self.limit), "measuring layers")
        layers = []
        for row, view in enumerate(self.layers):
            of_weights = _relative(weights[row], power) if changes[row][1] else None
            layer = self._layer(view, _relative(alone[row], power), of_weights, own[row], clipped[row])
            if layer is not None:
                layers.append(layer)
        found = [
            Output(self.graph.tensors[t].name, sqnr(s.signal, s.noise), s.largest, s.absolute / max(s.count, 1))
            for t, s in zip(self.graph.outputs, outputs, strict=True)
        ]
        return Sensitivity(tuple(layers), tuple(found), number)

    def _layer(
        self, view: OpView, alone: float, alone_weights: float | None, own: _Sums, clipped: Array
    ) -> Layer | None:
        """None for a layer that stays float32."""
        there, position = self._counterpart(view), _weight_input(view)
        if there is None or there.output().dtype is DType.FLOAT32:
            return None
        layer = Layer(
            view.name,
            view.kind,
            view.output().name,
            there.output().dtype,
            there.input(position).dtype if alone_weights is not None and position is not None else None,
            alone,
            alone_weights,
            sqnr(own.signal, own.noise) if own.count else None,
            float(clipped[0] / max(clipped[1], 1)),
        )
        return dataclasses.replace(layer, remedies=remedies(layer, self.result.settings))

    def _counterpart(self, view: OpView) -> OpView | None:
        k = self.index.get(view.name)
        return None if k is None else OpView(self.integer.ops[k], self.integer)

    def _input(self, k: int, values: Array) -> Array:
        tensor = self.integer.tensors[self.integer.inputs[k]]
        if tensor.quantization is None or values.dtype != np.float32:
            return values
        return quantize_values(values, tensor.quantization, tensor.dtype)

    def _rounding(self, view: OpView) -> Rounding:
        """The layer's results as the integer model has them."""
        there = self._counterpart(view)
        if there is None:
            return {}
        pairs = zip(view.op.outputs, there.outputs, strict=True)
        return {
            t: (u.quantization, u.dtype)
            for t, u in pairs
            if u.quantization is not None and _is_integer(u) and is_real(self.graph.tensors[t])
        }

    def _constants(self, view: OpView) -> dict[int, Array]:
        """The layer's weights and bias as the integer model has them."""
        there = self._counterpart(view)
        rules = operator(view.kind)
        rule = None if rules is None else rules.quantization.weights
        if there is None or rule is None or there.output().dtype is DType.FLOAT32:
            return {}
        found = {}
        for i in (rule.weights, *(() if rule.bias is None else (rule.bias,))):
            t, tensor = view.op.inputs[i] if i < len(view.op.inputs) else None, there.optional(i)
            if t is not None and is_real(self.graph.tensors[t]) and tensor is not None and tensor.data is not None:
                found[t] = real_values(tensor, tensor.data)
        return found

    def _compare(
        self, view: OpView, values: Mapping[int, Array], interpreter: Interpreter, own: _Sums, clipped: Array
    ) -> None:
        there = self._counterpart(view)
        if there is None:
            return
        for t, u in zip(view.op.outputs, there.op.outputs, strict=True):
            tensor = self.integer.tensors[u]
            if not _is_integer(tensor) or tensor.quantization is None or not is_real(self.graph.tensors[t]):
                continue
            own.add(values[t], real_values(tensor, interpreter.tensors[u]))
            info = np.iinfo(tensor.dtype.numpy)
            steps = values[t] / tensor.scale + tensor.zero_point
            clipped += [((steps < info.min - 0.5) | (steps > info.max + 0.5)).sum(), steps.size]


def _relative(noise: Array, power: Array) -> float:
    """One SQNR for all outputs: each output's noise counts relative to its own power."""
    held = power > 0
    if not held.any():
        return MAX_SQNR
    return sqnr(1.0, float((noise[held] / power[held]).mean()))


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype in (DType.INT8, DType.INT16)


def _weight_input(view: OpView) -> int | None:
    rules = operator(view.kind)
    rule = None if rules is None else rules.quantization.weights
    return None if rule is None else rule.weights


def remedies(layer: Layer, settings: QuantizationSettings) -> tuple[str, ...]:
    """What would make a layer that costs much better, the cheapest first; nothing for a layer that is fine."""
    if layer.alone >= _FINE and layer.clipped <= _CLIPPED_FINE:
        return ()
    found = []
    if layer.clipped > _CLIPPED:
        found.append(f"{layer.clipped:.1%} of its values are clipped: more calibration data, or the method min-max")
    weights_cost = layer.alone_weights is not None and layer.alone_weights < layer.alone + 3
    narrow = layer.weights is DType.INT4
    if layer.alone < _FINE and weights_cost:
        if narrow:
            found.append(f'weights = "int8" for {layer.name}')
        if layer.kind == "FULLY_CONNECTED" and not settings.per_channel_dense and not narrow:
            found.append("per_channel_dense = true")
        if not settings.adaround:
            found.append("adaround = true")
        if not settings.equalize:
            found.append("equalize = true")
    if layer.alone < _FINE and layer.activations is DType.INT8 and not narrow:
        found.append(f'activations = "int16" for {layer.name}')
    return tuple(found)
