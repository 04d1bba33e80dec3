"""What every verb shares: consoles, errors, `--json`, and how the model and the board are found."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tinyops.device.board import Board, find_board, list_board_files
from tinyops.device.project import Project, find_project
from tinyops.emit.files import write_file
from tinyops.emit.names import identifier, is_identifier
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import FeatureSettings, load_settings

F = TypeVar("F", bound=Callable[..., Any])

_PIPE_WIDTH = 200
#: What the last column of a table keeps in a narrow terminal; more of it is wrapped.
_LAST_COLUMN = 24


class _Console(Console):
    """A console that cuts nothing where its output is no terminal."""

    @property
    def size(self) -> ConsoleDimensions:
        if self._width is None and not self.is_terminal:
            return ConsoleDimensions(_PIPE_WIDTH, 25)
        return super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def on_broken_pipe(self) -> None:
        reader_gone()


#: Results go to standard output, everything else to standard error.
out = _Console(highlight=False, emoji=False)
console = _Console(stderr=True, highlight=False, emoji=False)


def reader_gone() -> NoReturn:
    """End quietly, as `| head` expects, when nobody reads standard output any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(141)  # 128 + SIGPIPE


def json_option(function: F) -> F:
    """`--json` (standard output) or `--json FILE.json`; the verb gets it as `json_to`."""
    return click.option(
        "--json",
        "json_to",
        is_flag=False,
        flag_value="-",
        metavar="[FILE]",
        callback=_json_target,
        help="Write the result as JSON to FILE, or to standard output.",
    )(function)


def html_option(function: F) -> F:
    """`--html FILE.html`; the verb gets it as `html_to`."""
    return click.option(
        "--html",
        "html_to",
        type=click.Path(path_type=Path),
        metavar="FILE",
        callback=_html_target,
        help="Write a page for people: one self-contained HTML file.",
    )(function)


def _html_target(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is None:
        return None
    if value.suffix not in (".html", ".htm"):
        raise UsageError(f"--html would write to {str(value)!r}", allowed="a name that ends in .html")
    if value.is_dir():
        raise UsageError("is a folder", where=str(value), allowed="a file's name")
    if not value.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(value), hint=f"mkdir -p {value.parent}")
    return value


def _json_target(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "-":
        return value
    if not value.endswith(".json"):
        raise UsageError(
            f"--json would write to {value!r}",
            allowed="a name that ends in .json",
            hint="put --json last, or write --json=-",
        )
    path = Path(value)
    if path.is_dir():
        raise UsageError("is a folder", where=value, allowed="a file's name")
    if not path.parent.is_dir():
        raise UsageError("its folder does not exist", where=value, hint=f"mkdir -p {path.parent}")
    return value


def emit_json(result: Any, target: str) -> None:
    """Write `result` where `--json` points."""
    text = json.dumps(result, indent=2, default=str) + "\n"
    if target != "-":
        write_file(Path(target), text)
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        reader_gone()


class BoardName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A board's name, with completion."""

    name = "board"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in sorted(list_board_files()) if name.startswith(incomplete)]


board_option = click.option("--board", "-b", type=BoardName(), help="Board name; see `tinyops boards`.")
model_argument = click.argument("model", type=click.Path(path_type=Path), required=False)

features_option = click.option(
    "--features",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with a table [features]; default: that of tinyops.toml.",
)


def resolve_model(model: Path | None, *, builds: bool = False) -> tuple[Path, Project | None]:
    """The model named on the command line, else the project file's; with `builds` it may be a build's folder."""
    project = find_project()
    if model is None:
        if project is None:
            raise UsageError(
                "no model is named, and there is no tinyops.toml here or above",
                hint=f"{this_verb()} MODEL.tflite, or: tinyops new NAME",
            )
        if project.model is None:
            raise UsageError("names no model", where=str(project.file), allowed='model = "path/to/model.tflite"')
        model = project.model
        if not model.exists():
            raise UsageError(f"its model {shown(model)} does not exist", where=shown(project.file))
        return model, project
    if not model.exists():
        raise no_such_model(model)
    if model.is_dir() and not builds:
        raise UsageError("is a folder", where=str(model), allowed="a .tflite or .onnx file")
    return model, project


