"""Instructions, flash and RAM of models with the kernels of each `--optimize`, on an emulated board.

python -m benchmarks.kernels MODEL.tflite... [--board qemu-cortex-m4]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import typing
from pathlib import Path
from typing import Any

from tinyops.lower import Optimize


def _tinyops(*arguments: str) -> Any:
    """What the command line says with --json; stops with its message when it fails."""
    command = [sys.executable, "-m", "tinyops", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return json.loads(done.stdout)


def measure(model: Path, board: str, optimize: str, folder: Path) -> list[str]:
    """A row of the table: model, kernels, instructions of one invocation, per MAC, weights, inference code, arena."""
    report = _tinyops("build", str(model), "--board", board, "--optimize", optimize, "-o", str(folder))
    run = _tinyops("run", str(folder), "--verify")
    count, memory = run["instructions"], report["memory"]
    macs = report["model"]["macs"]
    sizes = (memory["flash_model_bytes"], memory["flash_library_bytes"], memory["arena_bytes"])
    return [model.stem, optimize, f"{count:,}", f"{count / macs:.2f}", *(f"{size:,}" for size in sizes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--board", default="qemu-cortex-m4")
    given = parser.parse_args()
    print("| model | `--optimize` | instructions | per MAC | weights, B | inference code, B | arena, B |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for model in given.models:
        for optimize in typing.get_args(Optimize):
            with tempfile.TemporaryDirectory() as folder:
                print(f"| {' | '.join(measure(model, given.board, optimize, Path(folder) / 'build'))} |", flush=True)


if __name__ == "__main__":
    main()
