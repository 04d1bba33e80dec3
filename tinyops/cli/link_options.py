"""The options that say how a device is reached: --link, --block-size, --oscore."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyops.device.client import DeviceClient
from tinyops.device.link.profile import BLOCK_SIZES, LINKS
from tinyops.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Kind of link (default: by the address), bytes of a block (default: the link's), folder of a security context."""

    link: str | None = None
    block_size: int | None = None
    oscore: Path | None = None

    def check(self, port: str | None) -> None:
        """UsageError when they are given without a device to connect to."""
        if port is None and self != LinkOptions():
            raise UsageError("--link, --block-size and --oscore say how to reach a device", allowed="with --port alone")

    def open(self, port: str, *, baudrate: int = 115200) -> DeviceClient:
        """Connect to the device at `port`."""
        return DeviceClient.open(
            port, baudrate=baudrate, link=self.link, block_size=self.block_size, oscore=self.oscore
        )


_OPTIONS = (
    click.option("--link", type=click.Choice(sorted(LINKS)), help="Kind of the link; default: by the address."),
    click.option("--block-size", type=click.Choice([str(size) for size in BLOCK_SIZES]), help="Bytes of a block."),
    click.option(
        "--oscore",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Protect requests with the security context in FOLDER, which `tinyops update oscore` makes.",
    ),
)


def link_options(function: F) -> F:
    """Add the options to a verb, which gets them as `link`."""

    @functools.wraps(function)
    def wrapped(*args: Any, link: str | None, block_size: str | None, oscore: Path | None, **kwargs: Any) -> Any:
        return function(*args, link=LinkOptions(link, int(block_size) if block_size else None, oscore), **kwargs)

    decorated: Any = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
