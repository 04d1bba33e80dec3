"""tinyops boards"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from tinyops.cli.common import BoardName, console, emit_json, json_option, out
from tinyops.device.board import Board, Memory, find_board, list_board_files, load_board
from tinyops.errors import TinyopsError

_KINDS = {"host": "This computer", "emulated": "Emulated", "real": "Real"}
_WIDE = 110  # columns from which there is room for titles


@click.group("boards", invoke_without_command=True, short_help="List the boards, or show one.")
@json_option
@click.pass_context
def command(context: click.Context, json_to: str | None) -> None:
    """List the boards that can be had here, or show one.

    A file boards/NAME.toml in the project or in the user's configuration folder adds a board or replaces a shipped
    one; `tinyops boards show NAME --toml` gives a model for it.
    """
    if context.invoked_subcommand is not None:
        return
    boards = _load_all()
    if json_to:
        emit_json([_summary(board) for board in boards], json_to)
    else:
        _print_list(boards)


@command.command("show")
@click.argument("name", type=BoardName())
@click.option("--toml", "as_toml", is_flag=True, help="Print the board's file as it is.")
@json_option
def show(name: str, as_toml: bool, json_to: str | None) -> None:
    """Show what is known of the board NAME."""
    board = find_board(name)
    path = list_board_files()[name]
    if as_toml:
        out.file.write(path.read_text(encoding="utf-8"))
    elif json_to:
        emit_json({**board.model_dump(mode="json"), "file": str(path)}, json_to)
    else:
        _print_board(board, path)


def _load_all() -> list[Board]:
    """All sound boards, by kind and name; a faulty file is reported and left out."""
    boards = []
    for path in list_board_files().values():
        try:
            boards.append(load_board(path))
        except TinyopsError as error:
            console.print(f"[yellow]left out:[/] {escape(str(error))}", soft_wrap=True)
    return sorted(boards, key=lambda board: (list(_KINDS).index(board.kind), board.name))


def _summary(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "kind": board.kind,
        "core": board.processor.core,
        "isa": board.processor.isa,
        "clock_hz": board.processor.clock_hz,
        "flash_bytes": board.flash.bytes if board.flash else None,
        "ram_bytes": board.ram.bytes if board.ram else None,
        "toolchain": board.toolchain.name,
        "links": list(board.links),
    }


def _print_list(boards: list[Board]) -> None:
    wide = out.width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Board", no_wrap=True)
    table.add_column("Core", no_wrap=True)
    for name in ("MHz", "Flash", "RAM"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("What it is")
    table.add_column("Links")
    kind = None
    for board in boards:
        if board.kind != kind:
            kind = board.kind
            if table.row_count:
                table.add_row()
            table.add_row(f"[bold]{_KINDS[kind]}[/]")
        cells = [
            f"[cyan]{escape(board.name)}[/]",
            escape(board.processor.core),
            _megahertz(board),
            _size(board.flash),
            _size(board.ram),
        ]
        links = escape(" ".join(link for link in board.links if link != "uart"))  # all have that
        table.add_row(*cells, *([escape(board.title), links] if wide else [links]))
    out.print(table)


def _print_board(board: Board, path: Path) -> None:
    p, probe = board.processor, board.probe
    cores = f", {p.cores} cores" if p.cores > 1 else ""
    rows = {
        "processor": f"{p.core} ({p.isa}{cores})" + (f", {_megahertz(board)} MHz" if p.clock_hz else ""),
        "features": ", ".join(p.features),
        "flash": _memory(board.flash),
        "RAM": _memory(board.ram),
        "toolchain": " ".join((board.toolchain.name, *board.toolchain.flags)),
        "firmware": f"firmware/{board.firmware.port}" if board.firmware.port else "",
        "counts": _counter(board),
        "emulator": " ".join((board.emulator.program, *board.emulator.args)) if board.emulator else "",
        "probe": ", ".join(probe.backends),
        "pyOCD target": probe.pyocd_target,
        "OpenOCD config": probe.openocd_config,
        "J-Link device": probe.jlink_device,
        "esptool chip": probe.esptool_chip,
        "USB": probe.onboard,
        "chip ID": f"{probe.chip_id.value:#x} at {probe.chip_id.address:#010x}" if probe.chip_id else "",
        "by hand": probe.manual,
        "RIOT": board.os.riot,
        "Ariel OS": board.os.ariel,
        "links": ", ".join(board.links),
        "source": board.source,
        "file": str(path),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    out.print(f"[bold]{escape(board.name)}[/]  {escape(board.title)}")
    out.print(table)


def _counter(board: Board) -> str:
    unit = "cycles" if board.kind == "real" else "instructions"
    return "" if board.firmware.counter == "none" else f"{unit}, by {board.firmware.counter}"


def _megahertz(board: Board) -> str:
    return f"{board.processor.clock_hz / 1e6:g}" if board.processor.clock_hz else "-"


def _size(memory: Memory | None) -> str:
    if memory is None:
        return "-"
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if memory.bytes >= scale:
            return f"{memory.bytes / scale:.1f}".removesuffix(".0") + f" {unit}"
    return f"{memory.bytes} B"


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return ""
    facts = [f"{_size(memory)} at {memory.origin:#010x}"]
    if memory.wait_states is not None:
        facts.append(f"{memory.wait_states} wait state{'' if memory.wait_states == 1 else 's'}")
    if memory.erase_bytes:
        facts.append(f"erased by {memory.erase_bytes:,} B")
    if memory.write_bytes:
        facts.append(f"written by {memory.write_bytes} B")
    return ", ".join(facts) + (f"\n{memory.note}" if memory.note else "")
