"""A GRU as Keras exports it, in parts: fully connected layers, gates and, one step at a time, a variable.

TFLite has no operator for it. The layer is Keras's with reset_after: z and r are the logistic of the sums of products
with the input and the state, the candidate is tanh(xh + r * hh), the next state z * h + (1 - z) * candidate.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.compare import random_values
from tests.support.tflite_writer import GraphBuilder, ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops.add import AddAttrs
from tinyops.ops.fully_connected import FullyConnectedAttrs
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.mul import MulAttrs
from tinyops.ops.pack import PackAttrs
from tinyops.ops.split import SplitAttrs
from tinyops.ops.sub import SubAttrs
from tinyops.ops.unpack import UnpackAttrs
from tinyops.ops.var_handle import VarHandleAttrs
from tinyops.passes import run_passes

_FEATURES, _UNITS = 6, 9
_INPUT_SCALE, _STATE_SCALE, _SUM_SCALE = 0.05, 1 / 128, 0.04


def _products(g: GraphBuilder, x: int, seed: int) -> list[int]:
    """The three parts of x times the kernel of the layer, each [1, units]."""
    depth, scale = g.tensors[x].shape[1], np.full(3 * _UNITS, 0.006)
    weights = g.tensor(
        (3 * _UNITS, depth), scale=scale, data=np.maximum(random_values(seed, (3 * _UNITS, depth)), -127)
    )
    start = np.random.default_rng(seed).integers(-900, 900, 3 * _UNITS)
    bias = g.tensor((3 * _UNITS,), DType.INT32, scale=scale * g.tensors[x].scale, data=start)
    y = g.tensor((1, 3 * _UNITS), scale=_SUM_SCALE, zero_point=-3)
    parts = [g.tensor((1, _UNITS), scale=_SUM_SCALE, zero_point=-3) for _ in range(3)]
    g.op("FULLY_CONNECTED", [x, weights, bias], [y], FullyConnectedAttrs())
    g.op("SPLIT", [g.constant(1), y], parts, SplitAttrs(3))
    return parts


def _next_state(g: GraphBuilder, x: int, h: int) -> int:
    def value(scale: float, zero_point: int) -> int:
        return g.tensor((1, _UNITS), scale=scale, zero_point=zero_point)

    def gate(a: int, b: int) -> int:
        total, y = value(0.06, 5), value(1 / 256, -128)
        g.op("ADD", [a, b], [total], AddAttrs())
        g.op("LOGISTIC", [total], [y])
        return y

    from_x, from_h = _products(g, x, 1), _products(g, h, 2)
    z, r = gate(from_x[0], from_h[0]), gate(from_x[1], from_h[1])
    reset, total, candidate = value(0.03, 7), value(0.05, -2), value(1 / 128, 0)
    g.op("MUL", [r, from_h[2]], [reset], MulAttrs())
    g.op("ADD", [from_x[2], reset], [total], AddAttrs())
    g.op("TANH", [total], [candidate])
    one = g.tensor((), scale=1 / 255, zero_point=-128, data=127)
    rest, kept, added, result = value(1 / 256, -128), value(1 / 128, 0), value(1 / 128, 1), value(_STATE_SCALE, 0)
    g.op("SUB", [one, z], [rest], SubAttrs())
    g.op("MUL", [z, h], [kept], MulAttrs())
    g.op("MUL", [rest, candidate], [added], MulAttrs())
    g.op("ADD", [kept, added], [result], AddAttrs())
    return result


def step() -> ModelBuilder:
    """One step per invocation, the state in a variable."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, _FEATURES), scale=_INPUT_SCALE, zero_point=-11)
    handle, h = g.tensor((), DType.RESOURCE), g.tensor((1, _UNITS), scale=_STATE_SCALE)
    g.op("VAR_HANDLE", [], [handle], VarHandleAttrs("gru", "state"))
    g.op("READ_VARIABLE", [handle], [h])
    y = _next_state(g, x, h)
    g.op("ASSIGN_VARIABLE", [handle, y], [])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def unrolled(steps: int) -> ModelBuilder:
    """All steps in one invocation, from a state of zeros; the outputs of all steps."""
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor((1, steps, _FEATURES), scale=_INPUT_SCALE, zero_point=-11)
    frames = [g.tensor((1, _FEATURES), scale=_INPUT_SCALE, zero_point=-11) for _ in range(steps)]
    y = g.tensor((1, steps, _UNITS), scale=_STATE_SCALE)
    g.op("UNPACK", [x], frames, UnpackAttrs(steps, 1))
    states = [g.tensor((1, _UNITS), scale=_STATE_SCALE, data=np.zeros((1, _UNITS)))]
    for frame in frames:
        states.append(_next_state(g, frame, states[-1]))
    g.op("PACK", states[1:], [y], PackAttrs(steps, 1))
    g.inputs, g.outputs = (x,), (y,)
    return builder


@pytest.mark.parametrize(("builder", "runs"), [(step(), 12), (unrolled(4), 3)], ids=["step", "unrolled"])
def test_equals_tflite_micro(builder: ModelBuilder, runs: int) -> None:
    _, data = builder.build()
    shape = builder.graphs[0].tensors[builder.graphs[0].inputs[0]].shape
    steps = [[random_values(k, shape)] for k in range(runs)]
    interpreter = Interpreter(run_passes(load_tflite(data)))
    seen = []
    for inputs, expected in zip(steps, ORACLE.run(data, steps), strict=True):
        (got,) = interpreter.run(*inputs)
        np.testing.assert_array_equal(got, expected.outputs[0])
        seen.append(got)
    assert np.unique(np.stack(seen)).size > 20  # neither saturated nor the same all the time


def test_the_state_is_carried() -> None:
    """The same input gives something else the second time."""
    interpreter = Interpreter(run_passes(load_tflite(step().build()[1])))
    x = random_values(3, (1, _FEATURES))
    first, second = (interpreter.run(x)[0].copy() for _ in range(2))
    assert (first != second).any()
