"""FAKE_QUANT against results of LiteRT 2.3.0 (TFLite Micro does not have it), and models from training."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_writer import ModelBuilder
from tinyops.errors import ModelError
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.ops.base import Padding
from tinyops.ops.conv_2d import Conv2DAttrs
from tinyops.ops.fake_quant import FakeQuantAttrs, nudged
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.save import write_tflite

FLOAT = DType.FLOAT32
VALUES = (0, 1e-3, 0.3, -0.3, 1.23456, -2.5, 2.7, 5.5, -7.3, 100, -100, np.nan)
#: (min, max, bits) -> what LiteRT makes of VALUES.
EXPECTED = {
    (-1, 1, 8): "0 0 0.2980392 -0.29803926 1.0039215 -0.9960785 1.0039215 1.0039215 -0.9960785 1.0039215 -0.9960785 "
    "-0.9960785",
    (0, 6, 8): "0 0 0.30588236 0 1.2235295 0 2.7058823 5.5058823 0 6 0 0",
    (-0.3, 2.7, 8): "0 0 0.30588236 -0.30588236 1.2352942 -0.30588236 2.6941175 2.6941175 -0.30588236 2.6941175 "
    "-0.30588236 -0.30588236",
    (-5, 0, 8): "0 0 0 -0.29411745 0 -2.490196 0 0 -5 0 -5 -5",
    (-7.3, 3.1, 16): "0 0.0009522438 0.29993153 -0.29993105 1.2346377 -2.5000625 2.7000165 3.0999255 -7.300074 "
    "3.0999255 -7.300074 -7.300074",
    (-1, 1.5, 3): "0 0 0.35714293 -0.3571428 1.0714285 -1.0714285 1.4285715 1.4285715 -1.0714285 1.4285715 -1.0714285 "
    "-1.0714285",
}


def build(attrs: FakeQuantAttrs, n: int = len(VALUES)) -> ModelBuilder:
    builder = ModelBuilder()
    g = builder.graph()
    x, y = g.tensor((n,), FLOAT), g.tensor((n,), FLOAT)
    g.op("FAKE_QUANT", [x], [y], attrs)
    g.inputs, g.outputs = (x,), (y,)
    return builder


@pytest.mark.parametrize("given", EXPECTED)
def test_equals_litert(given: tuple[float, float, int]) -> None:
    model = load_tflite(build(FakeQuantAttrs(*given)).build()[1])
    (found,) = Interpreter(model).run(np.array(VALUES, np.float32))
    np.testing.assert_array_equal(found, np.array(EXPECTED[given].split(), np.float32))


def test_narrow_range_has_one_step_less() -> None:
    wide, narrow = (nudged(FakeQuantAttrs(-1.27, 1.27, 8, flag)) for flag in (False, True))
    assert (float(narrow.low), float(narrow.high)) == pytest.approx((-1.27, 1.27))
    assert float(narrow.scale) == pytest.approx(0.01)
    assert float(wide.scale) == pytest.approx(2.54 / 255)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        (FakeQuantAttrs(-1, 1, 1), "num_bits is 1"),
        (FakeQuantAttrs(-1, 1, 17), "num_bits is 17"),
        (FakeQuantAttrs(1, 2), "the range is 1 to 2"),
        (FakeQuantAttrs(0, 0), "the range is 0 to 0"),
        (FakeQuantAttrs(float("nan"), 1), "the range is nan"),
        (FakeQuantAttrs(-3e38, 3e38), "the range is -3e"),
        (FakeQuantAttrs(0, 1e-40), "the range is 0 to 9.99995e-41"),
    ],
)
def test_refused(attrs: FakeQuantAttrs, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_tflite(build(attrs).build()[1])


def test_model_from_training() -> None:
    """Weights become what FAKE_QUANT makes of them; that of the activations stays, for the quantizer."""
    builder = ModelBuilder()
    g = builder.graph()
    rng = np.random.default_rng(1)
    stored = rng.normal(0, 0.4, (2, 1, 1, 3)).astype(np.float32)
    x, weights = g.tensor((1, 4, 4, 3), FLOAT), g.tensor(stored.shape, FLOAT, data=stored)
    rounded, y, z = g.tensor(stored.shape, FLOAT), g.tensor((1, 4, 4, 2), FLOAT), g.tensor((1, 4, 4, 2), FLOAT)
    g.op("FAKE_QUANT", [weights], [rounded], FakeQuantAttrs(-1.27, 1.27, 8, True))
    g.op("CONV_2D", [x, rounded, None], [y], Conv2DAttrs(Padding.SAME, 1, 1))
    g.op("FAKE_QUANT", [y], [z], FakeQuantAttrs(-2.0, 3.0))
    g.inputs, g.outputs = (x,), (z,)
    model = load_tflite(builder.build()[1])
    convolution, activation = model.main.views()
    found = convolution.input(1).data
    assert found is not None
    np.testing.assert_allclose(found, np.round(stored * 100) / 100, atol=1e-6)
    assert activation.attrs == FakeQuantAttrs(-2.0, 3.0)
    again = load_tflite(write_tflite(model))
    assert [op.attrs for op in again.main.ops] == [op.attrs for op in model.main.ops]
    with pytest.raises(ModelError, match="tinyops quantize"):
        lower(run_passes(model), name="training")


def test_training_with_pairs_of_quantize_and_dequantize() -> None:
    """What LiteRT's converter writes for fake quantization around float operators."""
    builder = ModelBuilder()
    g = builder.graph()
    x, q, y = g.tensor((3,), FLOAT), g.tensor((3,), scale=0.25, zero_point=-3), g.tensor((3,), FLOAT)
    g.op("QUANTIZE", [x], [q])
    g.op("DEQUANTIZE", [q], [y])
    g.inputs, g.outputs = (x,), (y,)
    model = load_tflite(builder.build()[1])
    (found,) = Interpreter(model).run(np.array([0.3, -40, 1e9], np.float32))
    assert found.tolist() == [0.25, -31.25, 32.5]
