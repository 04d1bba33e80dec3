"""tinyops inspect"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from tinyops.cli.common import (
    board_option,
    console,
    emit_json,
    features_option,
    html_option,
    json_option,
    model_argument,
    out,
    plain,
    resolve_board,
    resolve_features,
    resolve_model,
    say,
    shown,
)
from tinyops.cost import estimate_memory
from tinyops.device.board import Board
from tinyops.device.report import describe_features, describe_program, find_warnings
from tinyops.emit.files import write_file
from tinyops.emit.html import model_page
from tinyops.emit.names import identifier
from tinyops.errors import TinyopsError
from tinyops.features import FeatureSettings, ModelFeatures
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.lower.program import Program


@click.command("inspect", short_help="Show a model: layers, memory plan, what it needs.")
@model_argument
@board_option
@features_option
@click.option("--plan-seconds", type=click.FloatRange(0.1, 600), default=2.0, help="Time bound of the memory planner.")
@html_option
@json_option
def command(
    model: Path | None,
    board: str | None,
    features: Path | None,
    plan_seconds: float,
    html_to: Path | None,
    json_to: str | None,
) -> None:
    """Show what MODEL holds and what it needs: inputs, outputs, layers, MACs, weights, arena, state.

    With --board also whether it fits there, with the front end of [features] or --features. Nothing is built.
    """
    path, project = resolve_model(model)
    chosen = resolve_board(board, project) if board or (project and project.board) else None
    settings = resolve_features(path, features, project)
    with console.status(f"reading {plain(path.name)}"):
        compiled = compile_model(path, name=identifier(path.stem), seconds=plan_seconds)
    program = compiled.program
    front_end, misfit = _front_end(settings, program)
    result = describe_program(program)
    if front_end is not None:
        result["features"] = describe_features(front_end)
    if chosen is not None:
        result["fit"] = _fit(program, chosen, front_end)
    result["warnings"] = misfit + find_warnings(result, chosen.processor.features if chosen else None)
    if html_to is not None:
        write_file(html_to, model_page(result))
    if json_to:
        emit_json(result, json_to)
        return
    _print(compiled, result)
    if html_to is not None:
        say(f"page: {plain(shown(html_to))}")


def _front_end(settings: FeatureSettings | None, program: Program) -> tuple[ModelFeatures | None, list[str]]:
    """The front end, or none and why it does not fit the model."""
    if settings is None:
        return None, []
    try:
        return ModelFeatures.of(settings, [port.tensor for port in program.inputs]), []
    except TinyopsError as error:
        place = f"{error.where}: " if error.where else ""
        allowed = f" (allowed: {error.allowed})" if error.allowed else ""
        return None, [f"The front end of [features] does not fit this model: {place}{error.what}{allowed}."]


def _fit(program: Program, board: Board, front_end: ModelFeatures | None) -> dict[str, Any]:
    need = estimate_memory(program, front_end)
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
    say(f"[bold]{plain(compiled.source.name)}[/]  SHA-256 {result['model']['sha256'][:16]}")
    for kind in ("inputs", "outputs"):
        for port in result["model"][kind]:
            quantized = f"scale {port['scale']:.6g}, zero point {port['zero_point']}" if port["scale"] else ""
            say(f"  {kind[:-1]:7}{port['dtype']}{escape(str(port['shape']))}  {quantized}".rstrip())
    if features := result.get("features"):
        step = f"{features['raw_dtype']}{escape(str(features['raw_shape']))}"
        say(
            f"  features {features['settings']['kind']}: a step is {step}, {features['first_steps']:,} for the first "
            f"inference, then {features['next_steps']:,}; "
            f"RAM {features['ram_bytes']:,} B, constants {features['constant_bytes']:,} B"
        )
    out.print(_layers(result["layers"]))
    memory = result["memory"]
    proven = "proven optimal" if result["plan"]["optimal"] else f"{100 * result['plan']['gap']:.1f} % above the bound"
    say(
        f"arena {memory['arena_bytes']:,} B ({proven}; lower bound {memory['arena_lower_bound_bytes']:,} B "
        f"at {plain(result['plan']['witness'])}), state {memory['state_bytes']:,} B, "
        f"constants {memory['constant_bytes']:,} B, {result['model']['macs']:,} MACs"
    )
    if fit := result.get("fit"):
        verdict = "[green]fits[/]" if fit["fits"] else "[red]does not fit[/]"
        flash, ram = (_of(fit[f"{what}_needed_bytes"], fit[f"{what}_available_bytes"]) for what in ("flash", "ram"))
        say(f"{verdict} {fit['board']}: flash {flash}, RAM {ram} (modelled, at least)")
    for warning in result["warnings"]:
        say(f"[yellow]warning:[/] {plain(warning)}")


def _layers(layers: list[dict[str, Any]]) -> Table:
    """A row per layer; in a narrow terminal without the kernels, which `--json` has too."""
    wide, narrow = (_table(layers, kernels) for kernels in (True, False))
    needed = Measurement.get(out, out.options.update(width=1 << 16), wide).maximum
    return wide if needed <= out.width else narrow


def _table(layers: list[dict[str, Any]], kernels: bool) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "output"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MACs", "constants B"):
        table.add_column(heading, justify="right", no_wrap=True)
    if kernels:
        table.add_column("kernel", no_wrap=True, style="dim")
    for layer in layers:
        shapes = ", ".join("x".join(map(str, shape)) for shape in layer["output_shapes"]) or "state"
        names = [", ".join(layer["kernels"]) or "shares memory"] if kernels else []
        table.add_row(plain(layer["name"]), shapes, f"{layer['macs']:,}", f"{layer['constant_bytes']:,}", *names)
    return table


def _of(needed: int, available: int | None) -> str:
    return f"{needed:,} B" if available is None else f"{needed:,} of {available:,} B"
