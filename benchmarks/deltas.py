"""Deltas of model capsules: bytes for typical changes, beside bsdiff patches compressed by heatshrink and by LZMA.

Each change is made to the int8 weights of a model, which is then compiled to a capsule like any other; the digits
model has a second version besides, really trained again. `python -m benchmarks.deltas [FOLDER ...]` from the
repository's root, with tinyops and detools installed; folders hold further .tflite files. Prints Markdown.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import detools
import numpy as np

from tinyops.emit.capsule import build_capsule
from tinyops.errors import TinyopsError
from tinyops.graph import DType
from tinyops.load import load_model
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir
from tinyops.update.delta import apply_delta, encode_delta

Array = np.ndarray[Any, Any]
SMALLEST = 32  # bytes of a constant that counts as weights


def changed_by(steps: tuple[int, ...], share: float = 1.0) -> Callable[[list[Array]], list[Array]]:
    """All weights, or a share of them, changed by one of the steps."""

    def change(weights: list[Array]) -> list[Array]:
        random = np.random.default_rng(1)
        return [
            np.clip(w + random.choice(steps, w.shape) * (random.random(w.shape) < share), -127, 127).astype(np.int8)
            for w in weights
        ]

    return change


def last_layer(weights: list[Array]) -> list[Array]:
    """Other weights in the last layer."""
    random = np.random.default_rng(2)
    return [*weights[:-1], random.integers(-127, 128, weights[-1].shape).astype(np.int8)]


def unrelated(weights: list[Array]) -> list[Array]:
    random = np.random.default_rng(3)
    return [random.permutation(w.ravel()).reshape(w.shape) for w in weights]


CHANGES: dict[str, Callable[[list[Array]], list[Array]]] = {
    "all weights -2..2": changed_by((-2, -1, 0, 1, 2)),
    "all weights ±1, ±2": changed_by((-2, -1, 1, 2)),
    "10 % of weights ±1": changed_by((-1, 1), 0.1),
    "other last layer": last_layer,
    "shuffled weights": unrelated,
}


def variants(path: Path) -> Iterator[tuple[str, bytes]]:
    """The model file with its weights changed in each way; the file's structure stays."""
    original = path.read_bytes()
    tensors = load_model(path).main.tensors
    found = [t.data for t in tensors if t.dtype is DType.INT8 and t.data is not None and t.data.size >= SMALLEST]
    weights = [data for data in found if original.count(data.tobytes()) == 1]
    if not weights:
        return
    for name, change in CHANGES.items():
        content = original
        for old, new in zip(weights, change(weights), strict=True):
            content = content.replace(old.tobytes(), new.tobytes())
        yield name, content


def capsule(content: bytes, folder: Path) -> bytes:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return build_capsule(compile_model(path, name="model", by_structure=True))


def bsdiff(old: bytes, new: bytes, compression: str) -> int:
    patch = io.BytesIO()
    detools.create_patch(io.BytesIO(old), io.BytesIO(new), patch, compression=compression)
    return len(patch.getvalue())


def row(model: str, change: str, old: bytes, new: bytes) -> None:
    started = time.perf_counter()
    delta = encode_delta(old, new)
    seconds = time.perf_counter() - started
    if apply_delta(old, delta) != new:
        raise TinyopsError("the delta does not give the capsule", where=f"{model}, {change}")
    others = " | ".join(f"{bsdiff(old, new, kind):,}" for kind in ("heatshrink", "lzma"))
    print(
        f"| {model} | {change} | {len(new):,} | {len(delta):,} | {100 * len(delta) / len(new):.1f} % | {seconds:.2f} s "
        f"| {others} |"
    )
    sys.stdout.flush()


def main() -> None:
    models = data_dir("models")
    paths = [models / name / f"{name}.tflite" for name in ("digits", "motions", "speakers")]
    paths += [path for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("*int8.tflite"))]
    print("| model | change | capsule | delta | of full | encoded in | bsdiff, heatshrink | bsdiff, LZMA |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in paths:
            old = capsule(path.read_bytes(), folder)
            for change, content in variants(path):
                row(path.stem, change, old, capsule(content, folder))
            second = path.parent / "v2" / path.name
            if second.is_file():
                row(path.stem, "trained again", old, capsule(second.read_bytes(), folder))


if __name__ == "__main__":
    main()
