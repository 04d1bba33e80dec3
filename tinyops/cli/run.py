"""tinyops run"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.markup import escape
from rich.table import Table

from tinyops.cli.boot import choose_boot
from tinyops.cli.common import (
    board_option,
    emit_json,
    features_option,
    json_option,
    model_argument,
    note,
    out,
    plain,
    progress,
    resolve_features,
    resolve_model,
    say,
    shown,
)
from tinyops.cli.link_options import LinkOptions, link_options
from tinyops.cli.os_options import OsOptions, os_options
from tinyops.device.board import Board
from tinyops.device.build import REPORT, load_build
from tinyops.device.client import DeviceClient
from tinyops.device.data import check_output, load_inputs, save_outputs
from tinyops.device.emulator import launch
from tinyops.device.page import record_run
from tinyops.device.project import Project
from tinyops.device.serial_port import find_serial_port
from tinyops.device.session import RunResult, describe_count, describe_cycles, run_raw, run_sequence
from tinyops.emit.golden import random_inputs
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import FeatureSettings, ModelFeatures, read_settings
from tinyops.features.files import read_raw
from tinyops.graph import Tensor
from tinyops.load import load_model, read_model_file
from tinyops.ops.float32 import TOLERANCE
from tinyops.passes import run_passes


@click.command("run", short_help="Boot a board, feed inputs, check outputs, count instructions or cycles.")
@model_argument
@board_option
@click.option(
    "--input", "-i", "inputs", multiple=True, type=click.Path(path_type=Path), help=".npy file; one per input."
)
@click.option(
    "--raw",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Recording for the front end: .wav, .csv, .png, .jpg, .npy; each file is a stream.",
)
@os_options
@features_option
@click.option(
    "--output", "-o", "output", type=click.Path(path_type=Path), help="Where to save the outputs (.npy, .npz)."
)
@click.option("--verify", is_flag=True, help="Compare every output with the reference; exit 1 on a mismatch.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random input without --input."
)
@click.option(
    "--port", help="Talk to a device that is running: serial port, pty, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT]."
)
@link_options
@click.option(
    "--profile/--no-profile", default=True, show_default=True, help="Count instructions, on hardware cycles, per layer."
)
@json_option
def command(
    model: Path | None,
    board: str | None,
    inputs: tuple[Path, ...],
    raw: tuple[Path, ...],
    system: OsOptions,
    features: Path | None,
    output: Path | None,
    verify: bool,
    seed: int,
    port: str | None,
    link: LinkOptions,
    profile: bool,
    json_to: str | None,
) -> None:
    """Run MODEL (a .tflite file, or the folder of a finished build) on a board and show what it did.

    A .tflite file is built and flashed first; a folder's flash image boots as it is.

    The input has the model's input shape; with one more leading axis it is a sequence of invocations with state
    carried from one to the next, and the output has that axis too. Without --input a seeded random one is used.
    """
    link.check(port)
    path, project = resolve_model(model, builds=True)
    built = path if path.is_dir() else None
    settings = _settings(path, built, features, project)
    boot = choose_boot(board, system, project, built) if port is None or board else None
    chosen = boot.board if boot else None
    path = built / "model.tflite" if built else path
    graph = run_passes(load_model(path))
    tensors = [graph.main.tensors[t] for t in graph.main.inputs]
    front_end = _front_end(settings, tensors, inputs, raw) if raw else None
    rows, sequence = load_inputs(inputs, tensors) if inputs else (random_inputs(tensors, 3, seed)[2:], bool(raw))
    if output is not None:
        check_output(output, len(graph.main.outputs))
    if not inputs and not raw:
        note(f"no --input: a random one, seed {seed}")
    if port is not None:
        connection: AbstractContextManager[DeviceClient] = link.open(port)
    else:
        assert boot is not None
        chosen, image = boot.prepare(path, project, settings)
        connection = link.open(find_serial_port(chosen)) if image is None else launch(chosen, image)
    place = port if port is not None else (chosen.name if chosen else "")
    reference = graph if verify else None
    with connection as client, progress() as bar:
        task = bar.add_task(plain(place), total=None if raw else len(rows))
        _note_other_model(client, path, place)
        options: Any = {"reference": reference, "profile": profile, "advance": lambda: bar.advance(task)}
        result = run_raw(client, raw, front_end, **options) if front_end else run_sequence(client, rows, **options)
    if output is not None:
        save_outputs(output, result.outputs, sequence)
    summary = summarize(result, chosen, path)
    if port is None and boot is not None and result.kind is not None:
        _record(boot.folder, summary)
    if json_to:
        emit_json(summary, json_to)
    if json_to != "-":
        print_run(result, place, output)
    if result.mismatches:
        raise SystemExit(1)


def _settings(model: Path, built: Path | None, file: Path | None, project: Project | None) -> FeatureSettings | None:
    """The front end of the model, or of the finished build."""
    if built is None:
        return resolve_features(model, file, project)
    if file is not None:
        raise UsageError("--features belongs to a build", hint=f"tinyops build MODEL --features {file} -o {built}")
    found = load_build(built).get("features")
    if found is None:
        return None
    return read_settings(found.get("settings") if isinstance(found, dict) else None, str(built / REPORT))


def _front_end(
    settings: FeatureSettings | None, tensors: Sequence[Tensor], inputs: Sequence[Path], raw: Sequence[Path]
) -> ModelFeatures:
    """What --raw goes through."""
    if inputs:
        raise UsageError("both --raw and --input", allowed="one of them")
    if settings is None:
        raise UsageError(
            "--raw for a model without a front end", allowed="a table [features] in tinyops.toml, or --features FILE"
        )
    features = ModelFeatures.of(settings, tensors)
    for path in raw:
        next(read_raw(path, features.front_end))  # what cannot be read is refused before anything is built
    return features


def _record(folder: Path, summary: dict[str, Any]) -> None:
    """Show the counts in the build's report.html; a folder that cannot be written does not spoil the run."""
    try:
        record_run(folder, load_build(folder), summary)
    except TinyopsError as error:
        note(str(error))


