"""`tinyops quantize`: from a float file and data to integers, with a report that is true."""

from __future__ import annotations

import json
import re
import wave
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_writer import OnnxBuilder
from tests.support.tflm import ORACLE
from tinyops.device import quantization
from tinyops.emit.html import quantization_page
from tinyops.graph import DType
from tinyops.load import load_tflite
from tinyops.quantize import verify_file
from tinyops.quantize.statistics import mcnemar, paired_difference, wilson
from tinyops.quantize.tflm import run_tflite_micro
from tinyops.resources import data_dir
from tinyops.save import write_tflite

FLOAT = data_dir("models") / "digits" / "float"
CALIBRATION, TEST = FLOAT / "calibration.npz", FLOAT / "test.npz"
QUICK = ("--no-adaround", "--no-bias-correction", "--method", "min-max", "--samples", 20, "--test-samples", 60)


def quick(tinyops: Any, *arguments: object, model: str = "digits.tflite") -> Any:
    """On channels-first data, as the calibration files have them."""
    layout = ("--layout", "nchw") if model.endswith(".tflite") else ()
    return tinyops("quantize", FLOAT / model, "--data", CALIBRATION, *layout, *QUICK, *arguments)


def real_classes(data: bytes, images: Any) -> Any:
    """What TFLite Micro says."""
    graph = load_tflite(data).main
    tensor = graph.tensors[graph.inputs[0]]
    rows = np.clip(np.round(images / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    steps = ORACLE.run(data, [[row.transpose(1, 2, 0)[None]] for row in rows])
    return np.array([step.outputs[0].argmax() for step in steps])


def test_from_onnx_to_integers(tinyops: Any) -> None:
    """The report's accuracy is that of TFLite Micro on the written file."""
    done = tinyops(
        "quantize", FLOAT / "digits.onnx", "--data", CALIBRATION, "--test", TEST, "-o", "y.tflite", "--report", "r",
        "--verify",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    report = json.loads(Path("r/report.json").read_text())
    written = Path("y.tflite").read_bytes()
    assert all(t.dtype in (DType.INT8, DType.INT32) for t in load_tflite(written).main.tensors)
    with np.load(TEST) as test:
        images, labels = test["image"], test["labels"]
    said = real_classes(written, images)
    accuracy = report["accuracy"]
    assert accuracy["quantized"]["count"] == (said == labels).sum()
    assert accuracy["samples"] == report["data"]["held_out_samples"] == 382
    assert abs(accuracy["difference"]) < 0.01
    matrix = np.array(report["confusion"]["quantized"])
    assert matrix.tolist() == [[int(((labels == a) & (said == b)).sum()) for b in range(10)] for a in range(10)]
    assert report["verification"] == {"loads_again": True, "inputs": 8, "tflite_micro": True, "mismatches": 0}
    sizes = report["size"]
    assert sizes["file_bytes_after"] == len(written) < sizes["file_bytes_before"]
    weights = 2856
    assert weights < sizes["constant_bytes_after"] < 4 * weights < sizes["constant_bytes_before"] < 4.5 * weights
    assert report["memory"]["arena_bytes"] > 0
    for fact in ("test.npz, data of their own", f"{len(written):,} B", f"{100 * accuracy['quantized']['value']:.2f}"):
        assert fact in Path("r/report.html").read_text()
    assert "TFLite Micro computes the same" in done.out
    assert "channels last; the ONNX file has them first" in done.out


def test_the_same_again(tinyops: Any) -> None:
    """Bytes and report are the same; nothing held out is calibrated with."""
    results = [quick(tinyops, "-o", f"{k}.tflite", "--json").json() for k in range(2)]
    assert Path("0.tflite").read_bytes() == Path("1.tflite").read_bytes()
    assert results[0] | {"file": ""} == results[1] | {"file": ""}
    assert results[0]["data"]["held_out"] == "80 of 400 samples of calibration.npz, chosen with seed 0"
    assert results[0]["data"]["calibration_samples"] == 20


def test_every_field_is_described(tinyops: Any) -> None:
    report = quick(tinyops, "--json").json()
    del report["settings"]
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    section = text.split("## quantize --json")[1].split("\n## ")[0]
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", section))))
    keys = set(re.findall(r'"(\w+)":', json.dumps(report)))
    assert keys <= described


def test_without_labels(tinyops: Any) -> None:
    report = quick(tinyops, "--labels", "none", "--json").json()
    assert (report["accuracy"], report["confusion"]) == (None, None)
    assert report["agreement"]["value"] > 0.9
    (output,) = report["outputs"]
    low, high = output["interval"]
    assert 0 < low < output["mean_absolute_error"] < high < output["largest_error"]
    assert "Same class as float" in quantization_page(report)
    warnings = [warning.split(":")[0] for warning in report["warnings"]]
    assert warnings == ["20 calibration samples", "60 held-out samples"]


@pytest.mark.parametrize(
    ("option", "activations", "weights"),
    [("int16", "int16", "int8"), ("int4", "int8", "int4"), ("float32", "float32", None)],
)
def test_layers_that_differ(tinyops: Any, option: str, activations: str, weights: str | None) -> None:
    report = quick(tinyops, "--layer", f"conv_2d_2={option}", "--verify", "--json", "-o", "y.tflite").json()
    layers = {layer["name"]: (layer["activations"], layer["weights"]) for layer in report["layers"]}
    if weights is None:
        assert "conv_2d_2" not in layers
        floats = [v for v in load_tflite(Path("y.tflite").read_bytes()).main.views() if v.kind == "CONV_2D"]
        assert sum(v.output().dtype is DType.FLOAT32 for v in floats) == 1
    else:
        assert layers.pop("conv_2d_2") == (activations, weights)
    assert {found[0] for found in layers.values()} == {"int8"}


def test_keep_float_where_the_target_can(tinyops: Any) -> None:
    """Refused without a floating-point unit, with the way out; honoured with one."""
    refused = quick(tinyops, "--keep-float", "fully_connected*", "-b", "qemu-cortex-m0plus")
    assert refused.code == 2
    assert "cortex-m0plus has no FPU" in refused.err
    assert "try: --layer fully_connected_8=int16" in refused.err
    assert not list(Path().iterdir())
    assert quick(tinyops, "--keep-float", "fully_connected*", "-b", "qemu-cortex-m4").code == 0


def test_a_project(tinyops: Any) -> None:
    """[data] of tinyops.toml, its paths from the file's folder; options win."""
    Path("data").mkdir()
    Path("data/x.npz").write_bytes(CALIBRATION.read_bytes())
    table = 'path = "data/x.npz"\nlayout = "nchw"\nlimit = 30\ntest_limit = 20\n'
    Path("tinyops.toml").write_text(f"[data]\n{table}")
    arguments = ("quantize", FLOAT / "digits.tflite", "--no-adaround", "--method", "min-max", "--json")
    data = tinyops(*arguments).json()["data"]
    assert (data["calibration_samples"], data["held_out_samples"]) == (30, 20)
    assert Path("digits_int8.tflite").exists()
    assert tinyops(*arguments, "--samples", 10).json()["data"]["calibration_samples"] == 10
    Path("tinyops.toml").write_text('[data]\npath = "x.npz"\nlimitt = 3\n')
    done = tinyops(*arguments)
    assert (done.code, "unknown key data.limitt" in done.err, "limit = ..." in done.err) == (2, True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "nope=int16"), "no layer is named 'nope'"),
        (("--layer", "conv=int9"), "--layer 'conv=int9'"),
        (("--shape", "image=1"), "shapes are fixed in .tflite files"),
        (("--shape", "image"), "--shape 'image'"),
        (("--scale", "x"), "--scale = 'x' cannot be used"),
        (("--holdout", "1"), "--holdout = 1.0 cannot be used"),
        (("--percentile", "7"), "--percentile 7.0"),
        (("--test", CALIBRATION), "is the calibration data"),
        (("--test", "none.npz"), "no such file or folder"),
        (("-o", "y.onnx"), "a name that ends in .tflite"),
        (("-o", "no/y.tflite"), "mkdir -p no"),
        (("--report", "x.pdf"), "--report would write to 'x.pdf'"),
        (("--mean", "1,2,3"), "3 numbers of mean"),
        (("--layer", "conv_2d_2=int16,int4"), "conv_2d_2 (CONV_2D): weights of int4 with activations of int16"),
        (("--samples", "0"), "--samples = 0 cannot be used"),
        (("--test-samples", "0"), "--test-samples = 0 cannot be used"),
        (("--adaround-iterations", "-1"), "--adaround-iterations -1"),
    ],
)
def test_called_wrongly(tinyops: Any, arguments: tuple[object, ...], message: str) -> None:
    done = quick(tinyops, *arguments)
    assert done.code == 2
    assert message in done.err
    assert not list(Path().iterdir())


