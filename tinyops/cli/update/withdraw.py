"""tinyops update withdraw"""

from __future__ import annotations

import time
from pathlib import Path

import click

from tinyops.cli.common import emit_json, json_option, plain, say
from tinyops.cli.fleet_options import database_option, open_fleet, open_store, store_option


@click.command("withdraw", short_help="Take a published update back.")
@click.argument("bundle", metavar="UPDATE")
@database_option
@store_option
@json_option
def command(bundle: str, database: str | None, store: Path | None, store_limit: int, json_to: str | None) -> None:
    """Take the published UPDATE (its id or name) back, and remove its files. No rollout may need it."""
    with open_fleet(database) as fleet:
        from tinyops.update import audit, bundles

        files = open_store(store, fleet, store_limit)
        found = bundles.withdraw(fleet, files, bundle, time.time(), audit.person())
    if json_to:
        emit_json(bundles.as_dict(found), json_to)
    else:
        say(f"{plain(found.name)}: withdrawn")
