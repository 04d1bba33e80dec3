"""Make the .onnx files of this folder with the exporters that people use; run by hand, once.

    python tests/load/onnx/make.py torch     # needs torch, onnx, onnxscript
    python tests/load/onnx/make.py keras     # needs keras with the backend torch
    python tests/load/onnx/make.py tensorflow  # needs tensorflow, tf2onnx
    python tests/load/onnx/make.py sklearn   # needs scikit-learn, skl2onnx
    python tests/load/onnx/make.py qdq       # needs onnx, onnxruntime

The weights are random (seed 0), the models small: what is tested is what the exporters write.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent


def torch_models() -> None:
    import onnx
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )

        def forward(self, x: Any) -> Any:
            return torch.relu(x + self.body(x))

    def cnn() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12 * 5 * 5, 10),
            nn.LogSoftmax(dim=1),
        )

    def resnet() -> Any:
        return nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            Residual(8),
            Residual(8),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )

    class SqueezeExcite(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.pool, self.down, self.up = (
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(channels, 4, 1),
                nn.Conv2d(4, channels, 1),
            )

        def forward(self, x: Any) -> Any:
            return x * nn.functional.hardsigmoid(self.up(torch.relu(self.down(self.pool(x)))))

    def mobilenet() -> Any:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 16, 1),
            SqueezeExcite(16),
            nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=4),
            nn.LeakyReLU(0.1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 4),
            nn.Softmax(dim=1),
        )

    class Shuffle(nn.Module):
        """A grouped convolution, a channel shuffle and a split that is joined again."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(4, 8, 3, padding=1, groups=2)
            self.prelu = nn.PReLU(8)
            self.branch = nn.Conv2d(4, 4, 3, padding=1, groups=4)

        def forward(self, x: Any) -> Any:
            x = self.prelu(self.first(x))
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
            a, b = x.chunk(2, dim=1)
            return torch.cat([a, torch.sigmoid(self.branch(b))], dim=1)

    def wave() -> Any:
        return nn.Sequential(
            nn.Conv1d(6, 8, 5, stride=2, padding=2),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Conv1d(8, 8, 3, padding=2, dilation=2, groups=8),
            nn.Conv1d(8, 12, 1),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.MaxPool1d(3, stride=2, padding=1),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(12 * 8, 4),
        )

    class Segment(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(2, 6, 3, padding=1)
            self.inner = nn.Conv2d(6, 6, 3, padding=1)
            self.up = nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, output_padding=1)
            self.out = nn.Conv2d(12, 2, 1)

        def forward(self, x: Any) -> Any:
            a = torch.relu(self.down(x))
            b = torch.relu(self.inner(nn.functional.avg_pool2d(a, 2)))
            up = torch.relu(self.up(b)) + nn.functional.interpolate(b, scale_factor=2, mode="nearest")
            up = up + nn.functional.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
            return self.out(torch.cat([a, up], dim=1))

    class Recurrent(nn.Module):
        def __init__(self, kind: Any, **settings: Any) -> None:
            super().__init__()
            self.rnn = kind(6, 5, batch_first=True, **settings)
            self.out = nn.Linear(10 if settings.get("bidirectional") else 5, 3)

        def forward(self, x: Any) -> Any:
            return self.out(self.rnn(x)[0][:, -1])

    class Attention(nn.Module):
        """A pre-norm transformer block, written out as models do that are meant for export."""

        def __init__(self, width: int = 8, heads: int = 2) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

        def forward(self, x: Any) -> Any:
            n, t, c = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5
            x = x + self.merge((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, t, c))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    def encoder() -> Any:
        return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)

    models: dict[str, tuple[Any, tuple[int, ...]]] = {
        "cnn": (cnn(), (1, 1, 24, 24)),
        "resnet": (resnet(), (1, 3, 32, 32)),
        "mobilenet": (mobilenet(), (1, 3, 24, 24)),
        "shuffle": (Shuffle(), (1, 4, 6, 5)),
        "wave": (wave(), (1, 6, 64)),
        "segment": (Segment(), (1, 2, 8, 12)),
        "lstm": (Recurrent(nn.LSTM), (1, 7, 6)),
        "gru": (Recurrent(nn.GRU, bidirectional=True), (1, 6, 6)),
        "attention": (Attention(), (1, 5, 8)),
        "encoder": (encoder(), (1, 5, 8)),
    }
    for name, (model, shape) in models.items():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        model.eval()
        data = torch.randn(shape)
        legacy, dynamo = FOLDER / f"torch_legacy_{name}.onnx", FOLDER / f"torch_dynamo_{name}.onnx"
        batch = {"input": {0: "batch"}}
        try:
            torch.onnx.export(
                model,
                (data,),
                str(legacy),
                dynamo=False,
                opset_version=11 if name in ("cnn", "lstm", "resnet") else 17,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes=batch if name in ("cnn", "resnet", "wave") else None,
            )
        except Exception as error:
            print(f"{legacy.name}: {error}")
        try:
            torch.onnx.export(
                model,
                (data,),
                str(dynamo),
                dynamo=True,
                external_data=False,
                input_names=["input"],
                output_names=["output"],
            )
            proto = onnx.load(dynamo)
            _strip(proto)
            onnx.save(proto, dynamo)
        except Exception as error:
            print(f"{dynamo.name}: {error}")


