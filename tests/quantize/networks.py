"""Small float32 networks of many kinds, with inputs for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tinyops.graph import DType, Model
from tinyops.ops.base import Activation, Padding, operator
from tinyops.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstmAttrs
from tinyops.ops.var_handle import VarHandleAttrs

Array = np.ndarray[Any, Any]
Samples = list[list[Array]]
F = DType.FLOAT32


class Network:
    """A float32 graph that is built operator by operator; every method gives the index of its result."""

    def __init__(self, *inputs: Sequence[int], seed: int = 0) -> None:
        self.models = ModelBuilder()
        self.graph: GraphBuilder = self.models.graph("net")
        self.rng = np.random.default_rng(seed)
        self.inputs = [self.graph.tensor(shape, F) for shape in inputs]
        self.graph.inputs = tuple(self.inputs)

    def shape(self, t: int) -> tuple[int, ...]:
        return self.graph.tensors[t].shape

    def constant(self, values: Any, dtype: DType = F) -> int:
        return self.graph.constant(values, dtype)

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        return self.rng.normal(0, scale, shape)

    def op(self, kind: str, inputs: Sequence[int], shape: Sequence[int], dtype: DType = F, **attrs: Any) -> int:
        rules = operator(kind)
        assert rules is not None
        output = self.graph.tensor(shape, dtype)
        self.graph.op(kind, inputs, [output], rules.attrs(**attrs))
        return output

    def unary(self, kind: str, x: int, **attrs: Any) -> int:
        return self.op(kind, [x], self.shape(x), **attrs)

    def binary(self, kind: str, a: int, b: int, **attrs: Any) -> int:
        return self.op(kind, [a, b], np.broadcast_shapes(self.shape(a), self.shape(b)), **attrs)

    def conv(
        self,
        x: int,
        units: int,
        size: int = 3,
        stride: int = 1,
        act: Activation = Activation.RELU,
        weights: Array | None = None,
        bias: bool = True,
    ) -> int:
        n, h, w, c = self.shape(x)
        data = self.normal(units, size, size, c, scale=1 / (size * c**0.5)) if weights is None else weights
        inputs = [x, self.constant(data), *([self.constant(self.normal(units, scale=0.2))] if bias else [])]
        shape = (n, -(-h // stride), -(-w // stride), units)
        return self.op(
            "CONV_2D", inputs, shape, padding=Padding.SAME, stride_w=stride, stride_h=stride,
            fused_activation_function=act,
        )  # fmt: skip

    def depthwise(self, x: int, size: int = 3, multiplier: int = 1, act: Activation = Activation.RELU6) -> int:
        n, h, w, c = self.shape(x)
        channels = c * multiplier
        weights = self.constant(self.normal(1, size, size, channels, scale=0.5))
        return self.op(
            "DEPTHWISE_CONV_2D", [x, weights, self.constant(self.normal(channels, scale=0.2))], (n, h, w, channels),
            padding=Padding.SAME, stride_w=1, stride_h=1, depth_multiplier=multiplier, fused_activation_function=act,
        )  # fmt: skip

    def dense(self, x: int, units: int, act: Activation = Activation.NONE, keep: bool = False) -> int:
        shape = self.shape(x)
        depth = shape[-1]
        weights = self.constant(self.normal(units, depth, scale=depth**-0.5))
        out = (*shape[:-1], units) if keep else (int(np.prod(shape)) // depth, units)
        return self.op(
            "FULLY_CONNECTED", [x, weights, self.constant(self.normal(units, scale=0.2))], out,
            fused_activation_function=act, keep_num_dims=keep,
        )  # fmt: skip

    def pool(self, kind: str, x: int, size: int = 2) -> int:
        n, h, w, c = self.shape(x)
        return self.op(
            kind, [x], (n, h // size, w // size, c), padding=Padding.VALID, stride_w=size, stride_h=size,
            filter_width=size, filter_height=size,
        )  # fmt: skip

    def mean(self, x: int, *axes: int, keep: bool = False) -> int:
        rank = len(self.shape(x))
        reduced = {a % rank for a in axes}
        kept = [1 if k in reduced else n for k, n in enumerate(self.shape(x)) if keep or k not in reduced]
        return self.op("MEAN", [x, self.constant(list(axes), DType.INT32)], kept, keep_dims=keep)

    def concat(self, *parts: int, axis: int = -1) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(p)[axis] for p in parts)
        return self.op("CONCATENATION", parts, shape, axis=axis)

    def reshape(self, x: int, *shape: int) -> int:
        return self.op("RESHAPE", [x, self.constant(list(shape), DType.INT32)], shape)

    def transpose(self, x: int, *order: int) -> int:
        shape = [self.shape(x)[k] for k in order]
        return self.op("TRANSPOSE", [x, self.constant(list(order), DType.INT32)], shape)

    def softmax(self, x: int) -> int:
        return self.unary("SOFTMAX", x, beta=1.0)

    def layer_norm(self, x: int, epsilon: float = 1e-3) -> int:
        depth = self.shape(x)[-1]
        mean = self.mean(x, -1, keep=True)
        variance = self.mean(self.binary("SQUARED_DIFFERENCE", x, mean), -1, keep=True)
        inverse = self.unary("RSQRT", self.binary("ADD", variance, self.constant([epsilon])))
        normal = self.binary("MUL", self.binary("SUB", x, mean), inverse)
        scaled = self.binary("MUL", normal, self.constant(self.rng.uniform(0.5, 1.5, depth)))
        return self.binary("ADD", scaled, self.constant(self.normal(depth, scale=0.1)))

    def attention(self, x: int, heads: int, mask: Callable[[int], int] | None = None) -> int:
        """`mask` gets the scores and returns the masked ones."""
        n, length, depth = self.shape(x)
        size = depth // heads

        def split(t: int) -> int:
            return self.transpose(self.reshape(t, n, length, heads, size), 0, 2, 1, 3)

        q, k, v = (split(self.dense(x, depth, keep=True)) for _ in range(3))
        scores = self.op("BATCH_MATMUL", [q, k], (n, heads, length, length), adj_y=True)
        scores = self.binary("MUL", scores, self.constant([size**-0.5]))
        weights = self.softmax(scores if mask is None else mask(scores))
        mixed = self.op("BATCH_MATMUL", [weights, v], (n, heads, length, size))
        return self.dense(self.reshape(self.transpose(mixed, 0, 2, 1, 3), n, length, depth), depth, keep=True)

    def outputs(self, *tensors: int) -> Network:
        self.graph.outputs = tensors
        return self

    def model(self) -> Model:
        return self.models.build()[0]

    def samples(self, count: int, seed: int = 1) -> Samples:
        """Normal values with a spread and an offset that differ from sample to sample."""
        rng = np.random.default_rng(seed)

        def one(t: int) -> Array:
            values = rng.normal(rng.normal(0, 0.3), rng.uniform(0.5, 1.5), self.shape(t))
            return values.astype(np.float32)

        return [[one(t) for t in self.inputs] for _ in range(count)]


def cnn() -> Network:
    """Convolutions, a residual sum, two branches joined, pools, a dense layer and softmax."""
    net = Network((1, 12, 12, 3))
    x = net.conv(net.inputs[0], 8, stride=2)
    x = net.conv(net.depthwise(x), 8, size=1, act=Activation.NONE)
    y = net.conv(x, 8, act=Activation.NONE)
    x = net.binary("ADD", x, y, fused_activation_function=Activation.RELU)
    x = net.concat(net.pool("MAX_POOL_2D", x), net.pool("AVERAGE_POOL_2D", x), net.conv(x, 4, stride=2))
    x = net.pool("AVERAGE_POOL_2D", net.conv(x, 16), 3)
    x = net.dense(net.reshape(x, 1, 16), 5)
    return net.outputs(net.softmax(x))


def autoencoder() -> Network:
    net = Network((1, 20), seed=3)
    x = net.dense(net.dense(net.inputs[0], 16, Activation.RELU), 4, Activation.RELU)
    return net.outputs(net.dense(net.dense(x, 16, Activation.RELU), 20))


def gates() -> Network:
    """Activations of fixed scales meet free ones; squeeze and excitation; two outputs."""
    net = Network((1, 6, 6, 4), (1, 4), seed=4)
    x = net.conv(net.inputs[0], 8, act=Activation.NONE)
    x = net.binary("MUL", x, net.unary("LOGISTIC", x))
    squeezed = net.mean(x, 1, 2)
    gate = net.unary("LOGISTIC", net.dense(net.concat(squeezed, net.inputs[1]), 8))
    x = net.binary("MUL", x, net.reshape(gate, 1, 1, 1, 8))
    x = net.unary("TANH", net.mean(net.unary("LEAKY_RELU", x, alpha=0.2), 1, 2))
    joined = net.concat(x, gate, net.softmax(net.dense(x, 3)))
    return net.outputs(net.dense(joined, 4), gate)


def shapes() -> Network:
    """Operators that share one scale, and clamps."""
    net = Network((1, 4, 6, 4), seed=5)
    x = net.inputs[0]
    padded = net.op("PAD", [x, net.constant([[0, 0], [1, 1], [0, 2], [0, 0]], DType.INT32)], (1, 6, 8, 4))
    x = net.op("SLICE", [padded, net.constant([0, 1, 0, 1], DType.INT32), net.constant([1, 4, 8, 2], DType.INT32)],
               (1, 4, 8, 2))  # fmt: skip
    x = net.transpose(x, 0, 2, 1, 3)
    x = net.binary("MAXIMUM", x, net.constant([-0.5]))
    x = net.binary("MINIMUM", x, net.constant([1.0]))
    x = net.op("RESIZE_NEAREST_NEIGHBOR", [x, net.constant([4, 4], DType.INT32)], (1, 4, 4, 2))
    halves = [net.graph.tensor((1, 4, 4, 1), F) for _ in range(2)]
    rules = operator("SPLIT")
    assert rules is not None
    net.graph.op("SPLIT", [net.constant([3], DType.INT32), x], halves, rules.attrs(num_splits=2))
    x = net.concat(*halves, net.unary("RELU6", halves[0]), axis=3)
    return net.outputs(net.binary("SUB", x, net.constant([0.25])))


def transformer() -> Network:
    """Layer normalization, attention, and a GELU by its tanh."""
    net = Network((1, 6, 16), seed=6)
    x = net.inputs[0]
    x = net.binary("ADD", x, net.attention(net.layer_norm(x), 2))
    h = net.dense(net.layer_norm(x), 24, keep=True)
    cube = net.binary("MUL", net.binary("MUL", h, h), h)
    inner = net.binary("ADD", h, net.binary("MUL", cube, net.constant([0.044715])))
    gate = net.unary("TANH", net.binary("MUL", inner, net.constant([0.7978846])))
    h = net.binary("MUL", net.binary("MUL", h, net.constant([0.5])), net.binary("ADD", gate, net.constant([1.0])))
    x = net.binary("ADD", x, net.dense(h, 16, keep=True))
    return net.outputs(net.dense(net.mean(net.layer_norm(x), 1), 3))


NETWORKS: dict[str, Callable[[], Network]] = {
    "autoencoder": autoencoder,
    "cnn": cnn,
    "gates": gates,
    "shapes": shapes,
    "transformer": transformer,
}


def gru_step() -> Network:
    """One step of a gated recurrent unit per invocation; its state is a resource variable that starts at 0."""
    net = Network((1, 6), seed=7)
    g, units = net.graph, 5
    handle, state = g.tensor((), DType.RESOURCE), g.tensor((1, units), F)
    g.op("VAR_HANDLE", [], [handle], VarHandleAttrs("net", "state"))
    g.op("READ_VARIABLE", [handle], [state])
    joined = net.concat(net.inputs[0], state)
    update, reset = (net.unary("LOGISTIC", net.dense(joined, units)) for _ in range(2))
    candidate = net.unary("TANH", net.dense(net.concat(net.inputs[0], net.binary("MUL", reset, state)), units))
    rest = net.binary("SUB", net.constant([1.0]), update)
    new = net.binary("ADD", net.binary("MUL", update, state), net.binary("MUL", rest, candidate))
    g.op("ASSIGN_VARIABLE", [handle, new], [])
    return net.outputs(net.dense(new, 3))


def lstm(units: int = 6, steps: int = 7) -> Network:
    """A whole sequence per invocation; the states are variable tensors, which carry on to the next."""
    net = Network((1, steps, 4), seed=9)
    g = net.graph
    gates: list[int | None] = [net.constant(net.normal(units, 4, scale=0.7)) for _ in range(4)]
    gates += [net.constant(net.normal(units, units, scale=0.4)) for _ in range(4)]
    biases = [net.constant(net.normal(units, scale=0.2)) for _ in range(4)]
    states = [g.tensor((1, units), F, variable=True) for _ in range(2)]
    inputs = [net.inputs[0], *gates, None, None, None, *biases, None, None, *states, None, None, None, None]
    sequence = g.tensor((1, steps, units), F)
    updated = [g.tensor((1, units), F) for _ in range(2)]
    g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [sequence, *updated], UnidirectionalSequenceLstmAttrs())
    return net.outputs(net.dense(net.reshape(sequence, 1, steps * units), 3))
