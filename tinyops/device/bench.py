"""Models x boards x settings side by side: build each, run one seeded invocation, compare it with the reference."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops import __version__
from tinyops.device.board import Board, load_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.flash import IMAGE, flash_build
from tinyops.device.flash.boards import FlashOptions, flash_board
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.serial_port import find_serial_port
from tinyops.device.session import RunResult, describe_count, describe_cycles, run_sequence
from tinyops.emit.golden import random_inputs
from tinyops.emit.names import identifier
from tinyops.errors import TinyopsError

#: What a report's layer has that a result's layer keeps.
_LAYER = ("name", "op", "macs", "constant_bytes", "kernels")


@dataclass(frozen=True, eq=False)
class BenchTarget:
    """A board, and what its firmware runs on: with `riot` on RIOT, where `board` may be None, else on its own.

    `port` is where hardware is reached; without it, at its own serial port. `missing` says why nothing can be built.
    """

    name: str
    board: Board | None
    riot: RiotSettings | None = None
    port: str | None = None
    missing: TinyopsError | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """One cell of a bench: `seconds` bounds the memory planner's search."""

    model: Path
    target: BenchTarget
    seconds: float = 2.0

    @property
    def title(self) -> str:
        return f"{self.model.name} on {self.target.name}"


def emulated_boards(files: Sequence[Path]) -> list[Board]:
    """The emulated boards of these board files that firmware can be built for; faulty files are left out."""
    found = []
    for path in files:
        try:
            board = load_board(path)
        except TinyopsError:
            continue
        if board.kind == "emulated" and board.firmware.port is not None:
            found.append(board)
    return sorted(found, key=lambda board: board.name)


def make_cases(models: Sequence[Path], targets: Sequence[BenchTarget], seconds: Sequence[float]) -> list[Case]:
    """All combinations, model by model."""
    return [Case(model, target, limit) for model in models for target in targets for limit in seconds]


def run_bench(
    cases: Sequence[Case],
    folder: Path,
    *,
    seed: int = 0,
    step: Callable[[str], None] = lambda _: None,
    advance: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Build and run every case below `folder`; what fails is a result too and stops nothing.

    `step` is told what is being done, `advance` gets each result. Sizes are in bytes.
    """
    results = []
    for case, name in zip(cases, _folder_names(cases), strict=True):
        result: dict[str, Any] = {"model": str(case.model), "board": case.target.name, "plan_seconds": case.seconds}
        try:
            result |= _measure(case, folder / name, seed, step)
        except TinyopsError as error:
            result |= {"status": "failed", "error": error.as_dict()}
        except Exception as error:  # a fault of one case is no reason to lose the others
            what = TinyopsError(f"internal error: {type(error).__name__}: {error}"[:500], where=case.title)
            result |= {"status": "failed", "error": what.as_dict()}
        results.append(result)
        advance(result)
    return {"tinyops": __version__, "seed": seed, "results": results}


def failures(bench: dict[str, Any]) -> int:
    """How many results are no proof that the model runs right there."""
    return sum(r["status"] != "ok" or r["mismatches"] != 0 for r in bench["results"])


def _measure(case: Case, folder: Path, seed: int, step: Callable[[str], None]) -> dict[str, Any]:
    build = _build(case, folder, lambda text: step(f"{case.title}: {text}"))
    graph = build.compiled.model
    rows = random_inputs([graph.main.tensors[t] for t in graph.main.inputs], 3, seed)[2:]
    with _connect(case, build, step) as client:
        step(f"{case.title}: running")
        run = run_sequence(client, rows, reference=graph)
    return _result(build.report, run)


def _build(case: Case, folder: Path, step: Callable[[str], None]) -> Build:
    target, name = case.target, identifier(case.model.stem)
    if target.missing is not None:
        raise target.missing
    if target.riot is not None:
        return build_riot(case.model, target.riot, target.board, folder, name=name, seconds=case.seconds, step=step)
    assert target.board is not None
    return build_firmware(case.model, target.board, folder, name=name, seconds=case.seconds, step=step)


def _connect(case: Case, build: Build, step: Callable[[str], None]) -> AbstractContextManager[DeviceClient]:
    """The firmware, running: hardware is flashed before."""
    board, folder = build.board, build.folder
    if board.is_hardware or case.target.port is not None:
        step(f"{case.title}: flashing")
        flash_board(folder, build.report, board, FlashOptions())
        return DeviceClient.open(case.target.port or find_serial_port(board))
    if case.target.riot is not None:
        return launch(board, folder / "firmware.elf")
    if not (folder / IMAGE).exists():
        flash_build(folder, board)
    return launch(board, folder / IMAGE)


def _result(report: dict[str, Any], run: RunResult) -> dict[str, Any]:
    outputs = b"".join(output.tobytes() for row in run.outputs for output in row)
    return {
        "status": "ok",
        "error": None,
        "sha256": report["model"]["sha256"],
        "macs": report["model"]["macs"],
        "kind": run.kind,
        "instructions": run.instructions if run.kind else None,
        **describe_cycles(run),
        "mismatches": run.mismatches,
        "outputs_sha256": hashlib.sha256(outputs).hexdigest(),
        "toolchain": report["toolchain"],
        "memory": report["memory"],
        "warnings": report["warnings"],
        "layers": [
            {key: layer[key] for key in _LAYER} | describe_count(count)
            for layer, count in zip(report["layers"], run.layers, strict=True)
        ],
        "kernels": report["kernels"],
    }


def _folder_names(cases: Sequence[Case]) -> list[str]:
    """A folder per case, by model and board; numbered where two would be the same."""
    seen: dict[str, int] = {}
    names = []
    for case in cases:
        name = f"{identifier(case.model.stem)}-{case.target.name}"
        count = seen[name] = seen.get(name, 0) + 1
        names.append(name if count == 1 else f"{name}-{count}")
    return names
