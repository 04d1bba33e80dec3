"""tinyops bench"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tinyops.cli.common import (
    BoardName,
    emit_json,
    folder_of,
    html_option,
    json_option,
    out,
    plain,
    progress,
    resolve_model,
    say,
    shown,
)
from tinyops.cli.os_options import OsOptions, os_options, resolve_target
from tinyops.device.bench import BenchTarget, emulated_boards, failures, make_cases, run_bench
from tinyops.device.board import list_board_files
from tinyops.device.project import Project, find_project
from tinyops.emit.files import write_file
from tinyops.emit.html import bench_page
from tinyops.errors import MissingToolError, UsageError


@click.command("bench", short_help="Models on boards side by side: sizes, counts, bit-exactness.")
@click.argument("models", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--board", "-b", "boards", type=BoardName(), multiple=True, help="Again for more; default: all emulated boards."
)
@click.option(
    "--plan-seconds",
    type=click.FloatRange(0.1, 600),
    multiple=True,
    default=[2.0],
    show_default="2",
    help="Time bound of the memory planner; again to compare.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random input.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="[BOARD=]PORT",
    help="Where hardware is reached, again for more boards; default: its serial port.",
)
@os_options
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Keep the builds in this folder.")
@html_option
@json_option
def command(
    models: tuple[Path, ...],
    boards: tuple[str, ...],
    plan_seconds: tuple[float, ...],
    seed: int,
    ports: tuple[str, ...],
    system: OsOptions,
    folder: Path | None,
    html_to: Path | None,
    json_to: str | None,
) -> None:
    """Build every model in MODELS for every board, run one seeded invocation of each, and compare.

    Hardware is flashed with each build and counts cycles. Outputs are compared with the reference. What fails is
    shown and does not stop the others; the exit status is then 1.
    """
    project = find_project()
    paths = [resolve_model(model)[0] for model in models or (None,)]
    files = list_board_files(folder_of(project))
    if not boards and (system.os == "riot" or system.base or system.network):
        raise UsageError(
            "no board is named", allowed="--board NAME; on RIOT without hardware: native64, microbit, hifive1b"
        )
    emulated = [] if boards else emulated_boards(list(files.values()))
    names = _unique(boards)
    places = _places(ports, names)
    targets = [_target(name, system, project, places.get(name)) for name in names]
    targets += [BenchTarget(board.name, board) for board in emulated]
    cases = make_cases(_unique(paths), targets, _unique(plan_seconds))
    if folder is not None and folder.is_file():
        raise UsageError("is a file", where=str(folder), allowed="a folder, which may not exist yet")
    with ExitStack() as stack:
        target = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinyops-bench-")))
        bar = stack.enter_context(progress())
        task = bar.add_task("", total=len(cases))
        bench = run_bench(
            cases,
            target,
            seed=seed,
            step=lambda text: bar.update(task, description=plain(text)),
            advance=lambda _: bar.advance(task),
        )
    if html_to is not None:
        write_file(html_to, bench_page(bench))
    if json_to:
        emit_json(bench, json_to)
    if json_to != "-":
        _print(bench, len(set(plan_seconds)) > 1)
        if html_to is not None:
            say(f"page: {plain(shown(html_to))}")
    if failures(bench):
        raise SystemExit(1)


def _target(name: str, system: OsOptions, project: Project | None, port: str | None) -> BenchTarget:
    """The board and its system; where RIOT is missing, that is what the board's results are."""
    try:
        target = resolve_target(name, system, project)
    except MissingToolError as error:
        return BenchTarget(name, None, port=port, missing=error)
    return BenchTarget(target.name, target.board, target.riot, port)


def _places(ports: tuple[str, ...], boards: list[str]) -> dict[str, str]:
    """Board -> its port; a port alone is that of the only board."""
    places = {}
    for given in ports:
        name, separator, port = given.partition("=")
        if not separator and len(boards) == 1:
            name, port = boards[0], given
        if name not in boards or not port:
            raise UsageError(f"--port {given}", allowed="BOARD=PORT with a board of --board, or PORT of the only one")
        places[name] = port
    return places


def _unique(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))


def _print(bench: dict[str, Any], limits: bool) -> None:
    results = bench["results"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("model", "board"):
        table.add_column(heading, no_wrap=True)
    units = {unit for r in results if (unit := _count(r)[1])}
    counted = units.pop() if len(units) == 1 else "count" if units else "instructions"
    for heading in (*(("plan s",) if limits else ()), "flash B", "RAM B", "arena B", counted):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("outputs", no_wrap=True)
    before = None
    for r in results:
        name = plain(Path(r["model"]).name) if r["model"] != before else ""
        before = r["model"]
        table.add_row(name, r["board"], *([f"{r['plan_seconds']:g}"] if limits else []), *_cells(r, counted))
    out.print(table)
    kinds = sorted({r["kind"] for r in results if r["status"] == "ok" and r["kind"]})
    if kinds:
        say(f"{counted} of one invocation, seed {bench['seed']}: {', '.join(kinds)}", style="dim")
    for r in results:
        if r["status"] != "ok":
            error = r["error"]
            say(f"[red]failed:[/] {plain(Path(r['model']).name)} on {r['board']}: {plain(error['error'])}")
            if error["hint"]:
                say(f"  [dim]try:[/] {plain(error['hint'])}")
    bad = failures(bench)
    say(f"{len(results) - bad} of {len(results)} bit-exact" + (f", [bold red]{bad} not[/]" if bad else ""))


def _count(result: dict[str, Any]) -> tuple[int | None, str | None]:
    """What a result counts, and of what."""
    for unit in ("cycles", "instructions"):
        if result.get(unit) is not None:
            return result[unit], unit
    return None, None


def _cells(result: dict[str, Any], counted: str) -> list[str]:
    if result["status"] != "ok":
        return ["-", "-", "-", "-", "[red]failed[/]"]
    memory, (count, unit) = result["memory"], _count(result)
    exact = "[green]bit-exact[/]" if result["mismatches"] == 0 else f"[bold red]{result['mismatches']:,} mismatches[/]"
    sizes = [f"{memory[key]:,}" for key in ("flash_bytes", "ram_bytes", "arena_bytes")]
    which = f" {unit}" if unit != counted else ""  # where they are mixed
    return [*sizes, "-" if count is None else f"{count:,}{which}", exact]
