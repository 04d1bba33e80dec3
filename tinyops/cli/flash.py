"""tinyops flash"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table

from tinyops.cli.common import (
    board_option,
    build_folder,
    console,
    emit_json,
    folder_of,
    json_option,
    note,
    plain,
    print_error,
    print_table,
    resolve_board,
    say,
    shown,
)
from tinyops.device.board import Board, find_board
from tinyops.device.build import REPORT, board_of_build, load_build
from tinyops.device.flash import flash_build
from tinyops.device.flash.attached import find_attached
from tinyops.device.flash.boards import FlashOptions as Options
from tinyops.device.flash.boards import Follow, Outcome, flash_board
from tinyops.device.flash.choose import BACKENDS, Choice, pair
from tinyops.device.project import Project, find_project
from tinyops.errors import UsageError

_REAL_ONLY = "for real boards alone"


@click.command("flash", short_help="Write a firmware image to a board.")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@board_option
@click.option("--list", "list_only", is_flag=True, help="List what is attached and can flash, and write nothing.")
@click.option("--probe", metavar="ID", help="The device to use: its serial number or the end of it, a port, a drive.")
@click.option("--backend", type=click.Choice(list(BACKENDS)), help="What flashes; default: the first that is ready.")
@click.option("--all", "every", is_flag=True, help="Flash every attached board of this kind, one after the other.")
@click.option(
    "--verify/--no-verify", default=None, help="Read the flash back and compare; default: where the backend can."
)
@click.option("--erase", is_flag=True, help="Erase all of the flash first, updates and their sequence number included.")
@click.option("--recover", is_flag=True, help="Unlock a locked chip first, which erases all of its flash.")
@click.option("--reset/--no-reset", default=True, help="Start the firmware afterwards; default: yes.")
@click.option(
    "--model-bank",
    "model",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Write this model (.tflite, .onnx, a capsule, a pack) into the bank that is not in use, and nothing else.",
)
@json_option
def command(
    folder: Path | None, board: str | None, list_only: bool, model: Path | None, json_to: str | None, **given: Any
) -> None:
    """Write the firmware that was built into FOLDER (default: build/BOARD) to its board.

    For an emulated board that is its flash image, FOLDER/flash.img, which `tinyops run FOLDER` boots. A real board is
    written through its probe or its bootloader, by the first of its backends that is ready here.
    """
    project = find_project()
    if list_only:
        _list(find_board(board, folder_of(project)) if board else None, json_to)
        return
    if folder is None:
        folder = _default_folder(board, project)
    report = load_build(folder, board)
    chosen = board_of_build(report, folder_of(project))
    if chosen.kind != "real":
        _refuse_real_options(chosen, model, given)
        _write_image(folder, chosen, json_to)
        return
    options = Options(**given, model=None if model is None else _capsule(model, report))
    with _bars() as follow:
        outcomes = flash_board(folder, report, chosen, options, follow=follow)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if json_to:
        results = [outcome.as_dict() for outcome in outcomes]
        emit_json({"board": chosen.name, "ok": not failed, "devices": results}, json_to)
    else:
        _print(outcomes, folder, "update" in report)
    if failed:
        click.get_current_context().exit(1)


def _default_folder(name: str | None, project: Project | None) -> Path:
    """Where the board's build is: without an operating system or on RIOT, the one that the project names first."""
    systems = ("riot", "bare") if project is not None and project.os == "riot" else ("bare", "riot")
    board = name or (project.board if project else None)
    if board is not None:
        for system in systems:
            folder = build_folder(board, project, system)
            if (folder / REPORT).is_file():
                return folder
    chosen = resolve_board(name, project, allowed="FOLDER, or --board NAME")
    return build_folder(chosen, project, systems[0] if chosen.firmware.port else "riot")


def _refuse_real_options(board: Board, model: Path | None, given: dict[str, Any]) -> None:
    """Options that mean nothing for a board that is a file."""
    names = {"probe": "--probe", "backend": "--backend", "every": "--all", "erase": "--erase", "recover": "--recover"}
    used = [option for name, option in names.items() if given[name]]
    if model is not None:
        used.append("--model-bank")
    if used:
        raise UsageError(f"is {_REAL_ONLY}, and {board.name} is not one", where=used[0], hint="tinyops update push")


