"""What verbs about the fleet share: where it is, durations, percentages, and how times are shown."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.table import Table

if TYPE_CHECKING:
    from tinyops.update.database import Database
    from tinyops.update.store import Store

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

database_option = click.option(
    "--database",
    metavar="URL",
    help="The fleet's database: a file, or postgresql://...; default: TINYOPS_DATABASE, or fleet/fleet.db.",
)


def store_option(function: F) -> F:
    """`--store FOLDER` and `--store-limit MB`; the verb gets them as `store` and `store_limit`."""
    function = click.option(
        "--store-limit",
        type=click.IntRange(1, 1 << 20),
        default=4096,
        show_default=True,
        metavar="MB",
        help="Most that the files may take, in MiB.",
    )(function)
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Folder of published files; default: TINYOPS_STORE, or store/ beside the database's file.",
    )(function)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Seconds, from a text such as 90s, 15m, 12h or 30d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is no duration, such as 90s, 15m, 12h or 30d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Percent(click.ParamType):  # type: ignore[type-arg]
    """A percentage, with or without the sign."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        if not re.fullmatch(r"\d{1,3}(?:\.\d{1,3})? ?%?", value) or float(value.rstrip("% ")) > 100:
            self.fail(f"{value!r} is no percentage, 0 to 100", param, ctx)
        return float(value.rstrip("% "))


@contextmanager
def open_fleet(where: str | None, *, create: bool = False) -> Iterator[Database]:
    """The fleet's database, closed at the end."""
    from tinyops.update.database import open_database

    database = open_database(where, create=create)
    try:
        yield database
    finally:
        database.close()


def open_store(folder: Path | None, database: Database, limit: int) -> Store:
    """The folder of published files; `limit` in MiB."""
    from tinyops.update.store import Store

    beside = Path("fleet") if database.postgres else Path(database.name).parent
    chosen = folder or Path(os.environ.get("TINYOPS_STORE") or beside / "store")
    return Store(chosen, max_total=limit << 20)


def plain_table(*headings: str) -> Table:
    """A table for a terminal, without lines; what does not fit is wrapped in the last column."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        last = heading == headings[-1]
        table.add_column(heading, no_wrap=not last, overflow="fold" if last else "ellipsis")
    return table


def ago(moment: float | None) -> str:
    """How long ago something was, for people."""
    if moment is None:
        return "never"
    seconds = max(0.0, time.time() - moment)
    for unit, size in reversed(_UNITS.items()):
        if seconds >= size:
            return f"{seconds / size:.0f} {'min' if unit == 'm' else unit} ago"
    return "now"


def moment(seconds: float | None) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds is not None else "-"
