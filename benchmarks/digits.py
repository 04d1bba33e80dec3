"""A digits CNN trained in PyTorch: accuracy in float, quantized by tinyops, and by ONNX Runtime, on the same images.

For each seed the network of models/digits/float is trained, exported to ONNX and quantized by both with the same
calibration images (of the training sheets); all three run on the test sheets. `python -m benchmarks.digits --seeds 12`
from the repository's root, with tinyops, torch, onnx, onnxruntime and scikit-learn installed. Prints Markdown.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.digits.float.train import CALIBRATION, FIRST_TEST_IMAGE, SEED, export, load, train
from tinyops.load import load_model, load_tflite
from tinyops.ops.float32 import real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.quantize import quantize
from tinyops.quantize.evaluate import integer_inputs
from tinyops.quantize.prepare import prepare
from tinyops.quantize.statistics import mcnemar, paired_difference
from tinyops.save import write_tflite

Array = np.ndarray[Any, Any]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Array) -> None:
        self._rows: Iterator[Array] = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        row = next(self._rows, None)
        return None if row is None else {"image": row[None]}


def onnx_runtime(path: Path, images: Array) -> Array:
    """Logits by ONNX Runtime, float[n, 10]."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {"image": image[None]})[0][0] for image in images])


def onnx_runtime_int8(path: Path, calibration: Array, folder: Path) -> Path:
    """Static quantization with its defaults, but int8 for both and a scale per channel of weights, as TFLite has it."""
    prepared, target = folder / "prepared.onnx", folder / "ort.onnx"
    quant_pre_process(path, prepared)
    quantize_static(
        prepared,
        target,
        _Reader(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return target


def tinyops_int8(path: Path, calibration: Array, images: Array) -> Array:
    """Logits with default settings, of the written file; integers as the generated C computes them, bit for bit."""
    model = prepare(run_passes(load_model(path)))
    samples = [(image.transpose(1, 2, 0)[None],) for image in calibration]
    written = write_tflite(quantize(model, samples).model)
    graph = run_passes(load_tflite(written))
    machine = Interpreter(graph)
    rows = ((image.transpose(1, 2, 0)[None],) for image in images)
    output = graph.main.tensors[graph.main.outputs[0]]
    return np.array([real_values(output, machine.run(*integer_inputs(graph.main, row))[0])[0] for row in rows])


def _row(name: str, accuracy: list[Any], noise: list[Any]) -> None:
    cells = [f"{accuracy[0]:.2f} %"]
    for percent, decibels in zip(accuracy[1:], noise, strict=True):
        cells += [f"{percent:.2f} %", f"{decibels:.1f} dB"]
    print(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.flush()


def _compare(name: str, first: Array, second: Array) -> None:
    """`second` against `first`, whether each answer was right, over all seeds."""
    both, a, b = int((first & second).sum()), int((first & ~second).sum()), int((~first & second).sum())
    low, high = paired_difference(both, a, b, first.size - both - a - b)
    print(
        f"- {name}: {100 * (b - a) / first.size:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}); right in the one "
        f"alone {b}, in the other alone {a}, p = {mcnemar(a, b):.2g} (exact McNemar)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=12)
    seeds = parser.parse_args().seeds
    logging.disable(logging.WARNING)
    images, labels = load()
    test, truth = images[FIRST_TEST_IMAGE:], labels[FIRST_TEST_IMAGE:]
    chosen = np.sort(np.random.default_rng(SEED).choice(FIRST_TEST_IMAGE, CALIBRATION, replace=False))
    right: dict[str, list[Array]] = {"float": [], "tinyops": [], "ort": []}
    noise: dict[str, list[float]] = {"tinyops": [], "ort": []}
    print("| seed | float | tinyops int8 | SQNR | ONNX Runtime int8 | SQNR |\n|---:|---:|---:|---:|---:|---:|")
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "digits.onnx"
            export(train(seed), path)
            said = {
                "float": onnx_runtime(path, test),
                "tinyops": tinyops_int8(path, images[chosen], test),
                "ort": onnx_runtime(onnx_runtime_int8(path, images[chosen], Path(name)), test),
            }
        for key, logits in said.items():
            right[key].append(logits.argmax(1) == truth)
        for key, rows in noise.items():
            rows.append(10 * np.log10((said["float"] ** 2).sum() / ((said[key] - said["float"]) ** 2).sum()))
        _row(str(seed), [100 * rows[-1].mean() for rows in right.values()], [rows[-1] for rows in noise.values()])
    _row("mean", [100 * np.mean(rows) for rows in right.values()], [np.mean(rows) for rows in noise.values()])
    print()
    flat = {key: np.concatenate(rows) for key, rows in right.items()}
    _compare("tinyops int8 against float", flat["float"], flat["tinyops"])
    _compare("ONNX Runtime int8 against float", flat["float"], flat["ort"])
    _compare("tinyops int8 against ONNX Runtime int8", flat["ort"], flat["tinyops"])
    print(f"\n{seeds} seeds, {len(truth)} test images each, {CALIBRATION} calibration images; ", end="")
    print(", ".join(f"{package} {version(package)}" for package in ("torch", "onnxruntime", "numpy")))


if __name__ == "__main__":
    main()
