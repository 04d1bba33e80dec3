"""Each folder in models/ is whole, agrees with itself, and reproduces in TFLite Micro what it says it does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tflite
from tflite_micro import runtime

MODELS = Path(__file__).parents[2] / "models"
FOLDERS = sorted(path.parent for path in MODELS.glob("*/train.py"))
ARENA_BYTES = 256 * 1024
NPZ_LIMIT_BYTES = 150_000
SUPPORTED = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "ADD",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "RESHAPE",
    "SOFTMAX",
    "LOGISTIC",
    "PAD",
    "CONCATENATION",
    "STRIDED_SLICE",
    "SPLIT_V",
    "QUANTIZE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "CALL_ONCE",
}

Arrays = dict[str, npt.NDArray[Any]]

each_model = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def model_file(folder: Path) -> Path:
    return folder / f"{folder.name}.tflite"


def card(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))


def test_set(folder: Path) -> Arrays:
    with np.load(folder / "test.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


test_set.__test__ = False  # type: ignore[attr-defined]


def interpreter(folder: Path) -> runtime.Interpreter:
    return runtime.Interpreter.from_file(str(model_file(folder)), arena_size=ARENA_BYTES)


def run(folder: Path, inputs: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Outputs of consecutive invocations from a fresh start."""
    machine = interpreter(folder)
    outputs = []
    for sample in inputs:
        machine.set_input(sample[np.newaxis], 0)
        machine.invoke()
        outputs.append(machine.get_output(0)[0].copy())
    return np.stack(outputs)


def decisions(data: Arrays, outputs: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """The class decided for each label: of one output, or of the outputs summed over each utterance of a stream."""
    scores = outputs.astype(np.int64) + 128
    if "starts" in data:
        scores = np.add.reduceat(scores, data["starts"][:-1], axis=0)
    return np.asarray(scores.argmax(1), np.int64)


def operator_versions(folder: Path) -> set[str]:
    model = tflite.Model.GetRootAsModel(model_file(folder).read_bytes(), 0)
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    return {f"{names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]} v{code.Version()}" for code in codes}


def test_there_are_models() -> None:
    assert {"digits", "lenet5", "motions", "speakers"} <= {folder.name for folder in FOLDERS}


@each_model
def test_folder_is_whole(folder: Path) -> None:
    for path in (model_file(folder), folder / "test.npz", folder / "model.toml", folder / "README.md"):
        assert path.stat().st_size > 0, path
    assert (folder / "test.npz").stat().st_size < NPZ_LIMIT_BYTES
    assert f"({folder.name}/" in (MODELS / "README.md").read_text(encoding="utf-8")


@each_model
def test_card_is_whole(folder: Path) -> None:
    facts = card(folder)
    for key in ("title", "task", "decision"):
        assert facts[key].strip()
    for key in ("name", "package", "source", "licence", "citation", "split", "changes"):
        assert facts["data"][key].strip()
    assert facts["training"]["script"] == f"models/{folder.name}/train.py"
    assert len(facts["classes"]) == facts["output"]["shape"][-1]
    assert facts["cost"]["file_bytes"] == model_file(folder).stat().st_size
    assert set(facts["cost"]["operators"]) == operator_versions(folder)
    assert {name.split()[0] for name in facts["cost"]["operators"]} <= SUPPORTED


@each_model
@pytest.mark.parametrize("port", ["input", "output"])
def test_shapes_and_quantization_agree(folder: Path, port: str) -> None:
    machine, stated = interpreter(folder), card(folder)[port]
    details = machine.get_input_details(0) if port == "input" else machine.get_output_details(0)
    assert list(details["shape"]) == stated["shape"]
    assert np.dtype(details["dtype"]) == np.dtype(stated["dtype"]) == np.int8
    assert float(details["quantization_parameters"]["scales"][0]) == pytest.approx(stated["scale"], rel=1e-7)
    assert int(details["quantization_parameters"]["zero_points"][0]) == stated["zero_point"]
    tensors = test_set(folder)["inputs" if port == "input" else "outputs"]
    assert tensors.dtype == np.int8
    assert [1, *tensors.shape[1:]] == stated["shape"]


@each_model
def test_test_set_is_consistent(folder: Path) -> None:
    data, facts = test_set(folder), card(folder)
    assert len(data["inputs"]) == len(data["outputs"])
    assert len(data["labels"]) == facts["accuracy"]["n"]
    assert data["labels"].max() < len(facts["classes"])
    if "starts" in data:
        assert data["starts"][0] == 0
        assert data["starts"][-1] == len(data["inputs"])
        assert (np.diff(data["starts"]) > 0).all()
        assert len(data["starts"]) == len(data["labels"]) + 1
    else:
        assert len(data["labels"]) == len(data["inputs"])


@each_model
def test_reference_reproduces_outputs(folder: Path) -> None:
    data = test_set(folder)
    assert int((run(folder, data["inputs"]) != data["outputs"]).sum()) == 0


@each_model
def test_accuracy_is_what_the_card_says(folder: Path) -> None:
    data, stated = test_set(folder), card(folder)["accuracy"]
    correct = int((decisions(data, data["outputs"]) == data["labels"]).sum())
    assert correct == stated["int8_correct"]
    assert stated["int8"] == round(correct / stated["n"], 4)
    low, high = stated["int8_confidence_95"]
    assert low <= stated["int8"] <= high


@each_model
def test_readme_states_the_accuracy(folder: Path) -> None:
    stated = card(folder)["accuracy"]
    assert f"{stated['int8_correct']} of {stated['n']}" in (folder / "README.md").read_text(encoding="utf-8")


def test_speakers_depends_on_its_state() -> None:
    """A fresh start in the middle of the stream gives other outputs until the state is full again, then the same."""
    folder = MODELS / "speakers"
    data = test_set(folder)
    begin, context = int(data["starts"][5]) + 3, 9
    fresh, carried = run(folder, data["inputs"][begin : begin + 60]), data["outputs"][begin : begin + 60]
    assert (fresh[:context] != carried[:context]).any()
    assert (fresh[context:] == carried[context:]).all()


def test_digits_test_set_is_scikit_learns() -> None:
    """The held-out images are the last ones of scikit-learn's data set, unchanged but for the quantization."""
    datasets = pytest.importorskip("sklearn.datasets")
    digits, data = datasets.load_digits(), test_set(MODELS / "digits")
    stated = card(MODELS / "digits")["input"]
    count = len(data["labels"])
    real = (data["inputs"][..., 0].astype(np.float64) - stated["zero_point"]) * stated["scale"]
    assert (digits.target[-count:] == data["labels"]).all()
    assert np.abs(real - digits.images[-count:] / 16).max() <= 0.51 * stated["scale"]


def test_lenet5_is_the_published_network() -> None:
    """As RIOT-ML's: 6 and 16 channels of 5x5 without padding, halved each time, then 120, 84 and 10."""
    model = tflite.Model.GetRootAsModel(model_file(MODELS / "lenet5").read_bytes(), 0)
    graph = model.Subgraphs(0)
    shapes = [
        [int(size) for size in graph.Tensors(graph.Operators(k).Outputs(0)).ShapeAsNumpy()]
        for k in range(graph.OperatorsLength())
    ]
    images = [[1, 24, 24, 6], [1, 12, 12, 6], [1, 8, 8, 16], [1, 4, 4, 16]]
    assert shapes == [*images, [1, 256], [1, 120], [1, 84], [1, 10]]
    assert card(MODELS / "lenet5")["cost"]["macs"] == 281_640
