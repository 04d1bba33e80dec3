"""Whatever an ONNX file holds, it is imported or refused with a clear error: no traceback, no endless work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.mutants import corrupted, truncated
from tests.support.onnx_mutants import structural
from tests.support.onnx_writer import OnnxBuilder
from tinyops.errors import MissingToolError, ModelError, TinyopsError, UsageError
from tinyops.load import load_model, load_onnx
from tinyops.load.onnx import limits
from tinyops.passes import run_passes

FOLDER = Path(__file__).parent / "onnx"
#: Files of each exporter and of recurrent, convolutional and quantized models.
SEEDS = ("torch_legacy_cnn", "torch_dynamo_attention", "torch_legacy_lstm", "tf2onnx_separable", "qdq_mobilenet")
MUTATIONS, CORRUPTIONS = 60, 20


def _outcome(data: bytes) -> str:
    """Loads and runs the passes; any exception but TinyopsError goes through."""
    try:
        run_passes(load_onnx(data))
    except TinyopsError:
        return "refused"
    return "loaded"


@pytest.mark.parametrize("seed", SEEDS)
def test_fuzzed_files_give_no_traceback(seed: str) -> None:
    source = (FOLDER / f"{seed}.onnx").read_bytes()
    assert _outcome(source) == "loaded"
    outcomes = {label: _outcome(data) for label, data in structural(source, MUTATIONS)}
    outcomes |= {label: _outcome(data) for label, data in corrupted(source, CORRUPTIONS).items()}
    assert list(outcomes.values()).count("refused") > MUTATIONS // 4
    for label, data in truncated(source, 4).items():
        assert _outcome(data) == "refused", label


Make = Callable[[OnnxBuilder], Any]
REFUSED: dict[str, tuple[str, Make]] = {
    "unknown operator": ("Det is not supported", lambda b: b.node("Det", b.input((2, 2)))),
    "unknown domain": ("com.microsoft::Gelu is not", lambda b: b.node("Gelu", b.input((2,)), domain="com.microsoft")),
    "dynamic dimension": ("dimension 2 is dynamic", lambda b: b.node("Relu", b.input(("n", 3, "height", 4)))),
    "huge input": ("takes", lambda b: b.node("Relu", b.input((1, 2**20, 2**20)))),
    "many dimensions": ("dimensions", lambda b: b.node("Relu", b.input((1,) * 20))),
    "string input": ("string", lambda b: b.node("Identity", b.input((1,), TensorProto.STRING))),
    "double precision complex": ("complex128", lambda b: b.node("Identity", b.input((1,), TensorProto.COMPLEX128))),
    "huge fill": ("takes", lambda b: b.node("ConstantOfShape", b.constant([2**20, 2**20]))),
    "negative fill": ("negative", lambda b: b.node("ConstantOfShape", b.constant([-4]))),
    "huge range": ("takes", lambda b: b.node("Range", b.constant(0), b.constant(2**40), b.constant(1))),
    "endless range": ("delta is 0", lambda b: b.node("Range", b.constant(0), b.constant(5), b.constant(0))),
    "range of NaN": ("no number", lambda b: b.node("Range", *[b.constant(np.nan, np.float32) for _ in range(3)])),
    "huge expansion": ("takes", lambda b: b.node("Expand", b.constant([1.0]), b.constant([2**20, 2**20]))),
    "huge tiles": ("takes", lambda b: b.node("Tile", b.constant([1.0]), b.constant([2**40]))),
    "huge broadcast": ("takes", lambda b: b.node("Add", b.constant(np.ones((2**15, 1))), b.constant(np.ones(2**15)))),
    "huge product": (
        "takes",
        lambda b: b.node("MatMul", b.constant(np.ones((2**15, 1))), b.constant(np.ones((1, 2**15)))),
    ),
    "huge pads": ("takes", lambda b: b.node("Pad", b.input((20, 4)), b.constant([0, 0, 2**20, 2**20]))),
    "pads beyond bounds": ("pads", lambda b: b.node("Pad", b.input((1, 4)), b.constant([0, 0, 0, 2**40]))),
    "huge resize": (
        "rows and columns",
        lambda b: b.node("Resize", b.input((1, 1, 4, 4)), "", "", b.constant([1, 1, 2**40, 4])),
    ),
    "reshape to other size": ("elements", lambda b: b.node("Reshape", b.input((2, 3)), b.constant([4, 2]))),
    "reshape with two unknowns": ("-1 once", lambda b: b.node("Reshape", b.input((2, 3)), b.constant([-1, -1]))),
    "reshape at run time": (
        "computed at run time",
        lambda b: b.node("Reshape", b.input((2, 3)), b.input((2,), TensorProto.INT64)),
    ),
    "missing value": ("reads nothing", lambda b: b.node("Relu", "nothing")),
    "missing attribute": ("axis is missing", lambda b: b.node("Concat", b.input((1,)), b.input((1,)))),
    "attribute of another type": ("no integer", lambda b: b.node("Concat", b.input((1,)), axis="0")),
    "axis out of range": ("axis 5", lambda b: b.node("Concat", b.input((1,)), b.input((1,)), axis=5)),
    "shapes that do not broadcast": ("broadcast", lambda b: b.node("Add", b.input((2, 3)), b.input((4,)))),
    "negative strides": (
        "strides",
        lambda b: b.node("MaxPool", b.input((1, 1, 4, 4)), kernel_shape=[2, 2], strides=[-1, 0]),
    ),
    "negative pads": (
        "pads",
        lambda b: b.node("MaxPool", b.input((1, 1, 4, 4)), kernel_shape=[2, 2], pads=[-1, 0, 0, 0]),
    ),
    "window too large": (
        "larger than the image",
        lambda b: b.node("MaxPool", b.input((1, 1, 4, 4)), kernel_shape=[9, 9]),
    ),
    "three spatial dimensions": (
        "3 or 4 dimensions",
        lambda b: b.node("Conv", b.input((1, 1, 4, 4, 4)), b.constant(np.ones((1, 1, 2, 2, 2), np.float32))),
    ),
    "channels and weights": (
        "channels in 1 groups",
        lambda b: b.node("Conv", b.input((1, 3, 4, 4)), b.constant(np.ones((2, 4, 1, 1), np.float32))),
    ),
    "weights at run time": (
        "computed at run time",
        lambda b: b.node("Conv", b.input((1, 1, 4, 4)), b.input((1, 1, 2, 2))),
    ),
    "NaN weights": ("NaN", lambda b: b.node("Add", b.input((2,)), b.constant([1, np.nan], np.float32))),
    "division by 0": ("division by 0", lambda b: b.node("Div", b.input((2,)), b.constant([1, 0], np.float32))),
    "training": ("training_mode", lambda b: b.node("Dropout", b.input((2,)), "", b.constant(True))),
    "lone erf": ("erf is no part of a GELU", lambda b: b.node("Erf", b.input((2,)))),
    "many steps": (
        "steps",
        lambda b: b.node(
            "LSTM",
            b.input((100_000, 1, 2)),
            b.constant(np.ones((1, 12, 2), np.float32)),
            b.constant(np.ones((1, 12, 3), np.float32)),
            hidden_size=3,
        ),
    ),
    "dequantization of floats": (
        "does not come from QuantizeLinear",
        lambda b: b.node("DequantizeLinear", b.input((2,)), b.constant(0.5, np.float32)),
    ),
    "scale of 0": (
        "positive finite",
        lambda b: b.node("QuantizeLinear", b.input((2,)), b.constant(0.0, np.float32), b.constant(0, np.int8)),
    ),
    "class labels by ZipMap": ("ZipMap", lambda b: b.node("ZipMap", b.input((1, 2)), domain="ai.onnx.ml")),
}


@pytest.mark.parametrize("label", REFUSED)
def test_refused_with_name_and_place(label: str) -> None:
    what, make = REFUSED[label]
    builder = OnnxBuilder()
    output = make(builder)
    with pytest.raises(ModelError) as error:
        load_onnx(builder.build(output))
    assert what in str(error.value)
    assert error.value.where is not None


def _relu(opset: int = 17) -> Any:
    builder = OnnxBuilder(opset)
    return builder.proto(builder.node("Relu", builder.input((1, 2))))


def _refused(proto: Any, what: str, folder: Path | None = None) -> None:
    with pytest.raises(ModelError, match=what):
        load_onnx(proto.SerializeToString(), folder=folder)


@pytest.mark.parametrize("opset", [1, 10, 23, 2**40])
def test_opsets_are_bounded(opset: int) -> None:
    _refused(_relu(opset), f"opset {opset}")


def test_structure_is_checked() -> None:
    proto = _relu()
    del proto.opset_import[:]
    _refused(proto, "no opset")
    proto = _relu()
    proto.ClearField("graph")
    _refused(proto, "no graph")
    proto = _relu()
    del proto.graph.output[:]
    _refused(proto, "no outputs")
    proto = _relu()
    proto.graph.output[0].name = "other"
    _refused(proto, "no node computes")
    proto = _relu()
    proto.graph.node.append(proto.graph.node[0])
    _refused(proto, "has a value already")
    proto = _relu()
    proto.graph.sparse_initializer.add()
    _refused(proto, "sparse")
    proto = _relu()
    proto.graph.node[0].attribute.append(helper.make_attribute("body", proto.graph))
    _refused(proto, "holds a graph")
    proto = _relu()
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "Mine", "local"
    proto.functions.add(name="Mine", domain="local")
    _refused(proto, "function of the model")


def test_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = _relu()
    monkeypatch.setattr(limits, "MAX_NODES", 0)
    _refused(proto, "1 nodes")
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 10)
    _refused(proto, "bytes")


def test_constants_together_are_bounded() -> None:
    builder = OnnxBuilder()
    value = builder.node("ConstantOfShape", builder.constant([2**23 - 1]))
    for _ in range(8):
        value = builder.node("Neg", value)
    with pytest.raises(ModelError, match="bytes of constants"):
        load_onnx(builder.build(value))


def test_deeply_nested_message() -> None:
    """Protobuf's own bound on nesting holds."""
    data = b""
    for _ in range(5000):
        size, varint = len(data), b""
        while size >= 128:
            varint, size = varint + bytes([size & 127 | 128]), size >> 7
        data = b"\x3a" + varint + bytes([size]) + data  # field 7 in a message of field 7 ...
    with pytest.raises(ModelError):
        load_onnx(data)


