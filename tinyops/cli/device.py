"""tinyops device"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyops.cli.ask import info, ping
from tinyops.cli.common import BoardName, emit_json, json_option, note, plain, print_table, say
from tinyops.cli.fleet_options import ago, database_option, moment, open_fleet, plain_table
from tinyops.errors import UsageError

if TYPE_CHECKING:
    from tinyops.update.registry import NewDevice

_MAX_FILE = 16 << 20


class _Devices(click.Group):
    """The help keeps apart what goes to a device and what goes to the fleet's database."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        asks = [name for name, verb in self.commands.items() if verb in (ping, info)]
        for title, names in (
            ("Ask a device", asks),
            ("Devices of the fleet", [n for n in self.commands if n not in asks]),
        ):
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(120)) for name in names])


@click.group("device", cls=_Devices, short_help="Ask a device; the fleet's devices: add, list, show, tag, remove.")
def command() -> None:
    """Ask a device at an ADDRESS; know those of the fleet, which check in with `tinyops serve`, by their ID."""


command.add_command(ping)
command.add_command(info)


@command.command("add")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--class", "class_id", metavar="UUID", help="Class of the devices; otherwise their first check-in says.")
@click.option("--board", "-b", type=BoardName(), help="Board, for people.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Put a tag on them; repeatable.")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Add the devices of a CSV file with the columns id, class, board, tags; tags are separated by blanks.",
)
@database_option
@json_option
def add(
    ids: tuple[str, ...],
    class_id: str | None,
    board: str | None,
    tags: tuple[str, ...],
    file: Path | None,
    database: str | None,
    json_to: str | None,
) -> None:
    """Add devices: those that check in are known by ID, a name of 1 to 32 letters, digits and . _ : -, or 0x...

    All are added, or none. A database that is not there is made.
    """
    if not ids and file is None:
        raise UsageError("no device is named", allowed="ID..., or --from FILE.csv")
    with open_fleet(database, create=True) as fleet:
        from tinyops.update import audit, registry

        new = [registry.NewDevice(name, class_id, board, tags) for name in ids]
        new += _read_csv(file, class_id, board, tags) if file is not None else []
        with fleet.write() as session:
            devices = [registry.as_dict(row) for row in registry.add(session, new, time.time(), audit.person())]
    if json_to:
        emit_json(devices, json_to)
        return
    say(f"{len(devices)} device{'s' if len(devices) != 1 else ''} added")


def _read_csv(file: Path, class_id: str | None, board: str | None, tags: tuple[str, ...]) -> list[NewDevice]:
    """The devices of a file; what it does not say is that of the options."""
    import csv

    from tinyops.update.registry import NewDevice

    if file.stat().st_size > _MAX_FILE:
        raise UsageError("is too large", where=str(file), allowed=f"up to {_MAX_FILE >> 20} MiB")
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, restkey="", restval="", strict=True)
            columns = set(rows.fieldnames or ())
            if "id" not in columns or columns - {"id", "class", "board", "tags"}:
                raise UsageError("has other columns", where=str(file), allowed="id, class, board, tags")
            return [
                NewDevice(
                    row["id"],
                    row.get("class") or class_id,
                    row.get("board") or board,
                    [*tags, *(row.get("tags") or "").split()],
                )
                for row in rows
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"is no CSV file: {error}", where=str(file)) from error


@command.command("list")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only devices with this tag; repeatable.")
@click.option("--where", multiple=True, metavar="CONDITION", help="Only devices that hold it, such as 'sequence<5'.")
@database_option
@json_option
def list_(tags: tuple[str, ...], where: tuple[str, ...], database: str | None, json_to: str | None) -> None:
    """List devices. A condition compares id, board, class, firmware, state, digest, sequence, score or reason."""
    with open_fleet(database) as fleet:
        from tinyops.update import registry
        from tinyops.update.cohort import Cohort, matching

        with fleet.read() as session:
            rows = [registry.as_dict(device) for device in matching(session, Cohort(tags=tags, where=where))]
    if json_to:
        emit_json(rows, json_to)
        return
    if not rows:
        note("no devices")
        return
    table = plain_table("device", "board", "tags", "sequence", "state", "last attempt", "seen")
    for row in rows:
        tag_names = " ".join(row["tags"])
        cells = (row["id"], row["board"] or "-", tag_names, str(row["sequence"]), row["state"], _attempt(row))
        table.add_row(*map(plain, cells), ago(row["last_seen"]))
    print_table(table)


