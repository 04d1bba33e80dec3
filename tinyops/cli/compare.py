"""tinyops compare"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
from rich.table import Table

from tinyops.cli.common import emit_json, json_option, out, plain, say
from tinyops.device.compare import Change, Comparison, compare_reports
from tinyops.device.report_file import read_report
from tinyops.errors import UsageError

_SHOWN = 40


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise UsageError(f"--fail-above {value}", allowed="a number of per cent")
    return value


@click.command("compare", short_help="Say what changed between two reports.")
@click.argument("a", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--fail-above",
    type=click.FloatRange(0),
    callback=_finite,
    metavar="PCT",
    help="Exit 1 when flash, RAM, arena, state, constants, MACs or instructions grow by more per cent.",
)
@click.option(
    "--by", type=click.Choice(["percent", "absolute"]), default="percent", show_default=True, help="What is sorted by."
)
@click.option("--all", "everything", is_flag=True, help=f"Show all changes, not only the {_SHOWN} largest.")
@json_option
def command(
    a: Path,
    b: Path,
    fail_above: float | None,
    by: Literal["percent", "absolute"],
    everything: bool,
    json_to: str | None,
) -> None:
    """Say what changed from A.json to B.json: two report.json, or what two runs or benches gave with --json.

    With --fail-above also a result, a figure or outputs' exactness that was there and is no longer are failures.
    """
    comparison = compare_reports(read_report(a), read_report(b), fail_above=fail_above, by=by)
    if json_to:
        emit_json({"a": str(a), "b": str(b), "fail_above": fail_above, **comparison.as_dict()}, json_to)
    if json_to != "-":
        _print(comparison, None if everything else _SHOWN)
    if comparison.regressions:
        raise SystemExit(1)


def _print(comparison: Comparison, limit: int | None) -> None:
    if not comparison.changes and not comparison.differences:
        say("no difference")
    for difference in comparison.differences:
        subject = f"[dim]{plain(difference.subject)}:[/] " if difference.subject else ""
        before, after = (plain(text[:120]) or "-" for text in (difference.before, difference.after))
        say(f"{subject}{plain(difference.fact)}: {before} -> {after}")
    if comparison.changes:
        out.print(_table(comparison.changes[:limit]))
    if limit is not None and len(comparison.changes) > limit:
        say(f"{len(comparison.changes) - limit:,} smaller changes: --all", style="dim")
    for regression in comparison.regressions:
        say(f"[bold red]worse:[/] {plain(regression)}")


def _table(changes: Sequence[Change]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    subjects = any(change.subject for change in changes)
    if subjects:
        table.add_column("of", overflow="fold")
    table.add_column("layer", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    for heading in ("before", "after", "change", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kind", style="dim", no_wrap=True)
    for c in changes:
        grown = c.absolute is not None and c.absolute > 0
        colour = "red" if grown else "green"
        percent = "-" if c.percent is None else f"[{colour}]{c.percent:+.2f}[/]"
        values = ["-" if v is None else f"{v:,}" for v in (c.before, c.after)]
        absolute = "-" if c.absolute is None else f"{c.absolute:+,}"
        own = [plain(c.subject)] if subjects else []
        table.add_row(*own, plain(c.layer or "(all)"), c.figure, *values, absolute, percent, plain(c.kind))
    return table
