"""tinyops audit"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import click

from tinyops.cli.common import emit_json, json_option, note, out, plain, print_table, say
from tinyops.cli.fleet_options import database_option, open_fleet, plain_table
from tinyops.cli.key_options import keys_option, passphrase_option, passphrase_source
from tinyops.emit.files import write_file
from tinyops.update.keystore import Keystore


@click.group("audit", short_help="The log of what was done to the fleet: list it, check it.")
def command() -> None:
    """The fleet's log: who did what, when, as a chain of hashes that only grows."""


@command.command("list")
@click.option("-n", "--last", type=click.IntRange(1), metavar="N", help="Only the last N entries.")
@click.option("--action", metavar="TEXT", help="Only actions that begin with TEXT, such as rollout.")
@database_option
@json_option
def list_(last: int | None, action: str | None, database: str | None, json_to: str | None) -> None:
    """List the log."""
    with open_fleet(database) as fleet:
        from tinyops.update import audit

        with fleet.read() as session:
            found = (entry for entry in audit.entries(session) if entry.action.startswith(action or ""))
            rows = [audit.as_dict(entry) for entry in deque(found, maxlen=last)]
    if json_to:
        emit_json(rows, json_to)
        return
    if not rows:
        note("the log is empty")
        return
    table = plain_table("entry", "time", "actor", "action", "details")
    for row in rows:
        cells = (row["number"], row["time"][:19] + "Z", row["actor"], row["action"], audit.describe(row["details"]))
        table.add_row(*map(plain, cells))
    print_table(table)


@command.command("verify")
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="HASH|FILE",
    help="The log must contain this head: a hash, or a file of `tinyops audit head`; repeatable.",
)
@keys_option
@database_option
@json_option
def verify(heads: tuple[str, ...], keystore: Keystore, database: str | None, json_to: str | None) -> None:
    """Check that no entry was changed, removed, inserted or moved; exit code 1 if one was.

    Whether entries were cut off at the end, or the whole log was made anew, only a head can tell that was kept
    elsewhere.
    """
    with open_fleet(database) as fleet:
        from tinyops.update import audit
        from tinyops.update.audit_head import read_head

        hashes = [read_head(text, keystore) for text in heads]
        with fleet.read() as session:
            end = audit.verify(audit.entries(session), hashes)
    if json_to:
        emit_json({"entries": end.number, "head": end.hash, "contains": hashes, "intact": True}, json_to)
        return
    say(f"{end.number} entries, an unbroken chain" + (f", which contains the {len(heads)} given" if heads else ""))
    say(f"head {end.hash}")


@command.command("head")
@click.option("--key", metavar="NAME", help="Sign it with this key (tinyops keys).")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: standard output.")
@keys_option
@passphrase_option
@database_option
def head(
    key: str | None, output: Path | None, keystore: Keystore, passphrase_file: Path | None, database: str | None
) -> None:
    """Print the head of the log as JSON, signed if you like: keep it where who changes the log cannot reach it."""
    with open_fleet(database) as fleet:
        from tinyops.update import audit
        from tinyops.update.audit_head import make_head

        with fleet.read() as session:
            end = audit.verify(audit.entries(session))
        signer = keystore.signer(keystore.get(key), passphrase_source(passphrase_file)) if key else None
        text = json.dumps(make_head(end, signer), indent=2) + "\n"
    if output is None:
        out.file.write(text)
    else:
        write_file(output, text)
