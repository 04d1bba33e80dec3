"""tinyops build"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from tinyops.cli.common import (
    board_option,
    build_folder,
    console,
    emit_json,
    features_option,
    json_option,
    model_argument,
    plain,
    resolve_board,
    resolve_features,
    resolve_model,
    say,
    shown,
    symbol_name,
)
from tinyops.cli.updatable import UpdateOptions, resolve_update, update_options
from tinyops.device.build import Build, build_firmware


@click.command("build", short_help="Generate code and build firmware for a board.")
@model_argument
@board_option
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder; default: build/BOARD.")
@click.option("--name", help="Prefix of all symbols; default: from the file's name.")
@features_option
@click.option("--plan-seconds", type=click.FloatRange(0.1, 600), default=2.0, help="Time bound of the memory planner.")
@update_options
@json_option
def command(
    model: Path | None,
    board: str | None,
    folder: Path | None,
    name: str | None,
    features: Path | None,
    plan_seconds: float,
    update: UpdateOptions,
    json_to: str | None,
) -> None:
    """Build the firmware of MODEL for a board: generated code, ELF, BIN, HEX, report.json and report.html.

    With a table [features] in tinyops.toml, or --features, it takes raw data as well, through that front end. A model
    that cannot fit is refused before anything is compiled. With --updatable the firmware takes signed updates: other
    models of the same structure, as `tinyops update pack` makes them.
    """
    path, project = resolve_model(model)
    chosen = resolve_board(board, project)
    target = folder or build_folder(chosen, project)
    symbol = symbol_name(path, name, project)
    settings = resolve_features(path, features, project)
    updates = resolve_update(update, project)
    title = f"{plain(path.name)} for {chosen.name}"
    with console.status(title) as status:
        done = build_firmware(
            path,
            chosen,
            target,
            name=symbol,
            features=settings,
            update=updates,
            seconds=plan_seconds,
            step=lambda text: status.update(f"{title}: {text}"),
        )
    if json_to:
        emit_json(done.report, json_to)
        return
    print_build(done)
    say(f"next: tinyops run {plain(shlex.quote(shown(target)))} --verify", style="dim")


def print_build(done: Build) -> None:
    """The files and sizes of a finished build, and what to be warned of."""
    memory = done.report["memory"]
    for file in (done.elf, done.bin, done.hex, done.folder / "report.json", done.folder / "report.html"):
        if file is not None:
            say(f"  {plain(shown(file))}")
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
    if done.update is not None:
        say_update(done.report["update"])
    for warning in done.report["warnings"]:
        say(f"[yellow]warning:[/] {plain(warning)}")


def say_update(section: dict[str, Any]) -> None:
    """Where updates go, and who may sign them."""
    region = section["region"]
    say(
        f"update capsule {section['capsule']['bytes']:,} of {region['bank_bytes']:,} B, "
        f"flash region {region['bytes']:,} B"
    )
    code = section["code"]
    say(
        f"update code {code['own_flash_bytes']:,} B of flash and {code['own_ram_bytes']:,} B of RAM, "
        f"cryptography {code['crypto_flash_bytes']:,} B of flash"
    )
    for key in section["keys"]:
        say(f"update key {key['kid']}: {key['role']}")


def _of(used: int, available: Any) -> str:
    return f"{used:,} of {available:,} B ({100 * used / available:.1f} %)" if available else f"{used:,} B"
