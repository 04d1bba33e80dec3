"""Layer by layer: adaptive rounding of weights, and biases that take out the mean error.

The integer model runs beside the float32 one, operator by operator, on a bounded number of samples, so that each layer
is fitted to the inputs that the layers before it really give (Nagel et al. 2019, section 4.2; 2020, section 3.4).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tinyops.graph import DType, Graph, Model, OpView, Tensor
from tinyops.ops.base import Array, operator
from tinyops.ops.float32 import real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.adaround import Reconstruction, round_adaptively
from tinyops.quantize.calibrate import Progress, Samples, checked
from tinyops.quantize.linear import input_matrix, is_linear, matrix_shape, stored_weights, weight_matrix
from tinyops.quantize.settings import QuantizationSettings
from tinyops.quantize.spec import bias_tensor, quantize_values

#: Bytes of activations that are held at a time; fewer samples are taken of models with large ones.
_MAX_BYTES = 512 * 2**20
#: Second moments of more inputs than that are not made: their layers' weights are rounded to nearest.
_MAX_DEPTH = 2048
_Values = dict[int, Array]


class _Side:
    """One of the two models, run operator by operator on all samples at once; values go when nobody needs them."""

    def __init__(self, graph: Graph, start: list[_Values]) -> None:
        self.graph = graph
        self.values = start
        self._last: dict[int, int] = {}
        for k, op in enumerate(graph.ops):
            self._last.update({t: k for t in op.inputs if t is not None})
        self.position = 0

    def of(self, t: int) -> list[Array]:
        tensor = self.graph.tensors[t]
        return [v[t] for v in self.values] if tensor.data is None else [tensor.data] * len(self.values)

    def step(self) -> None:
        """Run the next operator and forget what it read last."""
        op = self.graph.ops[self.position]
        rules = operator(op.kind)
        assert rules is not None
        if op.kind not in ("READ_STATE", "WRITE_STATE"):
            view = OpView(op, self.graph)
            constants = {t: self.graph.tensors[t].data for t in op.inputs if t is not None}
            for values in self.values:
                inputs = [None if t is None else values.get(t, constants[t]) for t in op.inputs]
                with np.errstate(over="ignore", invalid="ignore"):
                    values.update(zip(op.outputs, rules.reference(view, inputs), strict=True))
        for t in (*op.inputs, *op.outputs):
            if t is not None and self._last.get(t, -1) <= self.position:
                for values in self.values:
                    values.pop(t, None)
        self.position += 1


def reconstruct(
    source: Model, quantized: Model, samples: Samples, settings: QuantizationSettings, progress: Progress
) -> Model:
    """The integer model with better weights and biases; structure and scales stay."""
    starts = _starts(source, samples, settings.refine_samples)
    exact = _Side(source.main, starts)
    graph = quantized.main
    ours = _Side(graph, [_integer_start(source.main, graph, values) for values in starts])
    index = {op.name: k for k, op in enumerate(source.main.ops)}
    for k, op in enumerate(graph.ops):
        if op.name in index:
            # Conversions of the source may have gone.
            while exact.position < index[op.name]:
                exact.step()
            view, float_view = OpView(op, ours.graph), OpView(source.main.ops[index[op.name]], source.main)
            if is_linear(view) and _was_float(float_view) and not _was_float(view):
                ours.graph = _Layer(view, float_view, ours, exact).improved(settings)
            exact.step()
        ours.step()
        progress(k + 1, len(graph.ops), "fitting weights")
    return dataclasses.replace(quantized, graphs=(ours.graph,))


def _was_float(op: OpView) -> bool:
    return op.output().dtype is DType.FLOAT32


def _starts(source: Model, samples: Samples, limit: int) -> list[_Values]:
    """Per sample the values of the float32 model's inputs and of the states that it reads."""
    graph = source.main
    largest = sum(sorted((t.nbytes for t in graph.tensors if t.data is None), reverse=True)[:4])
    limit = max(1, min(limit, _MAX_BYTES // max(largest, 1)))
    reads = {op.outputs[0]: op.attrs.state for op in graph.ops if op.kind == "READ_STATE"}
    interpreter = Interpreter(source) if reads else None
    found = []
    for sample in checked(graph, samples, limit):
        values = dict(zip(graph.inputs, (np.asarray(value) for value in sample), strict=True))
        if interpreter is not None:
            interpreter.run(*values.values())
            values.update({t: interpreter.tensors[t] for t in reads})
        found.append(values)
    return found


def _integer_start(source: Graph, graph: Graph, values: _Values) -> _Values:
    """The same for the integer model."""
    found = {}
    reads = {op.name: op.outputs[0] for op in graph.ops if op.kind == "READ_STATE"}
    pairs = list(zip(source.inputs, graph.inputs, strict=True))
    pairs += [(op.outputs[0], reads[op.name]) for op in source.ops if op.kind == "READ_STATE"]
    for there, here in pairs:
        tensor = graph.tensors[here]
        q = tensor.quantization
        found[here] = values[there] if q is None else quantize_values(values[there], q, tensor.dtype)
    return found


class _Layer:
    """A linear operator with its inputs in both models, and the moments of them."""

    def __init__(self, view: OpView, exact_view: OpView, ours: _Side, exact: _Side) -> None:
        self.view, self.exact_view = view, exact_view
        weights, bias = exact_view.input(1).data, exact_view.optional(2)
        assert weights is not None
        self.weights = weight_matrix(exact_view, weights.astype(np.float64))
        groups, depth, units = matrix_shape(view)
        self.bias = np.zeros((groups, 1, units)) if bias is None else _data(bias).reshape(groups, 1, units)
        self.fits = depth <= _MAX_DEPTH
        self.rows = 0
        self.inputs, self.outputs = np.zeros((groups, 1, depth)), np.zeros((groups, 1, units))
        self.moments = np.zeros((groups, depth, depth) if self.fits else (1, 1, 1))
        self.products = np.zeros((groups, depth, units) if self.fits else (1, 1, 1))
        there, here = exact_view.op.inputs[0], view.op.inputs[0]
        assert there is not None
        assert here is not None
        for wanted, given in zip(exact.of(there), ours.of(here), strict=True):
            self._add(wanted, given)

    def _add(self, wanted: Array, given: Array) -> None:
        x = input_matrix(self.view, real_values(self.view.input(0), given))
        y = input_matrix(self.exact_view, wanted) @ self.weights + self.bias
        self.rows += x.shape[1]
        self.inputs += x.sum(axis=1, keepdims=True)
        self.outputs += y.sum(axis=1, keepdims=True)
        if self.fits:
            turned = x.transpose(0, 2, 1)
            self.moments += turned @ x
            self.products += turned @ y

    def improved(self, settings: QuantizationSettings) -> Graph:
        """The graph with this layer's integers replaced."""
        graph, tensor = self.view.graph, self.view.input(1)
        integers = weight_matrix(self.view, _data(tensor))
        quantization = tensor.quantization
        assert quantization is not None
        groups, _, units = matrix_shape(self.view)
        scales = np.broadcast_to(np.array(quantization.scales), (groups * units,)).reshape(groups, 1, units)
        if settings.adaround and self.fits:
            limit = 2 ** (settings.weight_bits(self.exact_view) - 1) - 1
            target = self._reconstruction()
            integers = round_adaptively(self.weights, scales, limit, target, settings.adaround_iterations)
            stored = stored_weights(self.view, integers).astype(np.int8)
            graph = _with_tensor(graph, self.view.op.inputs[1], dataclasses.replace(tensor, data=stored))
        if settings.bias_correction:
            mean = (self.outputs - self.inputs @ (integers * scales)) / self.rows
            graph = self._with_bias(graph, mean.reshape(-1))
        return graph

    def _reconstruction(self) -> Reconstruction:
        """Central moments, as the bias takes out means; drawn to the diagonal where rows are few for the depth."""
        x, y = self.inputs / self.rows, self.outputs / self.rows
        moments = self.moments / self.rows - x.transpose(0, 2, 1) @ x
        products = self.products / self.rows - x.transpose(0, 2, 1) @ y
        residual = moments @ self.weights - products
        depth = moments.shape[1]
        trust = self.rows / (self.rows + depth)
        diagonal = np.einsum("gdd->gd", moments)[:, :, None] * np.eye(depth)
        least = 1e-6 * np.einsum("gdd->g", moments)[:, None, None] / depth * np.eye(depth)
        return Reconstruction(trust * moments + (1 - trust) * diagonal + least, trust * residual)

    def _with_bias(self, graph: Graph, bias: Array) -> Graph:
        """`bias` are real values; a layer without one gets one."""
        values, weights = self.view.input(0).quantization, self.view.input(1).quantization
        assert values is not None
        assert weights is not None
        old = self.view.optional(2)
        name = f"{self.view.name}_bias" if old is None else old.name
        tensor = bias_tensor(name, bias, values, weights, self.view.output().dtype)
        if old is not None:
            return _with_tensor(graph, self.view.op.inputs[2], tensor)
        op = dataclasses.replace(self.view.op, inputs=(*self.view.op.inputs[:2], len(graph.tensors)))
        ops = tuple(op if other.name == op.name else other for other in graph.ops)
        return dataclasses.replace(graph, tensors=(*graph.tensors, tensor), ops=ops)


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


def _with_tensor(graph: Graph, index: int | None, tensor: Tensor) -> Graph:
    assert index is not None
    return dataclasses.replace(graph, tensors=(*graph.tensors[:index], tensor, *graph.tensors[index + 1 :]))