def test_labels_that_do_not_match(tinyops: Any) -> None:
    np.savez("x.npz", image=np.random.default_rng(0).random((20, 8, 8, 1)), labels=np.full(20, 10))
    done = tinyops("quantize", FLOAT / "digits.tflite", "--data", "x.npz", "-o", "y.tflite", *QUICK)
    assert (done.code, "label 10" in done.err, "0 to 9" in done.err) == (2, True, True)
    assert not Path("y.tflite").exists()


def test_a_class_without_samples(tinyops: Any) -> None:
    """Names are numbered as they sort: a missing one shifts the others, which is said; all in order is not."""
    names = [f"c{k}" for k in range(10)]
    images = np.random.default_rng(0).random((30, 8, 8, 1))
    np.savez("x.npz", image=images, labels=np.array([names[k % 9] for k in range(30)]))
    arguments = ("quantize", FLOAT / "digits.tflite", "--data", "x.npz", *QUICK)
    assert "the data name 9 classes, the model's output tells 10 apart" in tinyops(*arguments).out
    assert "classes, the model" not in tinyops(*arguments, "--classes", ",".join(names)).out


def test_labels_of_another_length(tinyops: Any) -> None:
    """The file of labels is named, not that of the data."""
    np.save("x.npy", np.random.default_rng(0).random((20, 8, 8, 1)))
    Path("labels.txt").write_text("1\n" * 19)
    done = tinyops("quantize", FLOAT / "digits.tflite", "--data", "x.npy", "--labels", "labels.txt", *QUICK)
    assert (done.code, "labels.txt: labels [19] for 20 samples" in done.err) == (2, True)


