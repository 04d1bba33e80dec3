"""float32 operators to integer ones, by a scheme: the model that TFLite Micro runs."""

from __future__ import annotations

import dataclasses

from tinyops.errors import ModelError
from tinyops.graph import DType, Model, Op, OpView, Quantization, State, Tensor
from tinyops.ops.base import Array, NoAttrs, operator
from tinyops.ops.quantization import WeightRule
from tinyops.quantize.scheme import Scheme, Value, is_real
from tinyops.quantize.settings import QuantizationSettings
from tinyops.quantize.spec import bias_tensor, least_weight_scales, quantize_values, weight_grid

_WEIGHTS = {4: DType.INT4, 8: DType.INT8}
_Version = tuple[int, DType, Quantization | None]


def convert(scheme: Scheme, settings: QuantizationSettings) -> Model:
    """The integer model of `scheme.model`; operators keep their names."""
    return _Converter(scheme, settings).model()


class _Converter:
    def __init__(self, scheme: Scheme, settings: QuantizationSettings) -> None:
        self.scheme = scheme
        self.settings = settings
        self.graph = scheme.graph
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.versions: dict[_Version, int] = {}
        #: The first version of each tensor, from which others are converted.
        self.primary: dict[int, _Version] = {}

    def model(self) -> Model:
        inputs = tuple(self._produce(t) for t in self.graph.inputs)
        for k, view in enumerate(self.graph.views()):
            self._op(k, view)
        outputs = tuple(self._output(t) for t in self.graph.outputs)
        graph = dataclasses.replace(
            self.graph, tensors=tuple(self.tensors), ops=tuple(self.ops), inputs=inputs, outputs=outputs
        )
        source = self.scheme.model
        states = tuple(self._state(k, state) for k, state in enumerate(source.states))
        return dataclasses.replace(source, graphs=(graph,), states=states)

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _version(self, value: Value) -> _Version:
        if not is_real(self.graph.tensors[value.tensor]):
            return self._plain(value.tensor)
        return value.tensor, value.dtype, self.scheme.quantization(value)

    def _produce(self, t: int) -> int:
        """A new tensor for what is written to `t`."""
        version = self._version(self.scheme.produced(t))
        source = self.graph.tensors[t]
        if is_real(source):
            source = dataclasses.replace(source, dtype=version[1], quantization=version[2])
        self.versions[version] = self._add(source)
        self.primary[t] = version
        return self.versions[version]

    def _read(self, value: Value, name: str) -> int:
        """The tensor with that value, for an operator `name`; converted where there is none yet."""
        version = self._version(value)
        if version in self.versions:
            return self.versions[version]
        tensor = self.graph.tensors[value.tensor]
        if tensor.data is not None:
            self.versions[version] = self._add(_constant(tensor, version))
            return self.versions[version]
        source = self.versions[self.primary[value.tensor]]
        index = self._add(
            dataclasses.replace(tensor, name=f"{tensor.name}_{version[1]}", dtype=version[1], quantization=version[2])
        )
        self._convert(source, index, f"{name}_input_{index}")
        self.versions[version] = index
        return index

    def _convert(self, source: int, index: int, name: str) -> None:
        kind = "DEQUANTIZE" if self.tensors[index].dtype is DType.FLOAT32 else "QUANTIZE"
        self.ops.append(Op(kind, name, (source,), (index,), NoAttrs()))

    def _output(self, t: int) -> int:
        tensor = self.graph.tensors[t]
        if not is_real(tensor) or tensor.is_constant:
            return self._read(Value(t, tensor.dtype), "output")
        wanted = Value(t, self.scheme.io)
        if self.scheme.produced(t).dtype is self.scheme.io:
            wanted = self.scheme.produced(t)
        return self._read(wanted, f"output_{tensor.name}")

    def _op(self, k: int, view: OpView) -> None:
        rules = operator(view.kind)
        assert rules is not None
        weights = rules.quantization.all_weights
        constants = {i for rule in weights for i in (rule.weights, rule.bias)}
        integer = self.scheme.dtypes[k] is not DType.FLOAT32 and any(map(is_real, (*view.inputs, *view.outputs)))
        inputs: list[int | None] = []
        for i, t in enumerate(view.op.inputs):
            if t is None or (integer and i in constants):
                inputs.append(None)
            elif is_real(self.graph.tensors[t]):
                inputs.append(self._read(self.scheme.operand(k, i), view.name))
            else:
                inputs.append(self._read(Value(t, self.graph.tensors[t].dtype), view.name))
        for rule in weights if integer else ():
            self._weights(k, view, rule, inputs)
        if not (integer and view.kind in ("QUANTIZE", "DEQUANTIZE") and self._conversion(view, inputs[0])):
            outputs = tuple(self._produce(t) for t in view.op.outputs)
            self.ops.append(dataclasses.replace(view.op, inputs=tuple(inputs), outputs=outputs))

    def _conversion(self, view: OpView, source: int | None) -> bool:
        """The source's own QUANTIZE or DEQUANTIZE, of which both sides are integers now."""
        assert source is not None
        t = view.op.outputs[0]
        version = self._version(self.scheme.produced(t)) if is_real(self.graph.tensors[t]) else self._plain(t)
        given, wanted = self.tensors[source], self.graph.tensors[t]
        dtype, quantization = version[1], version[2] or wanted.quantization
        if not {given.dtype, dtype} <= {DType.INT8, DType.INT16, DType.UINT8}:
            return False
        if (given.dtype, given.quantization) == (dtype, quantization):
            self.versions[version] = source
            self.primary[t] = version
        else:
            self._convert(source, self._produce(t), view.name)
        return True

    def _plain(self, t: int) -> _Version:
        return t, self.graph.tensors[t].dtype, None

    def _weights(self, k: int, view: OpView, rule: WeightRule, inputs: list[int | None]) -> None:
        """Weights and bias of operator `k` become constants of integers."""
        source = view.input(rule.weights)
        bias = None if rule.bias is None else view.optional(rule.bias)
        values = self.scheme.quantization(self.scheme.operand(k, rule.values))
        assert values is not None
        if source.data is None or (bias is not None and bias.data is None):
            raise ModelError(
                "weights or bias are computed at run time",
                where=f"operator {view.name} ({view.kind})",
                allowed="constants; BATCH_MATMUL multiplies two activations",
            )
        bits = self.settings.weight_bits(view)
        # Kernels of int4 weights take one scale where the specification has one.
        per_channel = rule.per_channel or (self.settings.per_channel_dense and bits == 8)
        data = None if bias is None else bias.data
        grid = weight_grid(
            source.data,
            rule.axis if per_channel else None,
            bits,
            least_weight_scales(data, source.shape[rule.axis], values),
        )
        integers = grid.nearest(source.data)
        inputs[rule.weights] = self._add(
            dataclasses.replace(source, dtype=_WEIGHTS[bits], quantization=grid.quantization, data=integers)
        )
        if rule.bias is not None and bias is not None and data is not None:
            dtype = self.scheme.dtypes[k]
            inputs[rule.bias] = self._add(bias_tensor(bias.name, data, values, grid.quantization, dtype))

    def _state(self, k: int, state: State) -> State:
        quantization = self.scheme.state_quantization(k)
        if quantization is None:
            return state
        dtype = next(
            self.scheme.dtypes[i]
            for i, op in enumerate(self.graph.ops)
            if op.kind in ("READ_STATE", "WRITE_STATE") and op.attrs.state == k
        )
        initial: Array = quantize_values(state.initial, quantization, dtype)
        return dataclasses.replace(state, dtype=dtype, quantization=quantization, initial=initial)


def _constant(tensor: Tensor, version: _Version) -> Tensor:
    """At the version's dtype; as it is where that is the tensor's own."""
    _, dtype, quantization = version
    if quantization is None:
        return dataclasses.replace(tensor, quantization=None) if tensor.dtype is DType.FLOAT32 else tensor
    assert tensor.data is not None
    data = quantize_values(tensor.data, quantization, dtype)
    return dataclasses.replace(tensor, dtype=dtype, quantization=quantization, data=data)
