"""tinyops update oscore"""

from __future__ import annotations

from pathlib import Path

import click

from tinyops.cli.common import plain, say, shown
from tinyops.device.link.oscore import make_context
from tinyops.errors import UsageError


@click.command("oscore", short_help="Make a security context that protects requests to one device.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--device",
    metavar="HEX",
    help="The id that the device checks in with, 1 to 32 bytes; a server lets it speak for itself alone.",
)
def command(folder: Path, device: str | None) -> None:
    """Make a security context of OSCORE (RFC 8613) in the new folder FOLDER.

    FOLDER/device.oscore goes to the device, and nowhere else; --oscore FOLDER uses the other side. Each device has a
    context of its own, and none is used twice: after a loss or a copy, make a new one.
    """
    try:
        chosen = None if device is None else bytes.fromhex(device)
    except ValueError as error:
        raise UsageError("is no id", where=device, allowed="hexadecimal digits, two for each byte") from error
    file = make_context(folder, device=chosen)
    say(f"the device's side is in {plain(shown(file))}; take it there, and delete it here")
    say(f"next: tinyops update status --port coap://HOST --oscore {plain(shown(folder))}", style="dim")
