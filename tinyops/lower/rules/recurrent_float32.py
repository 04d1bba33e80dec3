"""float32 operators with a state of their own: SVDF, UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.rules.recurrent import sequence_geometry
from tinyops.ops import svdf as svdf_op
from tinyops.ops import unidirectional_sequence_lstm as lstm_op
from tinyops.ops.base import Array
from tinyops.ops.float32 import bounds


def _constant(op: Lowering, i: int) -> Array:
    data = op.view.input(i).data
    if data is None:
        raise ValueError(f"{op.view.name}: input {i} is not constant")
    return data


@rule("SVDF", DType.FLOAT32)
def svdf(op: Lowering) -> list[Call]:
    feature, time, bias = (_constant(op, i) for i in (svdf_op.FEATURE, svdf_op.TIME, svdf_op.BIAS))
    low, high = bounds(op.view.attrs.fused_activation_function)
    params: dict[str, Value] = {
        "batches": op.view.input(svdf_op.VALUES).shape[0],
        "features": feature.shape[1],
        "units": len(bias),
        "rank": op.view.attrs.rank,
        "memory": time.shape[1],
        "activation_min": low,
        "activation_max": high,
    }
    constants = (
        op.constant("feature", Role.WEIGHTS, feature),
        op.constant("time", Role.WEIGHTS, time),
        op.constant("bias", Role.BIAS, bias),
    )
    places = (op.input(svdf_op.STATE), op.output(1), op.output())
    return [Call("to_svdf_any_f32_c", params, (op.input(), *constants, *places), outputs=2)]


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM", DType.FLOAT32)
def lstm(op: Lowering) -> list[Call]:
    """Per unit and gate the weights of the input, then those of the hidden state."""
    gates = range(lstm_op.GATES)
    matrices = [
        np.concatenate([_constant(op, lstm_op.INPUT_WEIGHTS + k), _constant(op, lstm_op.RECURRENT_WEIGHTS + k)], 1)
        for k in gates
    ]
    bias = np.stack([_constant(op, lstm_op.BIASES + k) for k in gates], 1)
    params = sequence_geometry(op) | {"cell_clip": float(np.float32(op.view.attrs.cell_clip))}
    constants = (
        op.constant("weights", Role.WEIGHTS, np.stack(matrices, 1)),
        op.constant("bias", Role.BIAS, bias),
    )
    states = (op.input(lstm_op.HIDDEN), op.input(lstm_op.CELL), op.output(1), op.output(2))
    return [Call("to_lstm_any_f32_c", params, (op.input(), *constants, *states, op.output()), outputs=3)]
