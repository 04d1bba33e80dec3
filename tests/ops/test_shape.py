"""SHAPE and ZEROS_LIKE, which are constants, and what exporters build from them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.compare import assert_same, random_values
from tests.support.tflite_writer import ModelBuilder
from tests.support.tflm import ORACLE
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.ops.interpreter import Interpreter
from tinyops.ops.pack import PackAttrs
from tinyops.ops.strided_slice import StridedSliceAttrs
from tinyops.passes import run_passes


def dynamic_batch() -> ModelBuilder:
    """As Keras exports Flatten of a batch whose size it does not know: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    builder = ModelBuilder()
    g = builder.graph()
    x, y = (g.tensor(shape, scale=0.5) for shape in ((2, 3, 4), (2, 12)))
    extents, batch, target = (g.tensor(shape, DType.INT32) for shape in ((3,), (), (2,)))
    g.op("SHAPE", [x], [extents])
    bounds = [g.constant(v) for v in ([0], [1], [1])]
    g.op("STRIDED_SLICE", [extents, *bounds], [batch], StridedSliceAttrs(shrink_axis_mask=1))
    g.op("PACK", [batch, g.constant(12)], [target], PackAttrs(2))
    g.op("RESHAPE", [x, target], [y])
    g.inputs, g.outputs = (x,), (y,)
    return builder


def test_a_shape_of_a_shape_leaves_one_operator() -> None:
    _, data = dynamic_batch().build()
    model = run_passes(load_tflite(data))
    assert [op.kind for op in model.main.ops] == ["RESHAPE"]
    values = random_values(1, (2, 3, 4))
    expected = ORACLE.run(data, [[values]])[0].outputs[0]
    np.testing.assert_array_equal(Interpreter(model).run(values)[0], expected)


@pytest.mark.parametrize("kind", ["SHAPE", "ZEROS_LIKE"])
@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)])
def test_equals_tflite_micro(kind: str, shape: tuple[int, ...]) -> None:
    builder = ModelBuilder()
    g = builder.graph()
    x = g.tensor(shape, scale=0.5, zero_point=-9)
    y = g.tensor((len(shape),), DType.INT32) if kind == "SHAPE" else g.tensor(shape, scale=0.5, zero_point=-9)
    g.op(kind, [x], [y])
    g.inputs, g.outputs = (x,), (y,)
    assert_same(builder, 1)
