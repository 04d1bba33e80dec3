"""LSTM and GRU, unrolled over time into FULLY_CONNECTED, LOGISTIC, TANH, ADD and MUL.

TFLite's UNIDIRECTIONAL_SEQUENCE_LSTM keeps its state from one invocation to the next, where ONNX's starts anew (from
zeros or from inputs); the unrolled operators do as ONNX says, in either direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyops.load.onnx.arithmetic import binary, unary
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.limits import MAX_OPS
from tinyops.load.onnx.movement import concat, reshape, split
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.operators.matmul import dense
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.value import Array, Value

_OPS_PER_STEP = {"LSTM": 13, "GRU": 14}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One direction: float32 weights [gates * units, features or units], and biases [gates * units] each."""

    input_weights: Array
    recurrent_weights: Array
    input_bias: Array
    recurrent_bias: Array

    @property
    def units(self) -> int:
        return int(self.recurrent_weights.shape[1])


def _layers(node: Node, gates: int, steps: int) -> list[_Layer]:
    """One for each direction; attributes that are not supported are refused."""
    direction = node.attr_text("direction", "forward")
    node.only("direction", direction, "forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    usual = (["Sigmoid", "Tanh", "Tanh"] if gates == 4 else ["Sigmoid", "Tanh"]) * count
    chosen = node.attributes.get("activations", usual)
    if [str(a).lower() for a in chosen] != [a.lower() for a in usual]:
        node.refuse(f"activations {chosen}", f"{usual}")
    if node.attr_float("clip", 0.0) != 0:
        node.refuse("clip is set", "no clip")
    for name in ("layout", "input_forget"):
        node.only(name, node.attr_int(name, 0), 0)
    if steps * count * _OPS_PER_STEP[node.kind] > MAX_OPS:
        node.refuse(f"{steps} steps", f"up to {MAX_OPS // _OPS_PER_STEP[node.kind] // count}")
    w, r = node.constant(1).astype(np.float32), node.constant(2).astype(np.float32)
    if w.ndim != 3 or r.ndim != 3 or r.shape[1:] != (gates * r.shape[2], r.shape[2]) or w.shape[1] != r.shape[1]:
        node.refuse(f"weights of shapes {list(w.shape)} and {list(r.shape)}", "[directions, gates * units, ...]")
    rows = r.shape[1]
    bias = np.zeros((count, 2 * rows), np.float32) if node.optional(3) is None else node.constant(3).astype(np.float32)
    if w.shape[0] != count or r.shape[0] != count or bias.shape != (count, 2 * rows):
        node.refuse(f"weights of {w.shape[0]} directions, a bias of shape {list(bias.shape)}", f"{count} directions")
    return [_Layer(w[k], r[k], bias[k, :rows], bias[k, rows:]) for k in range(count)]


def _initial(g: Builder, node: Node, i: int, count: int, batch: int, units: int) -> list[Value]:
    """The state [batch, units] of each direction from input `i`, zeros where it is absent."""
    given = node.optional(i)
    if given is None:
        return [g.constant(np.zeros((batch, units), np.float32)) for _ in range(count)]
    if given.shape != (count, batch, units):
        node.refuse(f"input {i} has shape {list(given.shape)}", f"{[count, batch, units]}")
    return [reshape(g, part, (batch, units)) for part in split(g, given, 0, [1] * count)]


Step = Callable[[Value, list[Value]], list[Value]]


def _run(g: Builder, node: Node, gates: int, states: int, step_of: Callable[[Builder, _Layer], Step]) -> list[Value]:
    """Y [steps, directions, batch, units], then the last value [directions, batch, units] of each state."""
    x = node.input()
    if x.rank != 3:
        node.refuse(f"input of shape {list(x.shape)}", "[steps, batch, features]")
    steps, batch, features = x.shape
    lengths = node.optional(4)
    if lengths is not None and (lengths.data is None or np.any(lengths.data != steps)):
        node.refuse("sequence_lens is given", f"none, or {steps} for all")
    layers = _layers(node, gates, steps)
    units = layers[0].units
    if layers[0].input_weights.shape[1] != features:
        node.refuse(f"{features} features, weights of {layers[0].input_weights.shape[1]}")
    initial = [_initial(g, node, 5 + s, len(layers), batch, units) for s in range(states)]
    rows = reshape(g, x, (steps * batch, features))
    sequences, finals = [], []
    for d, layer in enumerate(layers):
        projected = dense(g, rows, g.constant(layer.input_weights), g.constant(_input_bias(layer, gates)))
        parts = split(g, projected, 0, [batch] * steps)
        state, step, hidden = [initial[s][d] for s in range(states)], step_of(g, layer), []
        backwards = node.attr_text("direction", "forward") == "reverse" or d == 1
        for part in reversed(parts) if backwards else parts:
            state = step(part, state)
            hidden.append(state[0])
        hidden = hidden[::-1] if backwards else hidden
        together = concat(g, hidden, 0) if steps > 1 else hidden[0]
        sequences.append(reshape(g, together, (steps, 1, batch, units)))
        finals.append([reshape(g, s, (1, batch, units)) for s in state])
    whole = concat(g, sequences, 1)
    return [whole, *(concat(g, [f[s] for f in finals], 0) for s in range(states))]


def _input_bias(layer: _Layer, gates: int) -> Array:
    """With what of the recurrent bias is added outside of any product."""
    if gates == 4:
        return layer.input_bias + layer.recurrent_bias
    bias = layer.input_bias.copy()
    bias[: 2 * layer.units] += layer.recurrent_bias[: 2 * layer.units]
    return bias


@importer("LSTM")
def lstm(g: Builder, node: Node) -> list[Value]:
    """Unrolled; all directions, initial states; default activations, no peepholes, clip or sequence lengths."""
    if node.optional(7) is not None and np.any(node.constant(7)):
        node.refuse("peepholes are given", "none")
    return _run(g, node, 4, 2, _lstm_step)


def _lstm_step(g: Builder, layer: _Layer) -> Step:
    """The gates stand in ONNX's order (input, output, forget, cell), so that three sigmoids are one operator."""
    weights, units = g.constant(layer.recurrent_weights), layer.units

    def step(x: Value, state: list[Value]) -> list[Value]:
        hidden, cell = state
        total = x if _is_zero(hidden) else binary(g, "ADD", dense(g, hidden, weights), x)
        three, candidate = split(g, total, 1, [3 * units, units])
        write, output, forget = split(g, unary(g, "LOGISTIC", three), 1, [units] * 3)
        added = binary(g, "MUL", write, unary(g, "TANH", candidate))
        cell = added if _is_zero(cell) else binary(g, "ADD", binary(g, "MUL", forget, cell), added)
        return [binary(g, "MUL", output, unary(g, "TANH", cell)), cell]

    return step


@importer("GRU")
def gru(g: Builder, node: Node) -> list[Value]:
    """Unrolled; all directions, initial states, linear_before_reset; default activations, no clip or lengths."""
    before = node.attr_int("linear_before_reset", 0)
    return _run(g, node, 3, 1, lambda builder, layer: _gru_step(builder, layer, bool(before)))


def _gru_step(g: Builder, layer: _Layer, linear_before_reset: bool) -> Step:
    """Gates in ONNX's order: update, reset, hidden. h' = (1 - z) * n + z * h = n + z * (h - n)."""
    units = layer.units
    cut = 2 * units
    both, last = g.constant(layer.recurrent_weights[:cut]), g.constant(layer.recurrent_weights[cut:])
    whole, bias = g.constant(layer.recurrent_weights), layer.recurrent_bias[cut:]
    late, full = g.constant(bias), g.constant(np.concatenate([np.zeros(cut, np.float32), bias]))

    def step(x: Value, state: list[Value]) -> list[Value]:
        hidden = state[0]
        gates, candidate = split(g, x, 1, [cut, units])
        if linear_before_reset:
            recurrent = dense(g, hidden, whole, full)
            first, inner = split(g, recurrent, 1, [cut, units])
            update, reset = split(g, unary(g, "LOGISTIC", binary(g, "ADD", first, gates)), 1, [units] * 2)
            inner = binary(g, "MUL", reset, inner)
        else:
            first = dense(g, hidden, both)
            update, reset = split(g, unary(g, "LOGISTIC", binary(g, "ADD", first, gates)), 1, [units] * 2)
            inner = dense(g, binary(g, "MUL", reset, hidden), last, late)
        new = unary(g, "TANH", binary(g, "ADD", candidate, inner))
        return [binary(g, "ADD", new, binary(g, "MUL", update, binary(g, "SUB", hidden, new)))]

    return step


def _is_zero(x: Value) -> bool:
    return x.data is not None and not x.data.any()
