"""tinyops device ping, tinyops device info"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import click
from rich.markup import escape

from tinyops.cli.common import emit_json, json_option, plain, print_error, say
from tinyops.cli.link_options import LinkOptions, link_options
from tinyops.cli.update.device import print_state, state_json
from tinyops.device.client import DeviceClient, DeviceInfo
from tinyops.device.link.profile import LinkProfile
from tinyops.device.update_client import UpdateClient
from tinyops.device.update_protocol import UpdateState
from tinyops.errors import DeviceError, UsageError

_ALLOWED = "serial port, pty, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], ble:ADDRESS, ble-l2cap:ADDRESS"

_address = click.argument("address", metavar="ADDRESS")
_baudrate = click.option(
    "--baudrate", type=click.IntRange(1), default=115200, show_default=True, help="Of a serial port."
)


@click.command("ping", short_help="Whether the device at an address answers, and how fast.")
@_address
@click.option("--count", "-n", type=click.IntRange(1, 100_000), default=4, show_default=True, help="Pings to send.")
@click.option("--interval", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds between two.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds to wait; default: by the link.")
@_baudrate
@link_options
@json_option
def ping(
    address: str,
    count: int,
    interval: float,
    timeout: float | None,
    baudrate: int,
    link: LinkOptions,
    json_to: str | None,
) -> None:
    """Send empty CoAP messages to the device at ADDRESS, and say how long it takes to answer each.

    ADDRESS is a serial port or pty, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], coap://[IPV6][:PORT], ble:ADDRESS
    or ble-l2cap:ADDRESS. Exit code 1 when there was no answer at all.
    """
    times: list[float | None] = []
    with _open(address, baudrate, link) as client:
        for k in range(count):
            begin = time.monotonic()
            times.append(client.ping(timeout))
            if json_to != "-":
                taken = times[-1]
                said = "no answer" if taken is None else f"answered in {_milliseconds(taken)}"
                say(f"{plain(address)}: {said}")
            if k + 1 < count:
                time.sleep(max(0.0, interval - (time.monotonic() - begin)))
        used = client.link
    answered = [seconds for seconds in times if seconds is not None]
    if json_to:
        emit_json(_ping_json(address, used, times), json_to)
    if json_to != "-":
        lost = f"{100 * (count - len(answered)) / count:.0f} % lost"
        text = f"{count} sent, {len(answered)} answered, {lost}"
        if answered:
            text += "; least, median, most " + " / ".join(
                _milliseconds(seconds) for seconds in (min(answered), statistics.median(answered), max(answered))
            )
        say(text)
    if not answered:
        what = f"answered none of {count} ping{'s' * (count != 1)}"
        print_error(DeviceError(what, where=address, hint="is tinyops firmware running there, at this address?"))
        raise SystemExit(1)


def _open(address: str, baudrate: int, link: LinkOptions) -> DeviceClient:
    try:
        return link.open(address, baudrate=baudrate)
    except DeviceError as error:
        if ":" in address or os.sep in address or os.name == "nt":
            raise
        hint = f"of a device of the fleet: tinyops device show {address}"
        raise UsageError("is no address of a device", where=address, allowed=_ALLOWED, hint=hint) from error


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _ping_json(address: str, link: LinkProfile, times: list[float | None]) -> dict[str, Any]:
    return {
        "address": address,
        "link": link.name,
        "sent": len(times),
        "answered": sum(seconds is not None for seconds in times),
        "milliseconds": [None if seconds is None else round(1000 * seconds, 3) for seconds in times],
    }


@click.command("info", short_help="What the device at an address is and runs, and how it is reached.")
@_address
@_baudrate
@link_options
@json_option
def info(address: str, baudrate: int, link: LinkOptions, json_to: str | None) -> None:
    """Ask the device at ADDRESS what it runs: model, inputs and outputs, memory, updates.

    ADDRESS is a serial port or pty, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], coap://[IPV6][:PORT], ble:ADDRESS
    or ble-l2cap:ADDRESS.
    """
    with _open(address, baudrate, link) as client:
        found = client.info()
        state = _update_state(client)
        taken, used = client.ping(), client.link
    if json_to:
        emit_json(_info_json(address, used, taken, found, state), json_to)
    if json_to != "-":
        _print_info(found, state, used, taken)


def _update_state(client: DeviceClient) -> UpdateState | None:
    """None where the firmware takes no updates."""
    try:
        return UpdateClient(client).state()
    except DeviceError as error:
        if "takes no updates" in error.what:
            return None
        raise


def _info_json(
    address: str, link: LinkProfile, taken: float | None, found: DeviceInfo, state: UpdateState | None
) -> dict[str, Any]:
    return {
        "address": address,
        "link": {"name": link.name, "block_bytes": link.block_bytes, "ack_timeout": link.ack_timeout},
        "ping_milliseconds": None if taken is None else round(1000 * taken, 3),
        "info": found.model_dump() | {"digest": found.digest.hex()},
        "update": None if state is None else state_json(state),
    }


def _print_info(found: DeviceInfo, state: UpdateState | None, link: LinkProfile, taken: float | None) -> None:
    say(f"[bold]{plain(found.model)}[/]  {found.digest.hex()[:16]}, tinyops {plain(found.version)}")
    for kind, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            scale = f", scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale else ""
            say(f"  {kind} {plain(tensor.name)}  {tensor.dtype}{escape(str(list(tensor.shape)))}{scale}")
    if found.features is not None:
        needs = f"{found.features.first_bytes:,} B of raw data, then {found.features.next_bytes:,} B"
        say(f"  front end {plain(found.features.kind)}  {needs}")
    say(f"  {len(found.layers)} layers, {found.arena_bytes:,} B arena, {found.state_bytes:,} B state")
    say(f"  counts: {found.counter}")
    if state is None:
        say("takes no updates")
    else:
        print_state(state, found.model)
    answer = "no answer to a ping" if taken is None else f"a ping takes {_milliseconds(taken)}"
    blocks = f"blocks of {min(link.block_bytes, found.block_bytes):,} B, ACK time-out {link.ack_timeout:g} s"
    say(f"link {link.name}: {blocks}; {answer}", style="dim")