def no_such_model(model: Path) -> UsageError:
    """The error about a path that does not exist, with those that look like it."""
    if str(model) in list_board_files():
        return UsageError("is a board, no model", where=str(model), hint=f"{this_verb()} MODEL.tflite --board {model}")
    others = sorted(str(path) for kind in (".tflite", ".onnx") for path in model.parent.glob(f"*{kind}"))
    near = difflib.get_close_matches(str(model), others, n=3) or others[:3]
    return UsageError("no such file", where=str(model), allowed=", ".join(near) or None)


def symbol_name(model: Path, name: str | None, project: Project | None) -> str:
    """The C identifier of a model: --name, the project's name for its own model, or made from the file's name."""
    symbol = name or (project.name if project and is_own(model, project) else None) or identifier(model.stem)
    if not is_identifier(symbol):
        raise UsageError(
            f"the name {symbol!r} cannot be a prefix of symbols",
            allowed="a small letter, then small letters, digits and _, 48 at most, and no keyword of C or Rust",
            hint=f"--name {identifier(symbol)}",
        )
    return symbol


def resolve_features(model: Path, file: Path | None, project: Project | None) -> FeatureSettings | None:
    """The front end of a model: that of --features, or the project's for its own model, or none."""
    if file is not None:
        return load_settings(file)
    return project.features if project is not None and is_own(model, project) else None


def is_own(model: Path, project: Project) -> bool:
    """Whether `model` is the one that the project file names."""
    return project.model is not None and project.model.resolve() == model.resolve()


def resolve_board(name: str | None, project: Project | None, allowed: str = "--board NAME") -> Board:
    """The board named on the command line, else the project file's."""
    chosen = name or (project.board if project else None)
    if chosen is None:
        raise UsageError(
            "no board is named", allowed=f"{allowed}, or board = ... in tinyops.toml", hint="tinyops boards"
        )
    return find_board(chosen, folder_of(project))


def folder_of(project: Project | None) -> Path | None:
    """Where a project's boards/ is."""
    return project.file.parent if project else None


def build_folder(board: Board | str, project: Project | None, system: str = "bare") -> Path:
    """Where a board's build is, when nobody says."""
    name = board if isinstance(board, str) else board.name
    return (project.build_dir if project else Path("build")) / (name if system == "bare" else f"{name}-{system}")


def shown(path: Path) -> str:
    """A path for people: from the working folder where it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def plain(text: object) -> str:
    """Text of others for a console: no markup, no control characters, nothing that cannot be encoded."""
    safe = "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )
    return escape(safe)


def progress(transient: bool = True) -> Progress:
    """A progress bar on standard error; silent where that is not a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )


def say(text: str = "", *, style: str | None = None) -> None:
    """A line of a result, with markup; it is never wrapped, so that it can be searched and cut."""
    out.print(text, style=style, soft_wrap=True)


def print_table(table: Table) -> None:
    """A table whose last column may be wrapped. Nothing is cut: what a narrow terminal cannot show it wraps itself."""
    natural = Measurement.get(out, out.options.update(max_width=1 << 16), table).maximum
    last = table.columns[-1]
    texts = (Text.from_markup(text).plain for text in (last.header, *last.cells) if isinstance(text, str))
    widest = max((cell_len(line) for text in texts for line in text.splitlines()), default=0)
    needed = natural - max(0, widest - _LAST_COLUMN)
    before = out.width
    if needed <= before:
        out.print(table)
        return
    fixed = out._width
    out.width = needed
    try:
        out.print(table, crop=False)
    finally:
        out._width = fixed


def this_verb() -> str:
    """The verb that runs, as people call it, such as `tinyops update push`."""
    return " ".join(("tinyops", *click.get_current_context().command_path.split()[1:]))


def note(message: str) -> None:
    """A line for people on standard error."""
    console.print(plain(message), style="dim", soft_wrap=True)


def print_error(error: TinyopsError) -> None:
    """An error as people see it."""
    where = f"{plain(error.where)}: " if error.where else ""
    console.print(f"[bold red]error:[/] {where}{plain(error.what)}", soft_wrap=True)
    if error.allowed:
        console.print(f"  [dim]allowed:[/] {plain(error.allowed)}", soft_wrap=True)
    if error.hint:
        console.print(f"  [dim]try:[/] {plain(error.hint)}", soft_wrap=True)
