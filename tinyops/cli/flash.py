"""tinyops flash"""

from __future__ import annotations

from pathlib import Path

import click

from tinyops.cli.common import board_option, emit_json, json_option, resolve_board, say
from tinyops.device.board import find_board
from tinyops.device.build import load_build
from tinyops.device.flash import flash_build
from tinyops.device.project import find_project


@click.command("flash", short_help="Write a firmware image to a board.")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@board_option
@json_option
def command(folder: Path | None, board: str | None, json_to: str | None) -> None:
    """Write the firmware that was built into FOLDER (default: build/BOARD) to its board.

    For an emulated board that is its flash image, FOLDER/flash.img, which `tinyops run FOLDER` boots.
    """
    project = find_project()
    if folder is None:
        chosen = resolve_board(board, project)
        folder = (project.build_dir if project else Path("build")) / chosen.name
    report = load_build(folder, find_board(board) if board else None)
    chosen = find_board(report["board"]["name"], project.file.parent if project else None)
    written = flash_build(folder, chosen)
    if json_to:
        emit_json(
            {"board": chosen.name, "image": str(written.image), "bytes": written.bytes, "verified": True}, json_to
        )
        return
    say(f"{chosen.name}: {written.bytes:,} B written to {written.image} and verified")
    say(f"next: tinyops run {folder}", style="dim")
