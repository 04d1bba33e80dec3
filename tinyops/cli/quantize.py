"""tinyops quantize"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import ValidationError
from rich.progress import TaskID
from rich.table import Table

from tinyops.cli.common import (
    board_option,
    console,
    emit_json,
    features_option,
    json_option,
    no_such_model,
    out,
    plain,
    progress,
    resolve_board,
    say,
    shown,
)
from tinyops.device.project import Project, find_project
from tinyops.device.quantization import has_floats, load_float_model, quantize_file, write_quantized
from tinyops.emit.files import write_file
from tinyops.emit.html import quantization_page
from tinyops.errors import UsageError
from tinyops.features import FeatureSettings, load_settings
from tinyops.quantize import LayerSettings, Method, QuantizationSettings
from tinyops.quantize.calibrate import Progress
from tinyops.quantize.data_settings import DataSettings, read_data_settings
from tinyops.quantize.sensitivity import MAX_SQNR
from tinyops.quantize.settings import Weights

_METHODS = [method.value for method in Method]
_WORST = 3


def _shapes(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    found = {}
    for value in values:
        name, equals, text = value.rpartition("=")
        try:
            shape = tuple(int(part) for part in text.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not equals or not name or not shape or min(shape) < 1:
            raise UsageError(f"--shape {value!r:.80}", allowed="NAME=1,3,224,224")
        found[name] = shape
    return found


def _layers(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, LayerSettings]]:
    return [_layer(value) for value in values]


def _layer(value: str) -> tuple[str, LayerSettings]:
    """PATTERN=WORD,WORD: dtypes and methods."""
    pattern, equals, text = value.rpartition("=")
    words = text.split(",")
    fields: dict[str, str] = {}
    for word in words:
        if word in ("int8", "int16", "float32"):
            fields["activations"] = word
        if word in get_args(Weights):
            fields["weights"] = word
        if word in _METHODS and word != Method.AUTO:
            fields["method"] = word
        if word not in fields.values():
            fields = {}
            break
    if not equals or not pattern or not fields:
        allowed = ", ".join(("int8", "int16", "int4", "float32", *(m for m in _METHODS if m != Method.AUTO)))
        raise UsageError(f"--layer {value!r:.80}", allowed=f"PATTERN=WORD, or more words with commas: {allowed}")
    return pattern, LayerSettings.model_validate(fields)


def _report_target(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is None:
        return None
    if value.suffix in (".html", ".htm"):
        return value
    if value.suffix or value.is_file():
        raise UsageError(f"--report would write to {str(value)!r}", allowed="a folder, or a name that ends in .html")
    return value / "report.html"


def _data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that a table [data] has too, and of the same names."""
    helps = {name: field.description for name, field in DataSettings.model_fields.items()}
    options = [
        click.option("--data", "path", metavar="PATH", help=f"{_sentence(helps['path'])}."),
        click.option("--test", metavar="PATH", help=f"{_sentence(helps['test'])}."),
        click.option("--labels", metavar="NAME|FILE", help=f"{_sentence(helps['labels'])}."),
        click.option("--test-labels", metavar="NAME|FILE", help="The same for --test."),
        click.option("--classes", metavar="A,B,...", help=f"{_sentence(helps['classes'])}."),
        click.option("--scale", metavar="NUMBER", help="Numbers x of the data become (x * scale - mean) / deviation."),
        click.option("--mean", metavar="NUMBERS", help=f"See --scale: {helps['mean']}."),
        click.option("--deviation", metavar="NUMBERS", help=f"See --scale: {helps['deviation']}."),
        click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help=f"{_sentence(helps['layout'])}."),
        click.option("--samples", "limit", type=int, metavar="N", help="Calibration samples at most; default: 512."),
        click.option(
            "--test-samples", "test_limit", type=int, metavar="N", help="Held-out ones at most; default: 1000."
        ),
        click.option("--holdout", metavar="PART", help=f"{_sentence(helps['holdout'])}; default: 0.2."),
        click.option("--seed", type=int, metavar="N", help=f"{_sentence(helps['seed'])}; default: 0."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each of QuantizationSettings but `layers`; None where it is not given."""
    for name, field in reversed(QuantizationSettings.model_fields.items()):
        if name == "layers":
            continue
        option, default = f"--{name.replace('_', '-')}", field.default
        help_ = _sentence(field.description)
        inner = get_args(field.annotation)
        kind: Any = next((part for part in (*inner, field.annotation) if part in (int, float)), None)
        names = option
        if isinstance(default, bool):
            names, kind = f"{option}/--no-{option[2:]}", None
            help_ += f"; default: {'on' if default else 'off'}"
        elif kind is None:
            kind = click.Choice(_METHODS if isinstance(default, Method) else inner)
        if default is not None and not isinstance(default, bool):
            help_ += f"; default: {default}"
        function = click.option(names, name, type=kind, default=None, help=f"{help_}.")(function)
    return function


def _sentence(text: str | None) -> str:
    assert text
    return text[0].upper() + text[1:]


@click.command("quantize", short_help="Make a float model int8, and say what it cost.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The .tflite file; default: MODEL_int8.tflite here."
)
@_data_options
@features_option
@click.option(
    "--shape", "shapes", multiple=True, callback=_shapes, metavar="NAME=1,3,32,32", help="An ONNX input's shape."
)
@_settings_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    callback=_layers,
    metavar="PATTERN=WORDS",
    help="Layers that differ, by name: int16, int4, float32, a method; again for more.",
)
@click.option("--keep-float", multiple=True, metavar="PATTERN", help="Layers that stay float32, as PATTERN=float32.")
@board_option
@click.option("--verify", is_flag=True, help="Compare with TFLite Micro, bit for bit; exit 1 on a mismatch.")
@click.option(
    "--report",
    "report_to",
    type=click.Path(path_type=Path),
    callback=_report_target,
    metavar="FOLDER|FILE.html",
    help="Write report.html there, and report.json beside it.",
)
@json_option
def command(
    model: Path,
    output: Path | None,
    features: Path | None,
    shapes: dict[str, tuple[int, ...]],
    layers: list[tuple[str, LayerSettings]],
    keep_float: tuple[str, ...],
    board: str | None,
    verify: bool,
    report_to: Path | None,
    json_to: str | None,
    **options: Any,
) -> None:
    """Quantize the float model MODEL (.onnx or .tflite) to a .tflite file of integers.

    Ranges come from calibration data; what quantization cost is measured on data that were held out. Data and their
    pre-processing are named by options, or in a table [data] of tinyops.toml.
    """
    project = find_project()
    if not model.exists():
        raise no_such_model(model)
    target = output or Path(f"{model.stem}_int8.tflite")
    _check_target(target, model)
    data, folder = _data_settings(options, project)
    settings = _quantization_settings(options, layers, keep_float)
    front_end = _features(features, project)
    chosen = resolve_board(board, project) if board or (project and project.board) else None
    with console.status(f"reading {plain(model.name)}"):
        source = load_float_model(model, shapes or None, portable=settings.portable)
    if not has_floats(source):
        if report_to is not None:
            raise UsageError("the model is quantized already: there is nothing to report", where=str(model))
        made = write_quantized(model, source, tflite_micro=verify)
    else:
        with _bars() as advance:
            made = quantize_file(
                model,
                source,
                data,
                settings,
                features=front_end,
                folder=folder,
                board=chosen,
                tflite_micro=verify,
                progress=advance,
            )
    report = made.report | {"file": str(target)}
    page = None if report_to is None else quantization_page(report)
    if report_to is not None and page is not None:
        emit_json(report, str(report_to.with_suffix(".json")))
        write_file(report_to, page)
    write_file(target, made.data)
    if json_to:
        emit_json(report, json_to)
    if json_to != "-":
        _print(report, target)
        if report_to is not None:
            say(f"report: {plain(shown(report_to))}")


def _check_target(target: Path, model: Path) -> None:
    if target.suffix != ".tflite":
        raise UsageError(f"would write to {str(target)!r}", allowed="a name that ends in .tflite")
    if target.is_dir():
        raise UsageError("is a folder", where=str(target), allowed="a file's name")
    if target.exists() and model.exists() and target.samefile(model):
        raise UsageError("is the model itself", where=str(target), allowed="another name for -o")
    if not target.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(target), hint=f"mkdir -p {target.parent}")


def _data_settings(options: Mapping[str, Any], project: Project | None) -> tuple[DataSettings, Path | None]:
    """What options say, else the project's [data]; a --data of its own has nothing of the project's."""
    table = {name: options[name] for name in DataSettings.model_fields if options.get(name) is not None}
    if isinstance(table.get("classes"), str):
        table["classes"] = tuple(table["classes"].split(","))
    if "holdout" in table:
        table["holdout"] = _number(table["holdout"])
    given = read_data_settings(table, "", _option)
    if given.path is not None or project is None or project.data is None:
        return given, None
    return project.data.model_copy(update={name: getattr(given, name) for name in table}), project.file.parent


def _option(key: str) -> str:
    """The option of a key of [data]."""
    named = {"path": "data", "limit": "samples", "test_limit": "test-samples"}
    return f"--{named.get(key, key.replace('_', '-'))}"


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _features(file: Path | None, project: Project | None) -> FeatureSettings | None:
    if file is not None:
        return load_settings(file)
    return project.features if project is not None else None


def _quantization_settings(
    options: Mapping[str, Any], layers: list[tuple[str, LayerSettings]], keep_float: tuple[str, ...]
) -> QuantizationSettings:
    fields = QuantizationSettings.model_fields
    table = {name: options[name] for name in fields if options.get(name) is not None}
    chosen: dict[str, LayerSettings] = {}
    for pattern, given in [*layers, *((p, LayerSettings(activations="float32")) for p in keep_float)]:
        before = chosen.pop(pattern, LayerSettings())
        chosen[pattern] = before.model_copy(update=given.model_dump(exclude_none=True))
    try:
        return QuantizationSettings(**table, layers=chosen)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        what = f"--{key.replace('_', '-')} {first['input']!r:.80}: {first['msg']}"
        raise UsageError(what, allowed=fields[key].description) from None


@contextmanager
def _bars() -> Iterator[Progress]:
    """A bar for each kind of work, made when it starts."""
    with progress() as bar:
        tasks: dict[str, TaskID] = {}

        def advance(done: int, total: int | None, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(plain(what), total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield advance


def _print(report: Mapping[str, Any], target: Path) -> None:
    before, after = report["size"]["file_bytes_before"], report["size"]["file_bytes_after"]
    say(f"[bold]{plain(shown(target))}[/]  {before:,} B -> {after:,} B" + _memory(report["memory"]))
    if "data" in report:
        _print_cost(report)
    checked = report["verification"]
    micro = ", and TFLite Micro computes the same, bit for bit," if checked["tflite_micro"] else ""
    say(f"[green]verified[/]: loads again{micro} on {checked['inputs']} inputs")
    for text in report["notes"]:
        say(f"note: {plain(text)}", style="dim")
    for warning in report["warnings"]:
        say(f"[yellow]warning:[/] {plain(warning)}")


def _print_cost(report: Mapping[str, Any]) -> None:
    """What was measured on held-out data."""
    data = report["data"]
    say(f"calibrated on {data['calibration_samples']:,} samples; measured on {data['held_out_samples']:,}, held out")
    if accuracy := report["accuracy"]:
        for name, key in (("float", "float"), ("integers", "quantized")):
            found = accuracy[key]
            low, high = found["interval"]
            say(f"  accuracy, {name:9}{100 * found['value']:6.2f} %  ({100 * low:.2f} to {100 * high:.2f})")
        low, high = accuracy["difference_interval"]
        points = f"{100 * accuracy['difference']:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})"
        alone = f"right in float alone {accuracy['float_only']}, in integers alone {accuracy['quantized_only']}"
        say(f"  difference {points}; {alone}, p = {accuracy['mcnemar_p']:.2g} (McNemar)")
    elif agreement := report["agreement"]:
        low, high = agreement["interval"]
        say(f"  same class as float: {100 * agreement['value']:.2f} % ({100 * low:.2f} to {100 * high:.2f})")
    for found in report["outputs"]:
        low, high = found["interval"]
        error = f"{found['mean_absolute_error']:.3g} ({low:.3g} to {high:.3g})"
        say(f"  {plain(found['name'])}: off by {error}, {_db(found)}")
    if report["worst_layers"]:
        out.print(_worst(report))


def _memory(memory: Mapping[str, Any] | None) -> str:
    if memory is None:
        return ""
    return f"; arena {memory['arena_bytes']:,} B, constants {memory['constant_bytes']:,} B"


def _db(found: Mapping[str, Any]) -> str:
    return "exact" if found["sqnr_db"] >= MAX_SQNR else f"SQNR {found['sqnr_db']:.1f} dB"


def _worst(report: Mapping[str, Any]) -> Table:
    """Layers by what they cost alone at the outputs."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("costs most", "operator"):
        table.add_column(heading, no_wrap=True)
    table.add_column("SQNR dB", justify="right", no_wrap=True)
    table.add_column("to do", overflow="fold")
    layers = {layer["name"]: layer for layer in report["layers"]}
    for name in report["worst_layers"][:_WORST]:
        layer = layers[name]
        advice = plain(next(iter(layer["remedies"]), "")) or "[dim]nothing[/]"
        table.add_row(plain(name), layer["op"], f"{layer['sqnr_alone_db']:.1f}", advice)
    return table