def _write_image(folder: Path, board: Board, json_to: str | None) -> None:
    written = flash_build(folder, board)
    if json_to:
        emit_json({"board": board.name, "image": str(written.image), "bytes": written.bytes, "verified": True}, json_to)
        return
    say(f"{board.name}: {written.bytes:,} B written to {plain(shown(written.image))} and verified")
    say(f"next: tinyops run {plain(shlex.quote(shown(folder)))} --verify", style="dim")


def _capsule(model: Path, report: dict[str, Any]) -> bytes:
    """The capsule to be written: that of a file, a pack or a build, or made of a model file for this firmware."""
    from tinyops.features import read_settings
    from tinyops.update.pack_model import ModelOptions, make_capsule, read_previous

    if model.suffix not in (".tflite", ".onnx"):
        return read_previous(model).capsule
    front_end = report.get("features")
    settings = read_settings(front_end["settings"], "report.json") if front_end else None
    with console.status("compiling the model"):
        return make_capsule(model, report["model"]["name"], ModelOptions(), features=settings).encoded


@contextmanager
def _bars() -> Iterator[Follow]:
    """Progress bars on standard error, one for each device; silent where that is not a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:

        def follow(choice: Choice) -> Any:
            title = f"{choice.backend.name} {plain(choice.device.title)} {plain(choice.device.id)}"
            task = bars.add_task(title, total=1.0)
            return lambda done: bars.update(task, completed=done)

        yield follow


def _print(outcomes: list[Outcome], folder: Path, updatable: bool) -> None:
    for outcome in outcomes:
        name = f"{outcome.board}, {plain(outcome.device.title)} ({plain(outcome.device.id)})"
        if outcome.error is not None:
            say(f"{name}: [red]failed[/]")
            print_error(outcome.error)
            continue
        what = "" if outcome.bank is None else f" of the model to bank {outcome.bank}"
        verified = {"not at all": "not verified", "read back": "verified", "by the tool": "verified by the tool"}
        done = f"{outcome.bytes:,} B{what} written with {outcome.backend} in {outcome.seconds:.1f} s"
        say(f"{name}: {done}, {verified[outcome.verified]}")
    good = [outcome for outcome in outcomes if outcome.error is None]
    if len(outcomes) > 1:
        say(f"{len(good)} of {len(outcomes)} boards")
    if good and good[0].bank is not None:
        note("the device tries the model at its next start, and goes back to the one it has when it fails")
    elif good and updatable:
        note("models of earlier updates and the sequence number stay; --erase removes them")
    if len(good) == len(outcomes):
        say(f"next: tinyops run {plain(shlex.quote(shown(folder)))}", style="dim")


def _list(board: Board | None, json_to: str | None) -> None:
    """What is attached; with a board, what of it flashes that board and how."""
    devices = find_attached()
    choices, reasons = pair(board, devices) if board else ([], [])
    by_device = {choice.device: choice.backend.name for choice in choices}
    if json_to:
        rows = [
            {"id": d.id, "kind": d.kind, "title": d.title, "node": d.node, "may_open": d.allowed,
             "usb": "{:04x}:{:04x}".format(*d.usb) if d.usb else None, "backend": by_device.get(d)}
            for d in devices
        ]  # fmt: skip
        left_out = [{"backend": r.backend, "why": r.what, "fix": r.fix} for r in reasons]
        emit_json({"board": board.name if board else None, "devices": rows, "left_out": left_out}, json_to)
        return
    if not devices:
        say("nothing is attached that can flash a board")
    else:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for header in ("ID", "Kind", "What it is", f"Flashes {board.name}" if board else "Backends"):
            table.add_column(header, no_wrap=header == "ID")
        for device in devices:
            usual = ", ".join(name for name, kind in BACKENDS.items() if device.kind in kind.kinds)
            with_ = f"with {by_device[device]}" if device in by_device else "no" if board else usual
            barred = "" if device.allowed else " [red](no permission)[/]"
            table.add_row(plain(device.id), device.kind, plain(device.title) + barred, with_)
        print_table(table)
    for reason in reasons:
        note(f"{reason.backend} {reason.what}" + (f": {reason.fix}" if reason.fix else ""))