def _attempt(row: dict[str, Any]) -> str:
    return f"{row['attempt']}: {row['reason']}" if row["attempt"] or row["reason"] != "ok" else "-"


@command.command("show")
@click.argument("name", metavar="ID")
@database_option
@json_option
def show(name: str, database: str | None, json_to: str | None) -> None:
    """Show the device ID: what it runs, its rollouts, and what it reported."""
    with open_fleet(database) as fleet:
        from tinyops.update import registry
        from tinyops.update.campaign import REPORTED, parts_of

        with fleet.read() as session:
            device = registry.as_dict(registry.find(session, name))
            reports = [registry.report_as_dict(report) for report in registry.reports(session, device["id"])]
            rollouts = parts_of(session, device["id"])
    if json_to:
        emit_json(device | {"rollouts": rollouts, "reports": reports}, json_to)
        return
    say(f"[bold]{plain(device['id'])}[/]")
    device["tags"] = " ".join(device["tags"])
    device["added"], device["last_seen"] = moment(device["added"]), moment(device["last_seen"])
    table = plain_table("", "").grid(padding=(0, 2))
    for key, value in device.items():
        if key != "id" and value not in (None, ""):
            shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            table.add_row(f"[dim]{key.replace('_', ' ')}[/]", plain(shown))
    print_table(table)
    if rollouts:
        table = plain_table("rollout", "sequence", "wave", "status", "reason", "offered", "finished")
        for part in rollouts:
            table.add_row(
                *(plain(part[key]) for key in ("rollout", "sequence", "wave", "status")),
                part["reason"] if part["status"] in REPORTED else "-",
                moment(part["offered"]),
                moment(part["finished"]),
            )
        print_table(table)
    if reports:
        table = plain_table("reported", "sequence", "state", "attempt", "reason", "model")
        for report in reports:
            cells = (report["sequence"], report["state"], report["attempt"], report["reason"], report["digest"][:16])
            table.add_row(moment(report["time"]), *map(plain, cells))
        print_table(table)


@command.command("tag")
@click.argument("name", metavar="ID")
@click.argument("tags", nargs=-1, required=True, metavar="TAG|-TAG...")
@database_option
@json_option
def tag(name: str, tags: tuple[str, ...], database: str | None, json_to: str | None) -> None:
    """Put each TAG on the device ID, and take each -TAG off it (after --, as in: tag kitchen-01 -- -test)."""
    put = [text for text in tags if not text.startswith("-")]
    take = [text[1:] for text in tags if text.startswith("-")]
    with open_fleet(database) as fleet:
        from tinyops.update import audit, registry

        with fleet.write() as session:
            row = registry.as_dict(registry.tag(session, name, put, take, time.time(), audit.person()))
    if json_to:
        emit_json(row, json_to)
    else:
        say(f"{plain(row['id'])}: {plain(' '.join(row['tags']) or 'no tags')}")


@command.command("remove")
@click.argument("name", metavar="ID")
@database_option
@json_option
def remove(name: str, database: str | None, json_to: str | None) -> None:
    """Forget the device ID. Rollouts go on without it."""
    with open_fleet(database) as fleet:
        from tinyops.update import audit, registry

        with fleet.write() as session:
            registry.remove(session, name, time.time(), audit.person())
    if json_to:
        emit_json({"removed": name}, json_to)
    else:
        say(f"{plain(name)}: removed")
