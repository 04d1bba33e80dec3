"""tinyops sim"""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.table import Table

from tinyops.cli.common import emit_json, json_option, plain, print_table, progress, say
from tinyops.errors import UsageError
from tinyops.update.simulation.faults import Faults
from tinyops.update.simulation.run import MAX_DEVICES, Simulation, read_capsules, read_fleet, simulate

_SHOWN = 5
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%?")


class Share(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A percentage below 90, with or without its sign; the value is from 0 to 1."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _SHARE.fullmatch(str(value))
        share = float(match[1]) / 100 if match else 2.0
        if share > 1 or (share >= 0.9 and param is not None and param.name in ("loss", "duplicates")):
            self.fail(
                f"{value!r} is no share that is allowed: a percentage such as 2%, below 90 for messages", param, ctx
            )
        return share


@click.command("sim", short_help="A virtual fleet of devices, with losses and power cuts.")
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--devices", "-n", type=click.IntRange(1, MAX_DEVICES), default=10, show_default=True)
@click.option("--server", metavar="URI", help="coap://HOST[:PORT] of `tinyops serve`; default: none.")
@click.option("--loss", type=Share(), default="0%", show_default=True, help="Of messages, in each direction.")
@click.option("--duplicates", type=Share(), default="0%", show_default=True, help="Of messages that arrive twice.")
@click.option("--power-cuts", type=Share(), default="0%", show_default=True, help="Of devices: in the next update.")
@click.option("--damage", type=Share(), default="0%", show_default=True, help="Of devices: bits of the flash change.")
@click.option(
    "--damage-within",
    type=click.FloatRange(0, 86400),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="When damage happens, after the start.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws what happens to whom.")
@click.option("--check-in", type=click.IntRange(1, 86400), default=5, show_default=True, metavar="SECONDS")
@click.option(
    "--infer",
    type=click.FloatRange(0.001, 3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Between a device's own inferences, which end the trial of a new model.",
)
@click.option("--seconds", type=click.FloatRange(0.1), help="How long; default: until --until, or Ctrl-C.")
@click.option(
    "--until", type=click.IntRange(1), metavar="SEQUENCE", help="Until all run this update or have undone it."
)
@click.option(
    "--capsule",
    "capsules",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PACK",
    help="Packed update or capsule whose golden vectors devices that run it must answer; the build's own is known.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="For flash and console texts; default: a temporary one."
)
@click.option("--keep", is_flag=True, help="Go on with the devices of an earlier run in --folder.")
@json_option
def command(
    build: Path,
    devices: int,
    server: str | None,
    loss: float,
    duplicates: float,
    power_cuts: float,
    damage: float,
    damage_within: float,
    seed: int,
    check_in: int,
    infer: float,
    seconds: float | None,
    until: int | None,
    capsules: tuple[Path, ...],
    folder: Path | None,
    keep: bool,
    json_to: str | None,
) -> None:
    """Run virtual devices: processes of the real firmware in the folder BUILD, made for the board `host`.

    What happens to which device is drawn from --seed. At the end every device is asked what it runs, and must answer
    the golden vectors of that model; the exit status is 1 when one does not.
    """
    if server is not None and not server.startswith("coap://"):
        raise UsageError(f"{server!r} is no server", where="--server", allowed="coap://HOST[:PORT]")
    if keep and folder is None:
        raise UsageError("--keep needs the folder of the earlier run", hint="--folder FOLDER")
    faults = Faults(seed, loss, duplicates, power_cuts, damage)
    with ExitStack() as stack:
        where = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinyops-sim-")))
        settings = read_fleet(
            build,
            where,
            devices=devices,
            server=server,
            faults=faults,
            check_in=check_in,
            infer=infer,
            damage_within=damage_within,
        )
        known = read_capsules(build, capsules)
        bar = stack.enter_context(progress())
        task = bar.add_task("switching on", total=devices)
        result = simulate(
            settings,
            known,
            seconds=seconds,
            until=until,
            keep=keep,
            step=lambda text, done: bar.update(task, description=text, completed=done),
        )
    if json_to:
        emit_json(result.as_dict(), json_to)
    if json_to != "-":
        _print(result, kept=folder is not None)
    if result.broken:
        raise SystemExit(1)


def _print(result: Simulation, *, kept: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for name, justify in (("sequence", "right"), ("model", "left"), ("state", "left"), ("last attempt", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    table.add_column("devices", justify="right")
    for (sequence, model, state, reason), count in sorted(result.groups().items()):
        table.add_row(str(sequence), model, state, reason, f"{count:,}")
    print_table(table)
    total = len(result.findings)
    happened = [f"{result.power_cuts:,} power cuts", f"{result.damaged:,} damaged", f"{result.starts:,} starts"]
    say(f"{', '.join(happened)} in {result.seconds:.0f} s; seed {result.seed}", style="dim")
    unknown = sum(finding.works is None and finding.state is not None for finding in result.findings)
    style = "red" if result.broken else "green"
    if result.working or result.broken or not unknown:
        say(f"[{style}]{result.working:,} of {total:,} devices work: their outputs are their model's reference[/]")
    if unknown:
        say(f"{unknown:,} answer, and were not checked: name the model that they run with --capsule", style="yellow")
    for finding in result.broken[:_SHOWN]:
        why = finding.error or "its outputs are not its model's"
        where = f"; {plain(finding.device.log)}" if kept else ""
        say(f"[red]device {finding.device.name}: {plain(why)}{where}[/]")
