"""tinyops run"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tinyops.cli.common import (
    board_option,
    console,
    emit_json,
    json_option,
    model_argument,
    note,
    out,
    progress,
    resolve_board,
    resolve_model,
    say,
    symbol_name,
)
from tinyops.device.board import Board, find_board
from tinyops.device.build import build_firmware, load_build
from tinyops.device.client import DeviceClient
from tinyops.device.data import load_inputs, save_outputs
from tinyops.device.emulator import launch
from tinyops.device.flash import IMAGE, flash_build
from tinyops.device.session import RunResult, run_sequence
from tinyops.emit.golden import random_inputs
from tinyops.errors import UsageError
from tinyops.graph import Model
from tinyops.load import load_model
from tinyops.passes import run_passes


@click.command("run", short_help="Boot a board, feed inputs, check outputs, count instructions.")
@model_argument
@board_option
@click.option(
    "--input", "-i", "inputs", multiple=True, type=click.Path(path_type=Path), help=".npy file; one per input."
)
@click.option(
    "--output", "-o", "output", type=click.Path(path_type=Path), help="Where to save the outputs (.npy, .npz)."
)
@click.option("--verify", is_flag=True, help="Compare every output with the reference; exit 1 on a mismatch.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random input without --input.")
@click.option("--port", help="Talk to a device that is running: serial port, pty, or tcp://HOST:PORT.")
@click.option("--profile/--no-profile", default=True, show_default=True, help="Count instructions per layer.")
@json_option
def command(
    model: Path | None,
    board: str | None,
    inputs: tuple[Path, ...],
    output: Path | None,
    verify: bool,
    seed: int,
    port: str | None,
    profile: bool,
    json_to: str | None,
) -> None:
    """Run MODEL (a .tflite file, or the folder of a finished build) on a board and show what it did.

    The input has the model's input shape; with one more leading axis it is a sequence of invocations with state
    carried from one to the next, and the output has that axis too. Without --input a seeded random one is used.
    """
    path, project = resolve_model(model)
    if path.is_dir():
        folder, chosen = path, find_board(load_build(path)["board"]["name"])
        if not (folder / IMAGE).exists():
            flash_build(folder, chosen)
        path = folder / "model.tflite"
    else:
        chosen = resolve_board(board, project)
        folder = (project.build_dir if project else Path("build")) / chosen.name
        if port is None:
            _build(path, chosen, folder, symbol_name(path, None, project))
    graph = run_passes(load_model(path))
    tensors = [graph.main.tensors[t] for t in graph.main.inputs]
    rows, sequence = load_inputs(inputs, tensors) if inputs else (random_inputs(tensors, 3, seed)[2:], False)
    if not inputs:
        note(f"no --input: a random one, seed {seed}")
    if output is not None and not output.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(output), hint=f"mkdir -p {output.parent}")
    result = _run(_connect(chosen, folder, port), graph if verify else None, rows, profile, chosen)
    if output is not None:
        save_outputs(output, result.outputs, sequence)
    summary = summarize(result, chosen, path, len(rows))
    if json_to:
        emit_json(summary, json_to)
    if json_to != "-":
        print_run(result, chosen, len(rows), output)
    if result.mismatches:
        raise SystemExit(1)


def _build(path: Path, board: Board, folder: Path, name: str) -> None:
    with console.status(f"building {path.name} for {board.name}") as status:
        build_firmware(
            path, board, folder, name=name, step=lambda text: status.update(f"{path.name} for {board.name}: {text}")
        )
    flash_build(folder, board)


def _connect(board: Board, folder: Path, port: str | None) -> AbstractContextManager[DeviceClient]:
    return DeviceClient.open(port) if port is not None else launch(board, folder / IMAGE)


def _run(
    connection: AbstractContextManager[DeviceClient],
    reference: Model | None,
    rows: list[list[Any]],
    profile: bool,
    board: Board,
) -> RunResult:
    with connection as client, progress() as bar:
        task = bar.add_task(board.name, total=len(rows))
        return run_sequence(client, rows, reference=reference, profile=profile, advance=lambda: bar.advance(task))


def summarize(result: RunResult, board: Board, model: Path, invocations: int) -> dict[str, Any]:
    """What --json gives."""
    return {
        "model": str(model),
        "board": board.name,
        "invocations": invocations,
        "kind": result.kind,
        "instructions": result.instructions,
        "mismatches": result.mismatches,
        "layers": [{"name": x.name, "op": x.op, "instructions": x.instructions} for x in result.layers],
    }


def print_run(result: RunResult, board: Board, invocations: int, output: Path | None, values: bool = True) -> None:
    """Counts per layer, the last output's `values`, and the verdict."""
    if result.kind is not None:
        total = sum(x.instructions or 0 for x in result.layers)
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("layer", no_wrap=True)
        table.add_column("operator", no_wrap=True, style="dim")
        table.add_column("instructions", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        for x in result.layers:
            count = x.instructions or 0
            table.add_row(x.name, x.op, f"{count:,}", f"{100 * count / max(total, 1):.1f} %")
        out.print(table)
        if result.instructions is not None:
            say(f"one invocation: [bold]{result.instructions:,}[/] instructions ({result.kind})")
    elif result.layers:
        say(f"{board.name} counts no instructions: choose a qemu- board for a profile", style="dim")
    for k, last in enumerate(result.outputs[-1] if values else ()):
        shown = ", ".join(str(v) for v in last.reshape(-1)[:12])
        more = ", ..." if last.size > 12 else ""
        which = "output" if invocations == 1 else "last output"
        say(f"{which} {k}: {last.dtype}{list(last.shape)} {shown}{more}", markup=False)
    if output is not None:
        say(f"saved to {output}", markup=False)
    if result.mismatches is not None:
        verdict = "[green]bit-exact[/]" if result.mismatches == 0 else f"[bold red]{result.mismatches:,} mismatches[/]"
        say(f"{invocations} invocation{'s' * (invocations != 1)} on {board.name} against the reference: {verdict}")
