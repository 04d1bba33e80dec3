"""The demo: the project's own digits model on a board, fed with real test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.device.board import Board, find_board
from tinyops.device.build import Build, build_firmware, refuse_without_port
from tinyops.device.emulator import launch
from tinyops.device.flash import flash_build
from tinyops.device.route import find_route
from tinyops.device.session import RunResult, run_sequence
from tinyops.errors import MissingToolError
from tinyops.resources import data_dir

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class DemoData:
    """The digits model and its held-out images: int8[n, 8, 8, 1], labels [n], expected outputs int8[n, 10]."""

    model: Path
    images: Array
    labels: Array
    expected: Array


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the board said. `correct` and `reference_correct` count images; `mismatches` counts output bytes."""

    build: Build
    run: RunResult
    predictions: Array
    correct: int
    reference_correct: int
    mismatches: int


def load_demo_data() -> DemoData:
    folder = data_dir("models") / "digits"
    with np.load(folder / "test.npz", allow_pickle=False) as arrays:
        return DemoData(folder / "digits.tflite", arrays["inputs"], arrays["labels"], arrays["outputs"])


def choose_board(name: str) -> tuple[Board, str | None]:
    """The board `name`, or `host` with the reason where its compiler or emulator is missing."""
    board = find_board(name)
    refuse_without_port(board)
    try:
        find_route(board)
    except MissingToolError as error:
        return find_board("host"), f"{error.what}; {error.hint}" if error.hint else error.what
    return board, None


def run_demo(
    data: DemoData,
    board: Board,
    folder: Path,
    *,
    limit: int | None = None,
    step: Callable[[str], None] = lambda _: None,
    built: Callable[[Build], None] = lambda _: None,
    advance: Callable[[], None] = lambda: None,
) -> DemoResult:
    """Build, flash, boot, classify the test images (the first `limit` of them), compare with the reference.

    The expected outputs are those that TFLite Micro gave, stored with the model.
    """
    build = build_firmware(data.model, board, folder, name="digits", step=step)
    flashed = flash_build(folder, board)
    built(build)
    rows: Sequence[Sequence[Array]] = [[image[None]] for image in data.images[:limit]]
    with launch(board, flashed.image) as client:
        result = run_sequence(client, rows, advance=advance)
    outputs = np.stack([row[0].reshape(-1) for row in result.outputs])
    expected, labels = data.expected[: len(rows)], data.labels[: len(rows)]
    predictions = outputs.argmax(axis=1)
    return DemoResult(
        build=build,
        run=result,
        predictions=predictions,
        correct=int((predictions == labels).sum()),
        reference_correct=int((expected.argmax(axis=1) == labels).sum()),
        mismatches=int((outputs != expected).sum()),
    )
