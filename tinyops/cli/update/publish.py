"""tinyops update publish"""

from __future__ import annotations

import time
from pathlib import Path

import click

from tinyops.cli.common import emit_json, json_option, plain, say
from tinyops.cli.fleet_options import database_option, open_fleet, open_store, store_option
from tinyops.cli.key_options import keys_option
from tinyops.update.keystore import Keystore


@click.command("publish", short_help="Put a packed update on the fleet's server.")
@click.argument("pack", type=click.Path(path_type=Path), metavar="PACK")
@database_option
@store_option
@keys_option
@json_option
def command(
    pack: Path, database: str | None, store: Path | None, store_limit: int, keystore: Keystore, json_to: str | None
) -> None:
    """Put the update in the folder PACK, which `tinyops update pack` made, on the fleet's server.

    It is verified first with the keys of --keys, as a device would. Devices get it by `tinyops update rollout`.
    """
    with open_fleet(database, create=True) as fleet:
        from tinyops.update import audit, bundles

        now = time.time()
        read = bundles.read_pack(pack, keystore, now)
        files = open_store(store, fleet, store_limit)
        bundle = bundles.publish(fleet, files, read, now, audit.person())
    if json_to:
        emit_json(bundles.as_dict(bundle), json_to)
        return
    done = "published" if bundle.published == now else "published already:"
    say(f"{done} {plain(bundle.name)}, sequence {bundle.sequence}, {bundle.size:,} B")
    say(f"  {bundle.path}")
    say(f"next: tinyops update rollout create {bundle.id[:16]}", style="dim")
