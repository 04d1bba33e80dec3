"""Files of real exporters (tests/load/onnx/make.py) compute what ONNX Runtime computes, without needless transposes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.onnx_writer import assert_close, onnx_outputs, our_outputs, random_inputs
from tinyops.graph import Model
from tinyops.load import load_model
from tinyops.passes import input_permutation, run_passes

ALL_FILES = sorted((Path(__file__).parent / "onnx").glob("*.onnx"))
#: Those of QDQ models: tests/passes/test_resolve_quantization.py.
FILES = [path for path in ALL_FILES if not path.stem.startswith("qdq_")]
INPUTS = 3
#: Transposes that are computed: of the heads of attention, and of a channel shuffle. All others have none.
TRANSPOSES = {"attention": 4, "encoder": 4, "shuffle": 1}


def _passed(path: Path) -> Model:
    return run_passes(load_model(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_equals_onnx_runtime(path: Path) -> None:
    data = path.read_bytes()
    model = load_model(path)
    passed = run_passes(model)
    for seed in range(INPUTS):
        inputs = random_inputs(data, seed)
        expected = onnx_outputs(data, inputs)
        assert_close(our_outputs(model, list(inputs.values())), expected)
        assert_close(our_outputs(passed, list(inputs.values())), expected)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_transpose_where_none_is_needed(path: Path) -> None:
    kinds = [op.kind for op in _passed(path).main.ops]
    assert kinds.count("TRANSPOSE") == TRANSPOSES.get(path.stem.split("_")[-1], 0)


def test_there_are_files_of_all_exporters() -> None:
    families = {path.stem.rsplit("_", 1)[0] for path in FILES}
    assert families == {"torch_legacy", "torch_dynamo", "keras", "tf2onnx", "sklearn"}
    assert len(FILES) >= 12


def _kinds(name: str) -> list[str]:
    path = next(path for path in FILES if path.stem == name)
    return [op.kind for op in _passed(path).main.ops]


def test_residual_network_is_what_a_tflite_file_of_it_would_be() -> None:
    """Batch normalization and activations are in the convolutions; pads that TFLite lacks are PADs."""
    block = ["CONV_2D", "CONV_2D", "ADD"]
    assert _kinds("torch_legacy_resnet") == [
        *("PAD", "CONV_2D", "PAD", "MAX_POOL_2D"),
        *(block * 2),
        *("MEAN", "RESHAPE", "FULLY_CONNECTED"),
    ]


def test_depthwise_network_is_what_a_tflite_file_of_it_would_be() -> None:
    assert _kinds("tf2onnx_separable") == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D", "ADD", "MAX_POOL_2D", "MEAN", "RESHAPE"),
        *("FULLY_CONNECTED", "SOFTMAX"),
    ]


def test_hard_swish_and_gelu_are_recognized() -> None:
    assert "HARD_SWISH" in _kinds("torch_dynamo_mobilenet")
    assert "GELU" in _kinds("torch_legacy_attention")
    assert "GELU" in _kinds("torch_dynamo_attention")


def test_input_of_an_image_network_is_channels_last() -> None:
    model = _passed(next(path for path in FILES if path.stem == "torch_legacy_resnet"))
    assert model.main.tensors[model.main.inputs[0]].shape == (1, 32, 32, 3)
    assert input_permutation(model, 0) == (0, 2, 3, 1)
    given = np.zeros((1, 3, 32, 32), np.float32)
    assert given.transpose(input_permutation(model, 0)).shape == (1, 32, 32, 3)


def test_files_name_nothing_of_the_computer_that_made_them() -> None:
    for path in ALL_FILES:
        assert path.stat().st_size < 50_000, path.name
        proto = onnx.load(path)
        for item in (proto.graph, *proto.graph.node):
            assert not item.doc_string, path.name
            assert not item.metadata_props, path.name
