"""Whole float32 networks that were quantized here: files as `tinyops quantize` writes them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cases.case import Case
from tests.quantize.networks import NETWORKS, gru_step, lstm
from tinyops.quantize import LayerSettings, QuantizationSettings, quantize
from tinyops.save import write_tflite

_INT8 = QuantizationSettings(adaround_iterations=10)
_INT16 = _INT8.model_copy(update={"activations": "int16", "io": "int16"})
_MIXED = _INT8.model_copy(
    update={
        "layers": {
            "conv_2d_[02]": LayerSettings(weights="int4"),
            "depthwise_conv_2d_1": LayerSettings(activations="int16"),
        }
    }
)


def _file(name: str, settings: QuantizationSettings) -> bytes:
    net = NETWORKS[name]()
    return write_tflite(quantize(net.model(), net.samples(10), settings).model)


def cases() -> Iterator[Case]:
    for name in NETWORKS:
        yield Case(f"quantized_{name}", _file(name, _INT8))
    yield Case("quantized_cnn_int16", _file("cnn", _INT16))
    yield Case("quantized_cnn_mixed", _file("cnn", _MIXED))
    for name, net in (("gru_step", gru_step()), ("lstm", lstm())):
        yield Case(f"quantized_{name}", write_tflite(quantize(net.model(), net.samples(30), _INT8).model))
