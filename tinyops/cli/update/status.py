"""tinyops update status"""

from __future__ import annotations

from pathlib import Path

import click

from tinyops.cli.common import emit_json, json_option, plain, say
from tinyops.cli.update.device import DeviceOptions, device_options, print_state, state_json
from tinyops.device.update_client import ADVICE, UpdateClient
from tinyops.emit.files import write_file
from tinyops.errors import UsageError


@click.command("status", short_help="What runs on a device, and what became of its last update.")
@device_options
@click.option("--cancel", is_flag=True, help="End a download; take back a model that is pending or on trial.")
@click.option("--report", type=click.Path(path_type=Path), help="Save the suit-report of the last manifest (CBOR).")
@json_option
def command(device: DeviceOptions, cancel: bool, report: Path | None, json_to: str | None) -> None:
    """Ask a device what it runs, and what became of the last update."""
    with device.connect() as client:
        updates = UpdateClient(client)
        state = updates.cancel() if cancel else updates.state()
        telemetry = updates.status()
        document = updates.report() if report else None
        model = client.info().model
    if report is not None:
        if document is None:
            raise UsageError("has processed no manifest since its start", where=device.place)
        write_file(report, document)
    if json_to:
        emit_json({"model": model} | state_json(state) | {"telemetry": telemetry}, json_to)
    if json_to != "-":
        print_state(state, model)
        if state.outcome in ADVICE:
            say(f"  [dim]try:[/] {plain(ADVICE[state.outcome])}")
        inferences, undone = int(telemetry.get("inferences", 0)), int(telemetry.get("reverted", 0))
        counted = f"{_count(inferences, 'inference')}, {_count(undone, 'model')} undone"
        say(f"since its start: {counted}", style="dim")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