def test_a_column_that_is_no_input(tinyops: Any) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (20, 65))
    Path("x.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    done = tinyops("quantize", FLOAT / "digits.tflite", "--data", "x.csv", *QUICK)
    assert (done.code, "try: --labels COLUMN" in done.err) == (2, True)


def test_recordings(tinyops: Any) -> None:
    """WAV files by the project's front end, folders as classes; their parts are not counted as independent."""
    for k in range(6):
        noise = np.random.default_rng(k).integers(-3000, 3000, 12_000 * (1 + k % 2)).astype("<i2")
        folder = Path("words", "yes" if k % 2 else "no")
        folder.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / f"{k}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(noise.tobytes())
    builder, rng = OnnxBuilder(), np.random.default_rng(0)
    flat = builder.node("Reshape", builder.input((1, 20, 40)), builder.constant([1, 800]))
    weights = rng.normal(0, 0.02, (800, 2)).astype(np.float32)
    Path("words.onnx").write_bytes(builder.build(builder.node("MatMul", flat, builder.constant(weights))))
    assert "recordings need a front end" in tinyops("quantize", "words.onnx", "--data", "words").err
    Path("tinyops.toml").write_text('[features]\nkind = "audio-micro"\n[data]\npath = "words"\nholdout = 0.5\n')
    report = tinyops("quantize", "words.onnx", "--verify", "--json").json()
    assert report["data"]["held_out"].startswith("3 of 6 recordings of words")
    assert report["confusion"]["classes"] == ["no", "yes"]
    samples = report["data"]["held_out_samples"]
    assert report["accuracy"]["samples"] == samples > 3
    assert f"{samples} held-out samples are parts of 3 recordings" in report["warnings"][-1]


def test_inputs_that_never_change(tinyops: Any) -> None:
    np.save("x.npy", np.full((20, 8, 8, 1), 0.5))
    done = tinyops("quantize", FLOAT / "digits.tflite", "--data", "x.npy", *QUICK)
    assert done.code == 0
    assert "warning: input image is 0.5 everywhere in the calibration data" in done.out


def test_a_model_that_does_not_exist(tinyops: Any) -> None:
    Path("net.onnx").write_bytes(b"x")
    done = tinyops("quantize", "nett.onnx", "--data", CALIBRATION)
    assert (done.code, "no such file" in done.err, "allowed: net.onnx" in done.err) == (2, True, True)


def test_the_model_is_not_written_over(tinyops: Any) -> None:
    Path("m.tflite").write_bytes((FLOAT / "digits.tflite").read_bytes())
    done = tinyops("quantize", "m.tflite", "--data", CALIBRATION, "-o", "m.tflite")
    assert (done.code, "is the model itself" in done.err) == (2, True)


def test_a_report_that_cannot_be_written(tinyops: Any) -> None:
    """Then there is no model either."""
    Path("r/report.json").mkdir(parents=True)
    done = quick(tinyops, "-o", "y.tflite", "--report", "r")
    assert (done.code, "report.json" in done.err) == (1, True)
    assert [str(path) for path in Path().rglob("*")] == ["r", "r/report.json"]


def test_interrupted(tinyops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantization, "evaluate", interrupt)
    done = quick(tinyops, "-o", "y.tflite", "--report", "r")
    assert done.code == 130
    assert not list(Path().iterdir())


@pytest.mark.parametrize("part", ["data", "attrs"])
def test_a_file_that_differs_is_not_written(tinyops: Any, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """One weight, or the micro runtime's answer, is off by one."""
    if part == "data":

        def spoil(model: Any) -> bytes:
            data = bytearray(write_tflite(model))
            tensor = next(t for t in model.main.tensors if t.data is not None and t.data.size > 100)
            data[data.index(tensor.data.tobytes()) + 7] ^= 1
            return bytes(data)

        monkeypatch.setattr(quantization, "write_tflite", spoil)
    else:

        def off(*arguments: Any) -> Any:
            found = run_tflite_micro(*arguments)
            found[3][0].reshape(-1)[4] ^= 1
            return found

        monkeypatch.setattr(verify_file, "run_tflite_micro", off)
    done = quick(tinyops, "-o", "y.tflite", "--verify")
    assert done.code == 1
    assert ("is another operator" in done.err) == (part == "data")
    assert not list(Path().iterdir())


def test_a_model_of_integers_is_only_rewritten(tinyops: Any, digits: Path) -> None:
    done = tinyops("quantize", digits, "-o", "y.tflite", "--verify")
    assert (done.code, "it is quantized already" in done.out) == (0, True)
    again = load_tflite(Path("y.tflite").read_bytes()).main
    assert [op.kind for op in again.ops] == [op.kind for op in load_tflite(digits.read_bytes()).main.ops]


def test_the_page_is_sound(tinyops: Any) -> None:
    """Well-formed, nothing loaded or run, with every layer and tensor, whatever their names are."""
    hostile = "</title><script>alert(1)</script>\"'>&amp;\x00\u202e{{ 7*7 }}"
    report = quick(tinyops, "--json").json()
    for layer in report["layers"]:
        layer["name"] = layer["name"] + hostile
    report["worst_layers"] = [report["layers"][0]["name"]]
    report["confusion"]["classes"][3] = hostile
    page = quantization_page(report)
    tree = ET.fromstring(page.split("\n", 1)[1])
    assert not {element.tag for element in tree.iter()} & {"script", "img", "link", "iframe"}
    assert "{{" in page
    histograms = [e for e in tree.iter("svg") if (e.get("aria-label") or "").startswith("Histogram of")]
    assert len(histograms) == len(report["tensors"])
    text = " ".join("".join(tree.itertext()).split())
    assert all(layer["output"] in text for layer in report["layers"])
    assert not any(word in text.split() for word in ("None", "nan", "inf"))


def test_statistics() -> None:
    """Published values: Wilson as in models/digits/model.toml; Newcombe 1998, table II, method 10; exact binomials."""
    assert wilson(375, 382) == pytest.approx((0.9627, 0.9911), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
    assert paired_difference(36, 2, 12, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 64)
    assert mcnemar(4, 4) == 1
