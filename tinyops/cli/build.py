"""tinyops build"""

from __future__ import annotations

import shlex
import typing
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
    resolve_features,
    resolve_model,
    say,
    shown,
    symbol_name,
)
from tinyops.cli.os_options import OsOptions, Target, os_options, resolve_target
from tinyops.cli.updatable import UpdateOptions, resolve_update, update_options
from tinyops.device.build import Build, build_firmware
from tinyops.device.riot.build import build_riot
from tinyops.device.riot.network import DEFAULT, LINK_OF
from tinyops.lower import Optimize


@click.command("build", short_help="Generate code and build firmware for a board.")
@model_argument
@board_option
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder; default: build/BOARD.")
@click.option("--name", help="Prefix of all symbols; default: from the file's name.")
@features_option
@click.option("--plan-seconds", type=click.FloatRange(0.1, 600), default=2.0, help="Time bound of the memory planner.")
@click.option(
    "--optimize",
    type=click.Choice(typing.get_args(Optimize)),
    default="portable",
    show_default=True,
    help="Kernels: in portable C, or made for the processor, for size, for speed, or a balance.",
)
@os_options
@update_options
@json_option
def command(
    model: Path | None,
    board: str | None,
    folder: Path | None,
    name: str | None,
    features: Path | None,
    plan_seconds: float,
    optimize: Optimize,
    system: OsOptions,
    update: UpdateOptions,
    json_to: str | None,
) -> None:
    """Build the firmware of MODEL for a board: generated code, ELF, BIN, HEX, report.json and report.html.

    With a table [features] in tinyops.toml, or --features, it takes raw data as well, through that front end. A model
    that cannot fit is refused before anything is compiled. With --updatable the firmware takes signed updates: other
    models of the same structure, as `tinyops update pack` makes them.

    With --optimize, kernels made for the processor take the place of those in C, where there are any: today for int8
    layers on processors with the DSP extension (Cortex-M4, M7, M33, M55). The outputs are the same, bit by bit.

    With --os riot the firmware is an application of RIOT, for any board that RIOT supports; RIOT itself is yours.
    """
    path, project = resolve_model(model)
    chosen = resolve_target(board, system, project)
    target = folder or build_folder(chosen.name, project, "riot" if chosen.riot else "bare")
    symbol = symbol_name(path, name, project)
    settings = resolve_features(path, features, project)
    updates = resolve_update(update, project)
    title = f"{plain(path.name)} for {chosen.name}"
    with console.status(title) as status:
        options: Any = {
            "name": symbol,
            "features": settings,
            "update": updates,
            "optimize": optimize,
            "seconds": plan_seconds,
            "step": lambda text: status.update(f"{title}: {text}"),
        }
        done = build(path, chosen, target, **options)
    if json_to:
        emit_json(done.report, json_to)
        return
    print_build(done)
    say(f"next: {plain(_next(chosen, target))}", style="dim")


def _next(chosen: Target, folder: Path) -> str:
    """The command that a person will want now."""
    quoted = shlex.quote(shown(folder))
    if chosen.riot is None or chosen.riot.network == DEFAULT:
        return f"tinyops run {quoted} --verify"
    link = LINK_OF.get(chosen.riot.network)
    how = f" --link {link}" if link else ""
    native = chosen.riot.board.startswith("native")
    start = f"start {quoted}/firmware.elf, then " if native else f"tinyops flash {quoted}, then "
    return f"{start}tinyops device info ADDRESS{how} (docs/networks.md)"


def build(model: Path, target: Target, folder: Path, **options: Any) -> Build:
    """Build for the target's system; `options` are those that build_firmware and build_riot share."""
    if target.riot is not None:
        return build_riot(model, target.riot, target.board, folder, **options)
    assert target.board is not None
    return build_firmware(model, target.board, folder, **options)


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
