"""tinyops inspect"""

from __future__ import annotations

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
    out,
    resolve_board,
    resolve_model,
    say,
)
from tinyops.cost import estimate_memory
from tinyops.device.board import Board
from tinyops.device.report import describe_program
from tinyops.emit.names import identifier
from tinyops.lower.compile import CompiledModel, compile_model


@click.command("inspect", short_help="Show a model: layers, memory plan, what it needs.")
@model_argument
@board_option
@click.option("--plan-seconds", type=click.FloatRange(0.1, 600), default=2.0, help="Time bound of the memory planner.")
@json_option
def command(model: Path | None, board: str | None, plan_seconds: float, json_to: str | None) -> None:
    """Show what MODEL holds and what it needs: inputs, outputs, layers, MACs, weights, arena, state.

    With --board also whether it fits there. Nothing is built.
    """
    path, project = resolve_model(model)
    chosen = resolve_board(board, project) if board or (project and project.board) else None
    with console.status(f"reading {path.name}"):
        compiled = compile_model(path, name=identifier(path.stem), seconds=plan_seconds)
    result = describe_program(compiled.program)
    if chosen is not None:
        result["fit"] = _fit(compiled, chosen)
    if json_to:
        emit_json(result, json_to)
        return
    _print(compiled, result)


def _fit(compiled: CompiledModel, board: Board) -> dict[str, Any]:
    need = estimate_memory(compiled.program)
    flash = board.flash.bytes if board.flash else None
    ram = board.ram.bytes if board.ram else None
    return {
        "board": board.name,
        "kind": "modelled",
        "flash_needed_bytes": need.flash_bytes,
        "flash_available_bytes": flash,
        "ram_needed_bytes": need.ram_bytes,
        "ram_available_bytes": ram,
        "fits": (flash is None or need.flash_bytes <= flash) and (ram is None or need.ram_bytes <= ram),
    }


def _print(compiled: CompiledModel, result: dict[str, Any]) -> None:
    say(f"[bold]{compiled.source.name}[/]  SHA-256 {result['model']['sha256'][:16]}")
    for kind in ("inputs", "outputs"):
        for port in result["model"][kind]:
            quantized = f"scale {port['scale']:.6g}, zero point {port['zero_point']}" if port["scale"] else ""
            say(f"  {kind[:-1]:7}{port['dtype']}{port['shape']}  {quantized}", markup=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("output", no_wrap=True)
    for heading in ("MACs", "constants B"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kernel", overflow="fold", style="dim")
    for layer in result["layers"]:
        shapes = ", ".join("x".join(map(str, shape)) for shape in layer["output_shapes"]) or "state"
        kernels = ", ".join(layer["kernels"]) or "shares memory"
        table.add_row(layer["name"], shapes, f"{layer['macs']:,}", f"{layer['constant_bytes']:,}", kernels)
    out.print(table)
    memory = result["memory"]
    proven = "proven optimal" if result["plan"]["optimal"] else f"{100 * result['plan']['gap']:.1f} % above the bound"
    say(
        f"arena {memory['arena_bytes']:,} B ({proven}; lower bound {memory['arena_lower_bound_bytes']:,} B "
        f"at {result['plan']['witness']}), state {memory['state_bytes']:,} B, "
        f"constants {memory['constant_bytes']:,} B, {result['model']['macs']:,} MACs"
    )
    if fit := result.get("fit"):
        verdict = "[green]fits[/]" if fit["fits"] else "[red]does not fit[/]"
        flash, ram = (
            f"{fit[f'{what}_needed_bytes']:,} of {fit[f'{what}_available_bytes'] or 0:,} B" for what in ("flash", "ram")
        )
        say(f"{verdict} {fit['board']}: flash {flash}, RAM {ram} (modelled, at least)")
