"""UNIDIRECTIONAL_SEQUENCE_LSTM: int8 or int16 activations, int8 weights, int16 cell state; float32; no variants.

Inputs by position: values [batches, steps, features] (time_major: [steps, batches, features]), 1-4 input weights
[units, features], 5-8 recurrent weights [units, units] and 12-15 biases [units], each for the input, forget, cell and
output gate, 18 the hidden and 19 the cell state, both of batches * units elements. Outputs: the hidden state of every
step, and the new values of the two states. The variants that are refused: peepholes, projection, layer norm. With
int16 activations the sums and biases are int64, and all zero points 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.fixed_point import (
    Requantization,
    dtype_range,
    multiply_by_quantized_multiplier,
    multiply_int64_by_quantized_multiplier,
    quantize_multiplier,
    wrap32,
)
from tinyops.ops.float32 import is_float, matmul
from tinyops.ops.quantization import QuantizationRule, WeightRule
from tinyops.ops.sigmoid_int16 import sigmoid_int16, tanh_int16
from tinyops.ops.weights import check_int64_requantization, exact_matmul, int64_reach

INPUTS = 24
GATES = 4
VALUES, INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES, HIDDEN, CELL = 0, 1, 5, 12, 18, 19
_WEIGHTS = range(INPUT_WEIGHTS, INPUT_WEIGHTS + 2 * GATES)
_BIASES = range(BIASES, BIASES + GATES)
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
    quantization = QuantizationRule(
        gates=tuple(
            WeightRule(values=values, weights=first + k, bias=None if bias is None else bias + k, per_channel=False)
            for values, first, bias in ((VALUES, INPUT_WEIGHTS, BIASES), (HIDDEN, RECURRENT_WEIGHTS, None))
            for k in range(4)
        ),
        joined=((HIDDEN,), (0, 1)),
        cells=((CELL, 2),),
    )
    versions = range(1, 5)
    variables = (HIDDEN, CELL)
    intermediates = True

    def check(self, op: OpView) -> None:
        if len(op.op.inputs) != INPUTS or len(op.op.outputs) != 3:
            counts = f"{len(op.op.inputs)} inputs and {len(op.op.outputs)} outputs"
            self.refuse(op, counts, f"{INPUTS} inputs, 3 outputs (two of them states)")
        values = op.optional(VALUES)
        if values is not None:
            self.expect_dtype(op, "the input", values.dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        for i, t in enumerate(op.op.inputs):
            if (t is None) != (i in _ABSENT):
                what = "absent" if t is None else "given: a peephole, a projection or a layer norm"
                self.refuse(op, f"input {i} is {what}", "the gates' weights and biases, all of them and nothing else")
        if op.attrs.fused_activation_function != _TANH:
            self.refuse(op, f"activation {op.attrs.fused_activation_function}", f"{_TANH} (TANH)")
        if is_float(op):
            self._check_float_dtypes(op)
            self._check_shapes(op)
            return
        self._check_dtypes(op)
        self._check_shapes(op)
        try:
            p = parameters(op)
        except ValueError as error:
            self.refuse(op, str(error), f"ratios under 2**30, a cell scale of 2**{_POWERS[0]} to 2**{_POWERS[-1]}")
        if op.input(VALUES).dtype is DType.INT16:
            self._check_int64(op, p)

    def _check_int64(self, op: OpView, p: Parameters) -> None:
        for k in range(GATES):
            bias = self.constant(op, BIASES + k)
            for first, scale, start in (
                (INPUT_WEIGHTS, p.input[k], bias),
                (RECURRENT_WEIGHTS, p.recurrent[k], 0 * bias),
            ):
                reach = max(int64_reach(self.constant(op, first + k), start))
                found = Requantization(np.array([scale[0]]), np.array([scale[1]]), 0, *dtype_range(DType.INT16))
                check_int64_requantization(self, op, found, reach, (op.input(VALUES), op.input(HIDDEN), op.output()))

    def _check_float_dtypes(self, op: OpView) -> None:
        for i in (VALUES, *_WEIGHTS, *_BIASES, HIDDEN, CELL):
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.FLOAT32)
        for o in range(3):
            self.expect_dtype(op, f"output {o}", op.output(o).dtype, DType.FLOAT32)
        for i in (*_WEIGHTS, *_BIASES):
            self.constant(op, i)

    def _check_dtypes(self, op: OpView) -> None:
        wide = op.input(VALUES).dtype is DType.INT16
        self.expect_dtype(op, f"input {HIDDEN}", op.input(HIDDEN).dtype, op.input(VALUES).dtype)
        for i in _WEIGHTS:
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT8)
        for i in _BIASES:
            self.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT64 if wide else DType.INT32)
            self.constant(op, i)
        self.expect_dtype(op, "the cell state", op.input(CELL).dtype, DType.INT16)
        for o, i in enumerate((VALUES, HIDDEN, CELL)):
            self.expect_dtype(op, f"output {o}", op.output(o).dtype, op.input(i).dtype)
        self.expect_per_tensor(op, VALUES, HIDDEN, CELL, *_WEIGHTS)
        for i in _WEIGHTS:
            self.constant(op, i)
        for i in (*_WEIGHTS, CELL):
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
        if is_float(op):
            return self._reference_float(op, inputs)
        s, p = sizes(op), parameters(op)
        given = [np.empty(0) if array is None else array for array in inputs]
        values = given[VALUES].astype(np.int64) - op.input(VALUES).zero_point
        low, high = dtype_range(op.output().dtype)
        hidden, zero = given[HIDDEN].reshape(s.batches, s.units), op.input(HIDDEN).zero_point
        cell = given[CELL].reshape(s.batches, s.units).astype(np.int64)
        outputs = []
        for step in range(s.steps):
            x = values[step] if op.attrs.time_major else values[:, step]
            h = hidden.astype(np.int64) - zero
            gates = [_gate(given, p, k, x, h) for k in range(GATES)]
            write, forget, output = (sigmoid_int16(3 * gates[k]) for k in (0, 1, 3))
            kept = _int16(_product(forget, cell, p.forget_cell))
            cell = _int16(kept + _int16(_product(write, tanh_int16(3 * gates[2]), p.input_cell)))
            if p.clip:
                cell = np.clip(cell, -p.clip, p.clip)
            rounding = (1 << p.tanh_shift) >> 1
            shown = tanh_int16((cell * p.tanh_factor + rounding) >> p.tanh_shift)
            hidden = np.clip(wrap32(_product(shown, output, p.hidden) + zero), low, high).astype(
                op.output().dtype.numpy
            )
            outputs.append(hidden)
        sequence = np.stack(outputs, axis=0 if op.attrs.time_major else 1)
        return [
            sequence,
            hidden.reshape(op.input(HIDDEN).shape),
            cell.astype(np.int16).reshape(op.input(CELL).shape),
        ]

    def _reference_float(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        s, clip = sizes(op), np.float32(op.attrs.cell_clip)
        given = [np.empty(0) if array is None else array for array in inputs]
        hidden, cell = (given[i].reshape(s.batches, s.units) for i in (HIDDEN, CELL))
        outputs = []
        for step in range(s.steps):
            x = given[VALUES][step] if op.attrs.time_major else given[VALUES][:, step]
            write, forget, candidate, output = (_gate_float(given, k, x, hidden) for k in range(GATES))
            cell = _sigmoid(forget) * cell + _sigmoid(write) * np.tanh(candidate)
            if clip > 0:
                cell = np.clip(cell, -clip, clip)
            hidden = np.tanh(cell) * _sigmoid(output)
            outputs.append(hidden)
        sequence = np.stack(outputs, axis=0 if op.attrs.time_major else 1)
        return [sequence, hidden.reshape(op.input(HIDDEN).shape), cell.reshape(op.input(CELL).shape)]

    def macs(self, op: OpView) -> int:
        s = sizes(op)
        return s.batches * s.steps * s.units * GATES * (s.features + s.units)

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        s = sizes(op)
        states = {(HIDDEN, 1): 0, (CELL, 2): 0}
        if op.attrs.time_major and s.batches > 1:  # the batches are computed one after the other
            return states
        reads = np.repeat(np.arange(s.batches * s.steps, dtype=np.int64) * s.features, s.units)
        size = op.output().dtype.itemsize
        return {(VALUES, 0): overlap_distance(reads * size, size), **states}


def _int16(x: Array) -> Array:
    return np.clip(x, -(2**15), 2**15 - 1)


def _product(a: Array, b: Array, scale: Scale) -> Array:
    return multiply_by_quantized_multiplier(a * b, *scale)


def _gate(given: Sequence[Array], p: Parameters, k: int, x: Array, h: Array) -> Array:
    """Gate `k` before its activation, Q3.12: the two products are rescaled and saturated on their own."""
    wide = given[BIASES + k].dtype == np.int64
    from_input = exact_matmul(x, given[INPUT_WEIGHTS + k].T, wide) + given[BIASES + k]
    from_hidden = exact_matmul(h, given[RECURRENT_WEIGHTS + k].T, wide)
    if wide:
        first = multiply_int64_by_quantized_multiplier(from_input, *p.input[k])
        second = multiply_int64_by_quantized_multiplier(from_hidden, *p.recurrent[k])
    else:
        first = multiply_by_quantized_multiplier(wrap32(from_input), *p.input[k])
        second = multiply_by_quantized_multiplier(wrap32(from_hidden), *p.recurrent[k])
    return _int16(_int16(first) + _int16(second))


def _gate_float(given: Sequence[Array], k: int, x: Array, h: Array) -> Array:
    """Gate `k` before its activation, float32."""
    from_input = matmul(x, given[INPUT_WEIGHTS + k].T) + given[BIASES + k]
    result: Array = from_input + matmul(h, given[RECURRENT_WEIGHTS + k].T)
    return result


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        result: Array = 1 / (1 + np.exp(-x))
    return result