def _strip(proto: Any) -> None:
    """Without the exporter's notes on where in the source a node comes from."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    proto.doc_string = proto.graph.doc_string = ""
    for item in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del item.metadata_props[:]
        item.doc_string = ""


def _keras_models() -> dict[str, Any]:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)

    def separable() -> Any:
        x = given = keras.Input((16, 16, 3))
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(6.0)(x)
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        y = layers.Conv2D(8, 1, activation="relu")(x)
        x = layers.Add()([layers.Conv2D(8, 1)(x), y])
        x = layers.MaxPooling2D(2)(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(given, layers.Dense(4, activation="softmax")(x))

    def sequence(kind: Any) -> Any:
        x = given = keras.Input((6, 4))
        x = kind(5, return_sequences=True, unroll=True)(x)
        x = layers.Conv1D(6, 3, padding="causal", activation="tanh")(x)
        return keras.Model(given, layers.Dense(3)(layers.Flatten()(x)))

    models = {"separable": separable(), "lstm": sequence(layers.LSTM), "gru": sequence(layers.GRU)}
    for model in models.values():
        model(np.zeros((1, *model.input_shape[1:]), np.float32))
    return models


def keras_models() -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    import onnx

    for name, model in _keras_models().items():
        path = FOLDER / f"keras_{name}.onnx"
        model.export(str(path), format="onnx", verbose=False)
        proto = onnx.load(path)
        _strip(proto)
        onnx.save(proto, path)


def tensorflow_models() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import onnx
    import tensorflow as tf
    import tf2onnx

    for name, model in _keras_models().items():
        shape = (1, *model.input_shape[1:])

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="input")])
        def run(x: Any, model: Any = model) -> Any:
            return model(x, training=False)

        proto, _ = tf2onnx.convert.from_function(run, input_signature=run.input_signature, opset=15)
        _strip(proto)
        onnx.save(proto, FOLDER / f"tf2onnx_{name}.onnx")


def sklearn_models() -> None:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 7)).astype(np.float32)
    classes = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    classifier = MLPClassifier(hidden_layer_sizes=(12, 8), max_iter=30, random_state=0).fit(x, classes)
    regressor = MLPRegressor(hidden_layer_sizes=(10,), activation="tanh", max_iter=30, random_state=0).fit(x, x[:, 2])
    options = {id(classifier): {"zipmap": False}}
    (FOLDER / "sklearn_classifier.onnx").write_bytes(to_onnx(classifier, x[:1], options=options).SerializeToString())
    (FOLDER / "sklearn_regressor.onnx").write_bytes(to_onnx(regressor, x[:1]).SerializeToString())


def quantized_models() -> None:
    """QDQ files by ONNX Runtime's static quantization."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Data(CalibrationDataReader):
        def __init__(self, shape: tuple[int, ...]) -> None:
            rng = np.random.default_rng(0)
            self.samples = iter([{"input": rng.normal(size=shape).astype(np.float32)} for _ in range(16)])

        def get_next(self) -> Any:
            return next(self.samples, None)

    for name, shape, activations, per_channel in (
        ("resnet", (1, 3, 32, 32), QuantType.QUInt8, False),
        ("mobilenet", (1, 3, 24, 24), QuantType.QInt8, True),
        ("segment", (1, 2, 8, 12), QuantType.QInt8, False),
        ("wave", (1, 6, 64), QuantType.QUInt8, True),
        ("attention", (1, 5, 8), QuantType.QInt8, False),
    ):
        quantize_static(
            FOLDER / f"torch_legacy_{name}.onnx",
            FOLDER / f"qdq_{name}.onnx",
            Data(shape),
            quant_format=QuantFormat.QDQ,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            # Of the attention block not the parts of its GELU.
            op_types_to_quantize=["MatMul", "Reshape", "Softmax", "Split", "Transpose"]
            if name == "attention"
            else None,
        )


if __name__ == "__main__":
    makers = {
        "torch": torch_models,
        "keras": keras_models,
        "tensorflow": tensorflow_models,
        "sklearn": sklearn_models,
        "qdq": quantized_models,
    }
    for which in sys.argv[1:] or makers:
        makers[which]()
