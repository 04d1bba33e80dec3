"""tinyops build"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyops.cli.common import (
    board_option,
    console,
    emit_json,
    json_option,
    model_argument,
    resolve_board,
    resolve_model,
    say,
    symbol_name,
)
from tinyops.device.build import Build, build_firmware


@click.command("build", short_help="Generate code and build firmware for a board.")
@model_argument
@board_option
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder; default: build/BOARD.")
@click.option("--name", help="Prefix of all symbols; default: from the file's name.")
@click.option("--plan-seconds", type=click.FloatRange(0.1, 600), default=2.0, help="Time bound of the memory planner.")
@json_option
def command(
    model: Path | None,
    board: str | None,
    folder: Path | None,
    name: str | None,
    plan_seconds: float,
    json_to: str | None,
) -> None:
    """Build the firmware of MODEL for a board: generated code, ELF, BIN, HEX and report.json.

    A model that cannot fit is refused before anything is compiled.
    """
    path, project = resolve_model(model)
    chosen = resolve_board(board, project)
    target = folder or (project.build_dir if project else Path("build")) / chosen.name
    symbol = symbol_name(path, name, project)
    with console.status(f"building {path.name} for {chosen.name}") as status:
        done = build_firmware(
            path,
            chosen,
            target,
            name=symbol,
            seconds=plan_seconds,
            step=lambda text: status.update(f"{path.name} for {chosen.name}: {text}"),
        )
    if json_to:
        emit_json(done.report, json_to)
        return
    print_build(done)


def print_build(done: Build) -> None:
    """The sizes of a finished build."""
    memory = done.report["memory"]
    for file in (done.elf, done.bin, done.hex, done.folder / "report.json"):
        if file is not None:
            say(f"  {file}", markup=False)
    say(
        f"flash {_of(memory['flash_bytes'], memory['flash_available_bytes'])}: "
        f"model {memory['flash_model_bytes']:,}, inference code {memory['flash_library_bytes']:,}, "
        f"firmware {memory['flash_bytes'] - memory['flash_model_bytes'] - memory['flash_library_bytes']:,}"
    )
    say(
        f"RAM   {_of(memory['ram_bytes'], memory['ram_available_bytes'])}: "
        f"arena {memory['arena_bytes']:,} (lower bound {memory['arena_lower_bound_bytes']:,}), "
        f"state {memory['state_bytes']:,}, "
        f"firmware {memory['ram_bytes'] - memory['arena_bytes'] - memory['state_bytes']:,}"
    )


def _of(used: int, available: Any) -> str:
    return f"{used:,} of {available:,} B ({100 * used / available:.1f} %)" if available else f"{used:,} B"
