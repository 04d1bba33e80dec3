"""tinyops update published"""

from __future__ import annotations

import click
from sqlalchemy import select

from tinyops.cli.common import emit_json, json_option, note, plain, print_table
from tinyops.cli.fleet_options import ago, database_option, open_fleet, plain_table


@click.command("published", short_help="List the published updates.")
@database_option
@json_option
def command(database: str | None, json_to: str | None) -> None:
    """List the published updates, newest first."""
    with open_fleet(database) as fleet:
        from tinyops.update import bundles
        from tinyops.update.tables import Bundle

        with fleet.read() as session:
            found = session.scalars(select(Bundle).order_by(Bundle.published.desc()))
            rows = [bundles.as_dict(bundle) for bundle in found]
    if json_to:
        emit_json(rows, json_to)
        return
    if not rows:
        note("nothing is published")
        return
    table = plain_table("update", "name", "component", "sequence", "bytes", "published")
    for row in rows:
        size = sum(file["bytes"] for file in row["files"].values())
        when = "withdrawn" if row["withdrawn"] else ago(row["published"])
        table.add_row(
            row["id"][:16], plain(row["name"]), plain(row["component"]), str(row["sequence"]), f"{size:,}", when
        )
    print_table(table)
