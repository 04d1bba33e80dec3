"""tinyops update push"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from tinyops.cli.common import console, emit_json, json_option, note, plain, say
from tinyops.cli.update.device import DeviceOptions, device_options, print_state, state_json
from tinyops.device.update_client import Pushed, UpdateClient
from tinyops.update.pushing import PackFiles, read_pack_files


@click.command("push", short_help="Send an update to one device, and wait for what became of it.")
@click.argument("pack", type=click.Path(path_type=Path))
@device_options
@click.option("--restart", is_flag=True, help="End an unfinished download first, do not go on with it.")
@json_option
def command(pack: Path, device: DeviceOptions, restart: bool, json_to: str | None) -> None:
    """Send the update in the folder PACK (or a manifest file with its payloads beside it) to a device.

    The device verifies it, tries the new model on its golden vectors, and runs it; else the old model runs on and the
    device says why. An interrupted push goes on where it stopped when it is run again.
    """
    files = read_pack_files(pack)
    with device.connect() as client, _bar(json_to != "-") as advance:
        updates = UpdateClient(client)
        if restart:
            updates.cancel()
        result = updates.push(files.envelope, files.digest, files.payload, advance)
        info = client.info()
    if json_to:
        emit_json(_summary(files, result, info.model), json_to)
    if json_to != "-":
        _print(files, result, info.model, device.place)


def _summary(files: PackFiles, result: Pushed, model: str) -> dict[str, object]:
    return {
        "pack": str(files.folder),
        "sequence": files.sequence,
        "sent_bytes": result.sent,
        "resumed": result.resumed,
        "new": result.new,
        "model": model,
    } | state_json(result.state)


def _print(files: PackFiles, result: Pushed, model: str, place: str) -> None:
    if not result.new:
        say(f"{plain(place)} has sequence {files.sequence} already")
    else:
        resumed = ", the rest of an interrupted download" if result.resumed else ""
        say(f"sequence {files.sequence} is on {plain(place)}: {result.sent:,} bytes of payload sent{resumed}")
    print_state(result.state, model)


@contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar, with a line of its own for each payload."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        console=console,
        transient=True,
        disable=not (wanted and console.is_terminal),
    )
    tasks: dict[str, int] = {}
    first = bar.add_task("manifest", total=None)

    def advance(name: str, done: int, total: int) -> None:
        bar.update(first, visible=False)
        if name not in tasks:
            tasks[name] = bar.add_task(plain(name), total=total)
        bar.update(tasks[name], completed=done, total=total)  # type: ignore[arg-type]

    try:
        with bar:
            yield advance
    except KeyboardInterrupt:
        note("interrupted; run the same command again, and the device goes on where it stopped")
        raise