class TestExternalData:
    """Weights in another file: read from the model's folder alone."""

    @staticmethod
    def _save(folder: Path, location: str, length: int = 8) -> Path:
        builder = OnnxBuilder()
        proto = builder.proto(builder.node("Add", builder.input((2,)), builder.constant([1, 2], np.float32)))
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        path = folder / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    def test_beside_the_model(self, tmp_path: Path) -> None:
        (tmp_path / "weights.bin").write_bytes(np.array([3, 4], np.float32).tobytes())
        model = load_model(self._save(tmp_path, "weights.bin"))
        values = [t.data.tolist() for t in model.main.tensors if t.data is not None]
        assert values == [[3, 4]]

    @pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "sub/../../weights.bin", "link.bin", ""])
    def test_never_outside_of_the_folder(self, tmp_path: Path, location: str) -> None:
        inner = tmp_path / "inner"
        (inner / "sub").mkdir(parents=True)
        (tmp_path / "weights.bin").write_bytes(bytes(8))
        (inner / "link.bin").symlink_to(tmp_path / "weights.bin")
        with pytest.raises(ModelError, match=r"outside of the model's folder|in another file"):
            load_model(self._save(inner, location))

    @pytest.mark.parametrize(("content", "length"), [(None, 8), (b"1234", 8), (bytes(8), 9), (bytes(8), 2**60)])
    def test_missing_short_or_of_another_size(self, tmp_path: Path, content: bytes | None, length: int) -> None:
        if content is not None:
            (tmp_path / "weights.bin").write_bytes(content)
        with pytest.raises(ModelError, match=r"missing|too early|bytes of data"):
            load_model(self._save(tmp_path, "weights.bin", length))

    def test_links_in_a_circle_and_long_names(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        for location in ("a", "a" * 100_000):
            with pytest.raises(ModelError, match=r"cannot be read|missing") as refused:
                load_model(self._save(tmp_path, location))
            assert len(refused.value.what) < 400

    def test_without_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="in another file"):
            load_onnx(self._save(tmp_path, "weights.bin").read_bytes())


def test_batch_is_one_and_other_dimensions_can_be_given(tmp_path: Path) -> None:
    builder = OnnxBuilder()
    path = tmp_path / "model.onnx"
    path.write_bytes(builder.build(builder.node("Relu", builder.input(("batch", 3, "height", "width")))))
    with pytest.raises(ModelError, match=r"dimension 2 is dynamic \(height\)") as error:
        load_model(path)
    assert "--shape" in str(error.value.hint)
    model = load_model(path, shapes={"input0": (1, 3, 8, 6)})
    assert model.main.tensors[model.main.inputs[0]].shape == (1, 3, 8, 6)
    for shapes in ({"other": (1,)}, {"input0": (1, 4, 8, 6)}, {"input0": (1, 3, 8)}, {"input0": (1, 3, 0, 6)}):
        with pytest.raises(UsageError):
            load_model(path, shapes=shapes)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingToolError, match="onnx is not installed") as error:
        load_onnx(b"\x08\x09")
    assert error.value.hint == 'pip install "tinyops[onnx]"'


def test_other_files_named_onnx(tmp_path: Path) -> None:
    for content in (b"<!DOCTYPE html>", b"\xff" * 100, b"version https://git-lfs", bytes(1000)):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX model"):
            load_model(path)