def _note_other_model(client: DeviceClient, path: Path, place: str) -> None:
    info = client.info()
    if info.digest != hashlib.sha256(read_model_file(path)).digest():
        note(f"{place} runs a model {info.model} that was not made from {path}")


def summarize(result: RunResult, board: Board | None, model: Path) -> dict[str, Any]:
    """What --json gives."""
    features = result.features
    return {
        "model": str(model),
        "board": board.name if board else None,
        "invocations": len(result.outputs),
        "kind": result.kind,
        "instructions": result.instructions,
        **describe_cycles(result),
        "mismatches": result.mismatches,
        "first_mismatch": asdict(result.first_mismatch) if result.first_mismatch else None,
        "layers": [{"name": x.name, "op": x.op, **describe_count(x)} for x in result.layers],
    } | ({"features": {"kind": features.op, **describe_count(features)}} if features else {})


def print_run(result: RunResult, place: str, output: Path | None, values: bool = True) -> None:
    """Counts per layer, the last output's `values`, and the verdict on what ran at `place`."""
    invocations = len(result.outputs)
    if result.kind is not None:
        out.print(_layers(result))
        if result.count is not None:
            before = result.features and result.features.count
            more = f", and {before:,} of the front end for its input" if before else ""
            say(f"one invocation: [bold]{result.count:,}[/] {result.unit}{_time(result)} ({result.kind}){more}")
        if result.stack_bytes_used:
            say(f"stack used since the start: {result.stack_bytes_used:,} B at most ({result.kind})")
    elif result.layers:
        say(f"{plain(place)} counts no instructions: choose a qemu- board for a profile", style="dim")
    for k, last in enumerate(result.outputs[-1] if values else ()):
        first = ", ".join(str(v) for v in last.reshape(-1)[:12])
        more = ", ..." if last.size > 12 else ""
        which = "output" if invocations == 1 else "last output"
        say(f"{which} {k}: {last.dtype}{escape(str(list(last.shape)))} {first}{more}")
    if output is not None:
        say(f"saved to {plain(shown(output))}")
    if result.mismatches is not None:
        floats = any(o.dtype == np.float32 for o in result.outputs[-1])
        agree = f"equal (floats up to {TOLERANCE:g})" if floats else "bit-exact"
        verdict = f"[green]{agree}[/]" if result.mismatches == 0 else f"[bold red]{result.mismatches:,} mismatches[/]"
        times = f"{invocations:,} invocation{'s' * (invocations != 1)}"
        say(f"{times} on {plain(place)} against the reference: {verdict}")
    if first_one := result.first_mismatch:
        say(
            f"  the first: invocation {first_one.invocation}, output {first_one.output}, value {first_one.index} "
            f"is {first_one.got}, must be {first_one.expected}"
        )


def _time(result: RunResult) -> str:
    """How long the cycles take."""
    if result.milliseconds is None or result.clock_hz is None:
        return ""
    return f", {result.milliseconds:,.3f} ms at {result.clock_hz / 1e6:g} MHz"


def _layers(result: RunResult) -> Table:
    layers = ([result.features] if result.features else []) + result.layers
    total = sum(x.count or 0 for x in layers)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("operator", no_wrap=True, style="dim")
    table.add_column(result.unit, justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for x in layers:
        count = x.count or 0
        table.add_row(plain(x.name), plain(x.op), f"{count:,}", f"{100 * count / max(total, 1):.1f} %")
    return table
