"""tinyops update rollout"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyops.cli.common import emit_json, json_option, note, plain, print_table, say
from tinyops.cli.fleet_options import (
    Duration,
    Percent,
    ago,
    database_option,
    open_fleet,
    open_store,
    plain_table,
    store_option,
)
from tinyops.cli.key_options import keys_option
from tinyops.errors import UsageError
from tinyops.update.keystore import Keystore

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tinyops.update.tables import Campaign

_DAY = 86400.0
_STYLES = {"running": "green", "held": "yellow", "paused": "red", "aborted": "red"}


@click.group("rollout", short_help="Take an update to a fleet, in waves, with gates.")
def command() -> None:
    """An update goes to a fleet wave by wave, each behind gates. `tinyops serve` carries rollouts out."""


@command.command("create")
@click.argument("update", metavar="PACK|UPDATE")
@click.option("--name", metavar="NAME", help="Default: the update's name and sequence number.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only devices with this tag; repeatable.")
@click.option("--device", "devices", multiple=True, metavar="ID", help="Only this device; repeatable.")
@click.option("--class", "class_id", metavar="UUID", help="Only devices of this class; default: the update's.")
@click.option("--where", multiple=True, metavar="CONDITION", help="Only devices that hold it, such as 'sequence<5'.")
@click.option(
    "--canary", type=click.IntRange(0, 10_000), default=1, show_default=True, metavar="N", help="Devices that go first."
)
@click.option("--canary-tag", metavar="TAG", help="Choose the first ones among the devices with this tag.")
@click.option(
    "--waves", default="5,25,50,100", show_default=True, metavar="P,P,...", help="Per cent of the devices, in steps."
)
@click.option(
    "--reports", type=Percent(), default=80.0, metavar="P", help="Devices of a wave that must have reported.  [80 %]"
)
@click.option("--success", type=Percent(), default=95.0, metavar="P", help="Reports that must be good.  [95 %]")
@click.option("--silent", type=Percent(), default=10.0, metavar="P", help="Most that may fall silent.  [10 %]")
@click.option(
    "--silent-after", type=Duration(), default=_DAY, metavar="TIME", help="Silent: not heard of for so long.  [1d]"
)
@click.option("--rollback", type=Percent(), default=5.0, metavar="P", help="Most that may have undone it.  [5 %]")
@click.option(
    "--drift", type=click.FloatRange(0, 1000), metavar="D", help="Most that the mean health score (0-1000) may move."
)
@click.option("--soak", type=Duration(), default=0.0, metavar="TIME", help="Least time between two waves.  [0s]")
@click.option("--approve", is_flag=True, help="A person opens each wave after the first: rollout approve.")
@click.option(
    "--ttl", type=Duration(), default=30 * _DAY, metavar="TIME", help="Devices that do not come are given up.  [30d]"
)
@click.option("--start", "start_now", is_flag=True, help="Start at once.")
@database_option
@store_option
@keys_option
@json_option
def create(
    update: str,
    name: str | None,
    waves: str,
    start_now: bool,
    database: str | None,
    store: Path | None,
    store_limit: int,
    keystore: Keystore,
    json_to: str | None,
    **choices: Any,
) -> None:
    """Plan a rollout of a published update, or of the folder PACK, which is published first.

    Gates: a wave opens when enough devices of the one before have reported and all shares are as they should be; the
    rollout is paused, with the reason, as soon as one cannot be any more.
    """
    plan, now, is_pack = _plan(waves, choices), time.time(), Path(update).is_dir()
    with open_fleet(database, create=is_pack) as fleet:
        from tinyops.update import audit, bundles, campaign

        actor = audit.person()
        if is_pack:
            pack = bundles.read_pack(Path(update), keystore, now)
            update = bundles.publish(fleet, open_store(store, fleet, store_limit), pack, now, actor).id
        with fleet.write() as session:
            bundle = bundles.find(session, update)
            if bundle.withdrawn is not None:
                raise UsageError("was withdrawn", where=bundle.name, hint="tinyops update publish PACK")
            chosen = name or f"{bundle.name}-{bundle.sequence}".lower()[:48]
            campaign.create(session, chosen, bundle, plan, now, actor)
            if start_now:
                campaign.start(session, chosen, now, actor)
            result = _summary(session, campaign.find(session, chosen))
    if json_to:
        emit_json(result, json_to)
        return
    _print_line(result)
    if not start_now:
        say(f"next: tinyops update rollout start {plain(chosen)}", style="dim")


def _plan(waves: str, choices: dict[str, Any]) -> Any:
    from tinyops.update.campaign import Plan
    from tinyops.update.cohort import Cohort
    from tinyops.update.gates import Gates

    percents = tuple(Percent().convert(part.strip(), None, None) for part in waves.split(","))
    gates = ("reports", "success", "silent", "silent_after", "rollback", "drift", "soak")
    return Plan(
        cohort=Cohort(choices["tags"], choices["class_id"], choices["where"], choices["devices"]),
        gates=Gates(**{gate: choices[gate] for gate in gates}),
        canary=choices["canary"],
        canary_tag=choices["canary_tag"],
        waves=percents,
        approve=choices["approve"],
        ttl=choices["ttl"],
    )


def _action(name: str, help_text: str, done: str, *options: Callable[[Any], Any]) -> None:
    """Add the subcommand `name`, which calls the function of that name in campaign.py."""

    def run(rollout: str, database: str | None, json_to: str | None, **more: Any) -> None:
        with open_fleet(database) as fleet:
            from tinyops.update import audit, campaign

            with fleet.write() as session:
                getattr(campaign, name)(session, rollout, time.time(), audit.person(), **more)
                result = _summary(session, campaign.find(session, rollout))
        if json_to:
            emit_json(result, json_to)
        else:
            say(f"{plain(rollout)}: {done}")
            _print_line(result)

    function: Callable[..., None] = run
    for option in (json_option, database_option, *options, click.argument("rollout", metavar="NAME")):
        function = option(function)
    command.command(name, help=help_text)(function)


_reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for the log.")

_action("start", "Start the rollout NAME: fix its devices and open the first wave.", "started")
_action(
    "pause", "Pause the rollout NAME: nobody gets the update, nor the rest of a download.", "paused", _reason_option
)
_action(
    "resume",
    "Go on with the rollout NAME.",
    "goes on",
    click.option("--waive", is_flag=True, help="Let the waves that are open off their gates."),
)
_action("approve", "Open the next wave of the rollout NAME, which waits for it.", "approved")
_action("abort", "End the rollout NAME: nobody else gets the update.", "aborted", _reason_option)


@command.command("list")
@database_option
@json_option
def list_(database: str | None, json_to: str | None) -> None:
    """List the rollouts, newest first."""
    with open_fleet(database) as fleet:
        from sqlalchemy import select

        from tinyops.update.tables import Campaign

        with fleet.read() as session:
            query = select(Campaign).order_by(Campaign.created.desc(), Campaign.name)
            rows = [_summary(session, campaign) for campaign in session.scalars(query)]
    if json_to:
        emit_json(rows, json_to)
        return
    if not rows:
        note("no rollouts")
        return
    table = plain_table("rollout", "sequence", "state", "wave", "devices", "updated", "undone", "failed", "started")
    for row in rows:
        wave = row["waves"][row["wave"]]["label"] if row["wave"] >= 0 else "-"
        sums = [sum(wave[key] for wave in row["waves"]) for key in ("succeeded", "reverted", "failed")]
        counts = [str(number) for number in (row["devices"], *sums)]
        table.add_row(plain(row["name"]), str(row["sequence"]), _state(row), wave, *counts, ago(row["started"]))
    print_table(table)


@command.command("status")
@click.argument("rollout", metavar="NAME")
@database_option
@json_option
def status(rollout: str, database: str | None, json_to: str | None) -> None:
    """How far the rollout NAME is, wave by wave."""
    with open_fleet(database) as fleet:
        from tinyops.update import campaign

        with fleet.read() as session:
            result = _summary(session, campaign.find(session, rollout))
    if json_to:
        emit_json(result, json_to)
        return
    _print_line(result)
    table = plain_table(
        "wave", "devices", "waiting", "offered", "silent", "updated", "undone", "failed", "opened", "gates"
    )
    for wave in result["waves"]:
        keys = ("devices", "waiting", "offered", "silent", "succeeded", "reverted", "failed")
        opened = ago(wave["opened"]) if wave["opened"] else "-"
        table.add_row(wave["label"], *(str(wave[key]) for key in keys), opened, plain(wave["gates"]))
    print_table(table)


def _summary(session: Session, campaign: Campaign) -> dict[str, Any]:
    from tinyops.update.advance import summary

    return summary(session, campaign, time.time())


def _state(row: dict[str, Any]) -> str:
    style = _STYLES.get(row["state"], "default")
    return f"[{style}]{row['state']}[/]"


def _print_line(row: dict[str, Any]) -> None:
    reason = f": {row['reason']}" if row["reason"] else ""
    of = f", {row['devices']:,} devices" if row["devices"] else ""
    say(f"[bold]{plain(row['name'])}[/] sequence {row['sequence']}{of}, {_state(row)}{plain(reason)}")
