"""tinyops serve"""

from __future__ import annotations

import os
from pathlib import Path

import click

from tinyops.cli.common import note, plain, say
from tinyops.cli.fleet_options import Duration, database_option, open_fleet, open_store, store_option
from tinyops.errors import UsageError
from tinyops.update.key_files import read_private

_TOKEN_VARIABLE = "TINYOPS_WEB_TOKEN"  # noqa: S105  # a name
_MAX_TOKEN_FILE = 4096
#: The shortest token that is accepted, in characters.
_MIN_TOKEN = 16


@click.command("serve", short_help="Publish updates, collect reports, show the fleet.")
@click.option(
    "--listen", default="[::]:5683", show_default=True, metavar="HOST:PORT", help="Where devices reach it, by CoAP."
)
@click.option("--share-port", is_flag=True, help="Other servers of the same fleet may listen there, too.")
@click.option(
    "--web", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Where people reach its page."
)
@click.option("--no-web", is_flag=True, help="No page.")
@click.option(
    "--web-token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"File with a secret; who knows it can act on the page. Also {_TOKEN_VARIABLE}.",
)
@click.option(
    "--interval", type=Duration(), default=3600.0, metavar="TIME", help="Between two check-ins of a device.  [1h]"
)
@click.option("--accept-new", is_flag=True, help="Add unknown devices that check in.")
@click.option(
    "--address-rate",
    type=click.FloatRange(0.1, 100_000),
    default=500.0,
    show_default=True,
    metavar="N",
    help="Most check-ins per second of one IP address.",
)
@click.option(
    "--oscore",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Check-ins must be protected with a security context, such as the one in FOLDER; one for each device.",
)
@database_option
@store_option
def command(
    listen: str,
    share_port: bool,
    web: str,
    no_web: bool,
    web_token_file: Path | None,
    interval: float,
    accept_new: bool,
    address_rate: float,
    oscore: tuple[Path, ...],
    database: str | None,
    store: Path | None,
    store_limit: int,
) -> None:
    """Serve the fleet: updates for devices by CoAP, a page for people, and rollouts, until interrupted.

    Several servers may share one PostgreSQL and one store. Nothing is kept in the process: it can be killed and started
    again at any time.
    """
    token = _read_token(web_token_file)
    with open_fleet(database, create=True) as opened:
        from tinyops.update.offers import Policy
        from tinyops.update.server.fleet import Fleet
        from tinyops.update.server.limits import RateLimiter
        from tinyops.update.server.run import Address, serve

        coap, page = Address.parse(listen), None if no_web else Address.parse(web)
        if not 1 <= interval <= 30 * 86400:
            raise UsageError("the interval is out of range", allowed="--interval 1s to 30d")
        fleet = Fleet(
            opened,
            open_store(store, opened, store_limit),
            Policy(int(interval), accept_new),
            per_address=RateLimiter(address_rate, max(1, int(10 * address_rate))),
        )
        with opened.write():  # one that only can be read fails here, not at the first check-in
            pass
        say(f"fleet {plain(opened.name)}, files in {plain(str(fleet.store.folder))}")
        serve(fleet, coap, page, token, lambda text: say(f"  {plain(text)}"), oscore, share_port=share_port)
        note("ended")


def _read_token(file: Path | None) -> str | None:
    if file is None:
        token = os.environ.get(_TOKEN_VARIABLE)
    elif not file.is_file() or file.stat().st_size > _MAX_TOKEN_FILE:
        raise UsageError(
            "is no file with a token", where=str(file), hint="openssl rand -hex 16 > token; chmod 600 token"
        )
    else:
        token = read_private(file).decode(errors="replace").strip()
    if token is not None and len(token) < _MIN_TOKEN:
        raise UsageError("the token of the page is too short", allowed=f"{_MIN_TOKEN} characters or more")
    return token
