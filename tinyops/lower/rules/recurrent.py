"""Operators with a state of their own: SVDF, UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.requantization import fold_bias
from tinyops.ops import svdf as svdf_op
from tinyops.ops import unidirectional_sequence_lstm as lstm_op
from tinyops.ops.base import Array
from tinyops.ops.fixed_point import reduced_multiplier
from tinyops.ops.sigmoid_int16 import TANH_TABLE


@rule("SVDF")
def svdf(op: Lowering) -> list[Call]:
    values, feature, time, bias, state = (op.view.input(i) for i in range(5))
    if feature.data is None or time.data is None or bias.data is None:
        raise ValueError(f"{op.view.name}: weights are not constant")
    feature_scale, time_scale = svdf_op.multipliers(op.view)
    rank = op.view.attrs.rank
    common: dict[str, Value] = {
        "batches": values.shape[0],
        "memory": time.shape[1],
        "state_is_int16": int(state.dtype is DType.INT16),
        "state_zero_point": state.zero_point,
    }
    update = common | {
        "features": values.shape[1],
        "filters": feature.shape[0],
        "multiplier": feature_scale[0],
        "shift": feature_scale[1],
        "input_zero_point": values.zero_point,
    }
    filtering = common | {
        "units": feature.shape[0] // rank,
        "rank": rank,
        "multiplier": time_scale[0],
        "shift": time_scale[1],
        "output_zero_point": op.view.output().zero_point,
    }
    start = op.constant("start", Role.BIAS, fold_bias(op.view, feature.data, None, values.zero_point))
    feature_weights = op.constant("feature", Role.WEIGHTS, feature.data)
    time_weights = op.constant("time", Role.WEIGHTS, time.data)
    bias_ref = op.constant("bias", Role.BIAS, bias.data)
    return [
        Call("to_svdf_state_any_s8_c", update, (op.input(0), feature_weights, start, op.input(4), op.output(1))),
        Call("to_svdf_time_any_s8_c", filtering, (op.output(1), time_weights, bias_ref, op.output())),
    ]


def _fold(op: Lowering, weights: int, bias: int | None, zero_point: int) -> list[Array]:
    """Per gate the folded biases of the weights at input `weights` + gate; int32[units]."""
    found = []
    for k in range(lstm_op.GATES):
        data = op.view.input(weights + k).data
        assert data is not None
        start = None if bias is None else op.view.input(bias + k).data
        found.append(fold_bias(op.view, data, start, zero_point))
    return found


def _gate_biases(op: Lowering) -> Array:
    """int32[units, gates, 2] of the products with the input and the hidden state; of int16 activations int64."""
    values, hidden = op.view.input(lstm_op.VALUES), op.view.input(lstm_op.HIDDEN)
    if values.dtype is DType.INT16:  # zero points are 0
        given = (op.view.input(lstm_op.BIASES + k).data for k in range(lstm_op.GATES))
        from_input = [start for start in given if start is not None]
        from_hidden = [np.zeros_like(start) for start in from_input]
    else:
        from_input = _fold(op, lstm_op.INPUT_WEIGHTS, lstm_op.BIASES, values.zero_point)
        from_hidden = _fold(op, lstm_op.RECURRENT_WEIGHTS, None, hidden.zero_point)
    return np.stack([np.stack(pair, 1) for pair in zip(from_input, from_hidden, strict=True)], 1)


def _gate_multipliers(scales: Sequence[lstm_op.Scale], wide: bool) -> tuple[int, ...]:
    return tuple(int(reduced_multiplier(m)) if wide else m for m, _ in scales)


def sequence_geometry(op: Lowering) -> dict[str, Value]:
    """Extents, and strides of batches and steps."""
    s = lstm_op.sizes(op.view)
    batch, step = (1, s.batches) if op.view.attrs.time_major else (s.steps, 1)
    return {
        "batches": s.batches,
        "steps": s.steps,
        "features": s.features,
        "units": s.units,
        "in_batch": batch * s.features,
        "in_step": step * s.features,
        "out_batch": batch * s.units,
        "out_step": step * s.units,
    }


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(op: Lowering) -> list[Call]:
    view, p = op.view, lstm_op.parameters(op.view)
    values, hidden = view.input(lstm_op.VALUES), view.input(lstm_op.HIDDEN)
    matrices = [
        np.concatenate([view.input(first + k).data for first in (lstm_op.INPUT_WEIGHTS, lstm_op.RECURRENT_WEIGHTS)], 1)
        for k in range(lstm_op.GATES)
    ]
    wide = values.dtype is DType.INT16
    params: dict[str, Value] = {
        **sequence_geometry(op),
        "input_multiplier": _gate_multipliers(p.input, wide),
        "input_shift": tuple(shift for _, shift in p.input),
        "recurrent_multiplier": _gate_multipliers(p.recurrent, wide),
        "recurrent_shift": tuple(shift for _, shift in p.recurrent),
        "forget_cell_multiplier": p.forget_cell[0],
        "forget_cell_shift": p.forget_cell[1],
        "input_cell_multiplier": p.input_cell[0],
        "input_cell_shift": p.input_cell[1],
        "hidden_multiplier": p.hidden[0],
        "hidden_shift": p.hidden[1],
        "hidden_zero_point": hidden.zero_point,
        "tanh_factor": p.tanh_factor,
        "tanh_shift": p.tanh_shift,
        "cell_clip": p.clip,
    }
    constants = (
        op.constant("weights", Role.WEIGHTS, np.stack(matrices, 1)),
        op.constant("bias", Role.BIAS, _gate_biases(op)),
        op.constant("tanh", Role.TABLE, TANH_TABLE),
    )
    states = (op.input(lstm_op.HIDDEN), op.input(lstm_op.CELL), op.output(1), op.output(2))
    kernel = "to_lstm_any_s16_c" if wide else "to_lstm_any_s8_c"
    return [Call(kernel, params, (op.input(), *constants, *states, op.output()), outputs=3)]
