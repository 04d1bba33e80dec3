"""tinyops flash"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tinyops.cli.common import (
    board_option,
    build_folder,
    emit_json,
    folder_of,
    json_option,
    plain,
    resolve_board,
    say,
    shown,
)
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
        folder = build_folder(resolve_board(board, project, allowed="FOLDER, or --board NAME"), project)
    report = load_build(folder, resolve_board(board, project) if board else None)
    chosen = find_board(report["board"]["name"], folder_of(project))
    written = flash_build(folder, chosen)
    if json_to:
        emit_json(
            {"board": chosen.name, "image": str(written.image), "bytes": written.bytes, "verified": True}, json_to
        )
        return
    say(f"{chosen.name}: {written.bytes:,} B written to {plain(shown(written.image))} and verified")
    say(f"next: tinyops run {plain(shlex.quote(shown(folder)))} --verify", style="dim")
