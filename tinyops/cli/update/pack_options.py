"""The options of `tinyops update pack`, in groups."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from tinyops.cli.common import board_option, features_option
from tinyops.cli.key_options import keys_option, passphrase_option
from tinyops.errors import UsageError
from tinyops.suit.registry import DialectName
from tinyops.update.firmware_delta import InPlace
from tinyops.update.firmware_image import ImageFormat
from tinyops.update.target import parse_uuid

_DAYS = re.compile(r"\+(\d{1,5})d")
_IN_PLACE = re.compile(r"(\d+|0x[0-9a-fA-F]+):(\d+|0x[0-9a-fA-F]+)")


class Number(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A number, hexadecimal with 0x."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else int(value, 0)
        except ValueError:
            self.fail(f"{value!r:.40} is no number", param, ctx)


def _use_before(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if found := _DAYS.fullmatch(value):
        return int(time.time()) + 86400 * int(found[1])
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(f"--use-before {value!r:.40}", allowed="+30d, 2031-05-01, 2031-05-01T12:00:00Z") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _device(_context: click.Context, _parameter: click.Parameter, value: str | None) -> UUID | None:
    if value is None:
        return None
    found = parse_uuid(value)
    if found is None:
        raise UsageError(f"--device {value!r:.60}", allowed="a UUID")
    return found


def _server(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"coaps?(\+tcp)?://[\x21-\x7e]{1,80}", value):
        raise UsageError(f"--server {value!r:.100}", allowed="coap://HOST[:PORT]")
    return value


def _in_place(_context: click.Context, _parameter: click.Parameter, value: str | None) -> InPlace | None:
    if value is None:
        return None
    found = _IN_PLACE.fullmatch(value)
    if found is None:
        raise UsageError(f"--in-place {value!r:.40}", allowed="MEMORY:ERASE, in bytes, as 0x40000:4096")
    return InPlace(int(found[1], 0), int(found[2], 0))


def identity_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--build",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="The build of the devices' firmware: its vendor, class, model name, plan and bank size.",
        ),
        board_option,
        click.option("--name", help="The model's name in the firmware; default: as for `tinyops build`."),
        click.option("--vendor", metavar="DOMAIN", help="Whose devices; default: that of `tinyops build`."),
        click.option("--class", "class_text", metavar="TEXT", help="Another class than the model's own; or a UUID."),
        click.option("--device", metavar="UUID", callback=_device, help="For one device alone."),
        features_option,
    ]
    return _apply(options, function)


def content_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--previous",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="A capsule, pack or build that devices may have: a delta from it; again for more.",
        ),
        click.option(
            "--golden-inputs", type=click.Path(path_type=Path), metavar="FILE.npz", help="Inputs of the self-test."
        ),
        click.option(
            "--golden-steps", type=click.IntRange(1, 64), default=4, show_default=True, help="Seeded ones, without."
        ),
        click.option("--golden-seed", type=click.IntRange(0, 2**32 - 64), default=1, show_default=True, help="Seed."),
        click.option(
            "--plan-seconds", type=click.FloatRange(0.1, 600), default=10.0, help="Time bound of the memory planner."
        ),
        click.option("--dataset", type=click.Path(path_type=Path), metavar="FILE", help="Its digest is noted."),
        click.option("--sbom", type=click.Path(path_type=Path), metavar="FILE", help="Bill of materials to refer to."),
        click.option("--sbom-uri", metavar="URI", help="Where people find it; default: its file's name."),
        click.option("--text", metavar="TEXT", help="What the update is about, in the manifest."),
    ]
    return _apply(options, function)


def firmware_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--firmware",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE.bin",
            help="A firmware image, with the model or alone; twice for two slots.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice([str(form) for form in ImageFormat]),
            default="raw",
            show_default=True,
            help="What the boot loader reads; raw: as it is.",
        ),
        click.option("--image-version", default="0", help="MCUboot: 1.2.3+4; riotboot: a number."),
        click.option("--header-size", type=Number(), help="Of the image; default: 32 for MCUboot, 256 for riotboot."),
        click.option("--slot-size", type=Number(), help="An image larger than that is refused."),
        click.option(
            "--align", type=click.Choice(["1", "2", "4", "8", "16", "32"]), default="4", help="MCUboot: writes."
        ),
        click.option(
            "--start-address", multiple=True, type=Number(), help="riotboot: of the firmware behind the header."
        ),
        click.option("--confirmed", is_flag=True, help="MCUboot: never revert; the image is padded to its slot."),
        click.option("--mcuboot-key", metavar="NAME", help="The key that signs the MCUboot image."),
        click.option(
            "--previous-firmware",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="An image or pack that devices may have: a detools patch from it.",
        ),
        click.option(
            "--in-place", metavar="MEMORY:ERASE", callback=_in_place, help="Patches that rebuild the image in place."
        ),
    ]
    return _apply(options, function)


def signing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--key",
            "names",
            multiple=True,
            metavar="NAME",
            help="The key that signs; default: the only one; again for more.",
        ),
        keys_option,
        passphrase_option,
        click.option("--sequence", type=int, metavar="N", help="Above all earlier ones; default: seconds since 1970."),
        click.option(
            "--dialect",
            type=click.Choice([str(name) for name in DialectName]),
            default="final",
            show_default=True,
            help="riot-legacy: for RIOT's sys/suit.",
        ),
        click.option("--use-before", metavar="TIME", callback=_use_before, help="Expires: +30d, or a date."),
        click.option(
            "--encrypt", multiple=True, metavar="KEY", help="For whom: a key's name, PEM public key, or secret; again."
        ),
        click.option("--cipher", type=click.Choice(["ctr", "gcm"]), default="ctr", show_default=True, help="AES-128."),
        click.option("--server", metavar="URI", callback=_server, help="URIs for devices that fetch: coap://HOST."),
    ]
    return _apply(options, function)


def _apply(options: list[Callable[..., Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function
