"""UNIDIRECTIONAL_SEQUENCE_LSTM: int8 activations and weights, int16 cell state; no peepholes, projection, layer norm.

Inputs by position: values [batches, steps, features] (time_major: [steps, batches, features]), 1-4 input weights
[units, features], 5-8 recurrent weights [units, units] and 12-15 biases [units], each for the input, forget, cell and
output gate, 18 the hidden and 19 the cell state, both of batches * units elements. Outputs: the hidden state of every
step, and the new values of the two states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyops.ops.sigmoid_int16 import sigmoid_int16, tanh_int16
from tinyops.ops.weights import exact_matmul

INPUTS = 24
GATES = 4
VALUES, INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES, HIDDEN, CELL = 0, 1, 5, 12, 18, 19
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)
_TANH = 4
#: The cell state's scale is 2**power; the bounds keep tanh's shifts within int32.
_POWERS = range(-27, 3)

Scale = tuple[int, int]


@dataclass(frozen=True, slots=True)
class UnidirectionalSequenceLstmAttrs:
    """Fields of TFLite's UnidirectionalSequenceLSTMOptions; activation 4 is TANH."""

    fused_activation_function: int = _TANH
    cell_clip: float = 0.0
    time_major: bool = False


@dataclass(frozen=True, slots=True)
class Parameters:
    """(multiplier, shift) pairs per gate and of the three products; tanh takes (cell * factor + round) >> shift."""

    input: tuple[Scale, ...]
    recurrent: tuple[Scale, ...]
    forget_cell: Scale
    input_cell: Scale
    hidden: Scale
    tanh_factor: int
    tanh_shift: int
    clip: int


@dataclass(frozen=True, slots=True)
class Sizes:
    batches: int
    steps: int
    features: int
    units: int


def sizes(op: OpView) -> Sizes:
    first, second, features = op.input(VALUES).shape
    batches, steps = (second, first) if op.attrs.time_major else (first, second)
    return Sizes(batches, steps, features, op.input(INPUT_WEIGHTS).shape[0])


def parameters(op: OpView) -> Parameters:
    """Raises ValueError for scales that fixed-point arithmetic cannot hold."""
    gate, cell = 2.0**-12, op.input(CELL).scale

    def ratios(values: int, weights: int) -> tuple[Scale, ...]:
        scale = op.input(values).scale
        return tuple(quantize_multiplier(scale * op.input(weights + k).scale / gate) for k in range(GATES))

    power = round(math.log2(cell))
    if abs(math.log2(cell) - power) >= 1e-3 or power not in _POWERS:
        raise ValueError(f"the cell state has scale {cell:g}")
    shift = 12 + power
    clip = int(min(max(op.attrs.cell_clip / cell, -32768.0), 32767.0)) if op.attrs.cell_clip > 0 else 0
    return Parameters(
        input=ratios(VALUES, INPUT_WEIGHTS),
        recurrent=ratios(HIDDEN, RECURRENT_WEIGHTS),
        forget_cell=quantize_multiplier(2.0**-15 * cell / cell),
        input_cell=quantize_multiplier(2.0**-30 / cell),
        hidden=quantize_multiplier(2.0**-30 / op.input(HIDDEN).scale),
        tanh_factor=3 << max(shift, 0),
        tanh_shift=max(-shift, 0),
        clip=clip,
    )


