"""Sizes of applications of RIOT, for docs/boards.md: models x boards, by the sections of their ELF files.

`python -m benchmarks.riot_sizes` from the repository's root, with RIOTBASE, the boards' compilers and what RIOT
fetches. Writes benchmarks/riot_sizes.json; `python tests/test_docs.py --update` puts it into the document. Boards
given as arguments are built alone, and the others' figures kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyops.device.board import find_board
from tinyops.device.riot.base import find_riot
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.resources import data_dir

FILE = Path(__file__).with_suffix(".json")
MODELS = ("digits", "lenet5")
BOARDS = (
    "nrf52840dk",
    "nrf52dk",
    "samr21-xpro",
    "nucleo-f401re",
    "b-l475e-iot01a",
    "nucleo-f767zi",
    "hifive1b",
    "microbit",
)


def measure(board_name: str, model: str, folder: Path) -> dict[str, Any]:
    """One build: what the whole application takes, in bytes, and what is of the model and the generated library."""
    board = find_board(board_name)
    assert board.os.riot is not None
    settings = RiotSettings(find_riot(), board.os.riot)
    report = build_riot(
        data_dir("models") / model / f"{model}.tflite", settings, board, folder / f"{model}-{board_name}", name=model
    ).report
    memory = report["memory"]
    keys = ("flash_bytes", "ram_bytes", "flash_model_bytes", "flash_library_bytes", "arena_bytes")
    return {
        "board": board_name,
        "model": model,
        "toolchain": report["toolchain"]["version"],
        **{key: memory[key] for key in keys},
    }


def write(rows: Iterable[dict[str, Any]], riot: str) -> None:
    """By board and model, in the order above."""
    ordered = sorted(rows, key=lambda row: (BOARDS.index(row["board"]), MODELS.index(row["model"])))
    FILE.write_text(json.dumps({"riot": riot, "rows": ordered}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="*", choices=[*BOARDS, []], help="default: all")
    parser.add_argument("--riot-version", help="where the checkout does not tell its own")
    options = parser.parse_args()
    boards = options.boards or BOARDS
    kept = json.loads(FILE.read_text(encoding="utf-8"))["rows"] if FILE.exists() else []
    rows = [row for row in kept if row["board"] not in boards]
    with tempfile.TemporaryDirectory(prefix="tinyops-sizes-") as folder:
        for board in boards:
            for model in MODELS:
                rows.append(measure(board, model, Path(folder)))
                print(rows[-1], file=sys.stderr)
    write(rows, options.riot_version or find_riot().version)


if __name__ == "__main__":
    main()
