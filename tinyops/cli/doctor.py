"""tinyops doctor"""

from __future__ import annotations

import dataclasses

import click
from rich.markup import escape
from rich.table import Table

from tinyops.cli.common import board_option, console, emit_json, folder_of, json_option, out
from tinyops.cli.os_options import OsOptions, os_options, resolve_target
from tinyops.device.board import find_riot_board
from tinyops.device.doctor import Check, diagnose
from tinyops.device.project import find_project
from tinyops.device.riot.build import board_of_riot
from tinyops.device.riot.doctor import check_no_riot, diagnose_riot
from tinyops.errors import MissingToolError, UsageError

_MARKS = {
    "ok": "[green]ok[/]",
    "warning": "[yellow]warning[/]",
    "optional": "[dim]not here[/]",
    "missing": "[red]missing[/]",
}


@click.command("doctor", short_help="Say what is installed, what is missing and how to get it.")
@board_option
@os_options
@json_option
@click.pass_context
def command(context: click.Context, board: str | None, system: OsOptions, json_to: str | None) -> None:
    """Say what is installed, what is missing and how to get it.

    With --board only what that board needs, under RIOT its compiler and packages. Exit code 1 when something is missing
    that cannot be done without.
    """
    if board is None and system != OsOptions():
        raise UsageError("--os, --riot-base and --network are about a board", allowed="with --board NAME")
    with console.status("looking"):
        checks = _diagnose(board, system) if board else diagnose(None)
    if json_to:
        emit_json({"board": board, "checks": [dataclasses.asdict(check) for check in checks]}, json_to)
    else:
        _print(checks)
    if any(check.status == "missing" for check in checks):
        context.exit(1)


def _diagnose(name: str, system: OsOptions) -> list[Check]:
    """What the board needs, under RIOT where that is what its firmware would run on."""
    project = find_project()
    try:
        target = resolve_target(name, system, project)
    except MissingToolError:  # no RIOT is named
        board = find_riot_board(name, folder_of(project))
        if board is None:
            raise
        none = check_no_riot(needed=system.os == "riot")
        return [none, *diagnose(board)]
    if target.riot is None:
        return diagnose(target.board)
    return diagnose(target.board or board_of_riot(target.riot), system=diagnose_riot(target.riot))


def _print(checks: list[Check]) -> None:
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group, []).append(check)
    for group, members in groups.items():
        table = Table.grid(padding=(0, 2), expand=False)
        table.add_column(width=8)
        table.add_column(min_width=20, no_wrap=True)
        table.add_column(overflow="fold")
        for check in members:
            detail = escape(check.detail)
            if check.fix and check.status != "ok":
                detail += f"\n[cyan]{escape(check.fix)}[/]"
            table.add_row(_MARKS[check.status], escape(check.name), detail)
        out.print(f"[bold]{group}[/]")
        out.print(table)
        out.print()
    missing = [check for check in checks if check.status == "missing"]
    if missing:
        out.print(f"[red]{len(missing)} missing:[/] {', '.join(escape(check.name) for check in missing)}")
    else:
        out.print("[green]Nothing is missing[/] that cannot be done without.")