class UnidirectionalSequenceLstm(Operator):
    kind = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    attrs = UnidirectionalSequenceLstmAttrs
    options = "UnidirectionalSequenceLSTMOptions"
    versions = range(1, 5)
    variables = (HIDDEN, CELL)
    intermediates = True

    def check(self, op: OpView) -> None:
        if len(op.op.inputs) != INPUTS or len(op.op.outputs) != 3:
            counts = f"{len(op.op.inputs)} inputs and {len(op.op.outputs)} outputs"
            self.refuse(op, counts, f"{INPUTS} inputs, 3 outputs (two of them states)")
        values = op.optional(VALUES)
        if values is not None:
            self.expect_dtype(op, "the input", values.dtype, DType.INT8)
        for i, t in enumerate(op.op.inputs):
            if (t is None) != (i in _ABSENT):
                what = "absent" if t is None else "given: a peephole, a projection or a layer norm"
                self.refuse(op, f"input {i} is {what}", "the gates' weights and biases, all of them and nothing else")
        if op.attrs.fused_activation_function != _TANH:
            self.refuse(op, f"activation {op.attrs.fused_activation_function}", f"{_TANH} (TANH)")
        self._check_dtypes(op)
        self._check_shapes(op)
        try:
            parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), f"ratios under 2**30, a cell scale of 2**{_POWERS[0]} to 2**{_POWERS[-1]}")

    def _check_dtypes(self, op: OpView) -> None:
        weights = range(INPUT_WEIGHTS, INPUT_WEIGHTS + 2 * GATES)
        for i in (HIDDEN, *weights):
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT8)
        for i in range(BIASES, BIASES + GATES):
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT32)
            self.constant(op, i)
        self.expect_dtype(op, "the cell state", op.input(CELL).dtype, DType.INT16)
        for o, i in enumerate((VALUES, HIDDEN, CELL)):
            self.expect_dtype(op, f"output {o}", op.output(o).dtype, op.input(i).dtype)
        self.expect_per_tensor(op, VALUES, HIDDEN, CELL, *weights)
        for i in weights:
            self.constant(op, i)
        for i in (*weights, CELL):
            if op.input(i).zero_point != 0:
                self.refuse(op, f"input {i} has zero point {op.input(i).zero_point}", "0")

    def _check_shapes(self, op: OpView) -> None:
        values, weights = op.input(VALUES).shape, op.input(INPUT_WEIGHTS).shape
        if len(values) != 3 or len(weights) != 2 or 0 in weights:
            self.refuse(
                op, f"values of shape {list(values)}, weights of {list(weights)}", "three dimensions; [units, features]"
            )
        s = sizes(op)
        expected = {INPUT_WEIGHTS: (s.units, s.features), RECURRENT_WEIGHTS: (s.units, s.units), BIASES: (s.units,)}
        for first, shape in expected.items():
            for i in range(first, first + GATES):
                if op.input(i).shape != shape:
                    self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"{list(shape)}")
        for o, i in enumerate((HIDDEN, CELL), 1):
            if op.input(i).elements != s.batches * s.units:
                self.refuse(op, f"state {i} has shape {list(op.input(i).shape)}", f"{[s.batches, s.units]}")
            self.expect_shape(op, op.input(i).shape, o)
        self.expect_shape(op, (*values[:2], s.units))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        s, p = sizes(op), parameters(op)
        given = [np.empty(0) if array is None else array for array in inputs]
        values = given[VALUES].astype(np.int16) - op.input(VALUES).zero_point
        hidden, zero = given[HIDDEN].reshape(s.batches, s.units), op.input(HIDDEN).zero_point
        cell = given[CELL].reshape(s.batches, s.units).astype(np.int64)
        outputs = []
        for step in range(s.steps):
            x = values[step] if op.attrs.time_major else values[:, step]
            h = hidden.astype(np.int16) - zero
            gates = [_gate(given, p, k, x, h) for k in range(GATES)]
            write, forget, output = (sigmoid_int16(3 * gates[k]) for k in (0, 1, 3))
            kept = _int16(_product(forget, cell, p.forget_cell))
            cell = _int16(kept + _int16(_product(write, tanh_int16(3 * gates[2]), p.input_cell)))
            if p.clip:
                cell = np.clip(cell, -p.clip, p.clip)
            rounding = (1 << p.tanh_shift) >> 1
            shown = tanh_int16((cell * p.tanh_factor + rounding) >> p.tanh_shift)
            hidden = np.clip(wrap32(_product(shown, output, p.hidden) + zero), -128, 127).astype(np.int8)
            outputs.append(hidden)
        sequence = np.stack(outputs, axis=0 if op.attrs.time_major else 1)
        return [
            sequence,
            hidden.reshape(op.input(HIDDEN).shape),
            cell.astype(np.int16).reshape(op.input(CELL).shape),
        ]

    def macs(self, op: OpView) -> int:
        s = sizes(op)
        return s.batches * s.steps * s.units * GATES * (s.features + s.units)

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        s = sizes(op)
        states = {(HIDDEN, 1): 0, (CELL, 2): 0}
        if op.attrs.time_major and s.batches > 1:  # the batches are computed one after the other
            return states
        reads = np.repeat(np.arange(s.batches * s.steps, dtype=np.int64) * s.features, s.units)
        return {(VALUES, 0): overlap_distance(reads, 1), **states}


def _int16(x: Array) -> Array:
    return np.clip(x, -(2**15), 2**15 - 1)


def _product(a: Array, b: Array, scale: Scale) -> Array:
    return multiply_by_quantized_multiplier(a * b, *scale)


def _gate(given: Sequence[Array], p: Parameters, k: int, x: Array, h: Array) -> Array:
    """Gate `k` before its activation, Q3.12: the two products are rescaled and saturated on their own."""
    from_input = wrap32(exact_matmul(x, given[INPUT_WEIGHTS + k].T) + given[BIASES + k])
    from_hidden = wrap32(exact_matmul(h, given[RECURRENT_WEIGHTS + k].T))
    first = _int16(multiply_by_quantized_multiplier(from_input, *p.input[k]))
    return _int16(first + _int16(multiply_by_quantized_multiplier(from_hidden, *p.recurrent[k])))
