"""tinyops doctor"""

from __future__ import annotations

import dataclasses

import click
from rich.markup import escape
from rich.table import Table

from tinyops.cli.common import board_option, console, emit_json, json_option, out
from tinyops.device.board import find_board
from tinyops.device.doctor import Check, diagnose

_MARKS = {
    "ok": "[green]ok[/]",
    "warning": "[yellow]warning[/]",
    "optional": "[dim]not here[/]",
    "missing": "[red]missing[/]",
}


@click.command("doctor", short_help="Say what is installed, what is missing and how to get it.")
@board_option
@json_option
@click.pass_context
def command(context: click.Context, board: str | None, json_to: str | None) -> None:
    """Say what is installed, what is missing and how to get it.

    With --board only what that board needs. Exit code 1 when something is missing that cannot be done without.
    """
    chosen = find_board(board) if board else None
    with console.status("looking"):
        checks = diagnose(chosen)
    if json_to:
        emit_json({"board": board, "checks": [dataclasses.asdict(check) for check in checks]}, json_to)
    else:
        _print(checks)
    if any(check.status == "missing" for check in checks):
        context.exit(1)


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
