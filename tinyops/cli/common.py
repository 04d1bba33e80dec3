"""What every verb shares: consoles, errors, `--json`, and how the model and the board are found."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from tinyops.device.board import Board, find_board, list_board_files
from tinyops.device.project import Project, find_project
from tinyops.emit.files import write_file
from tinyops.emit.names import identifier, is_identifier
from tinyops.errors import TinyopsError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

#: Results go to standard output, everything else to standard error.
out = Console(highlight=False)
console = Console(stderr=True, highlight=False)


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


def _json_target(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and value != "-" and not value.endswith(".json"):
        raise UsageError(
            f"--json would write to {value!r}",
            allowed="a name that ends in .json",
            hint="put --json last, or write --json=-",
        )
    return value


def emit_json(result: Any, target: str) -> None:
    """Write `result` where `--json` points."""
    text = json.dumps(result, indent=2, default=str) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_file(Path(target), text)


class BoardName(click.ParamType):
    """A board's name, with completion."""

    name = "board"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in sorted(list_board_files()) if name.startswith(incomplete)]


board_option = click.option("--board", "-b", type=BoardName(), help="Board name; see `tinyops boards`.")
model_argument = click.argument("model", type=click.Path(path_type=Path), required=False)


def resolve_model(model: Path | None) -> tuple[Path, Project | None]:
    """The model named on the command line, else the project file's."""
    project = find_project()
    if model is not None:
        return model, project
    if project is None:
        raise UsageError(
            "no model is named, and there is no tinyops.toml here or above",
            hint="tinyops build MODEL.tflite --board qemu-cortex-m4, or: tinyops new NAME",
        )
    if project.model is None:
        raise UsageError("no model is named", where=str(project.file), allowed='model = "path/to/model.tflite"')
    return project.model, project


def symbol_name(model: Path, name: str | None, project: Project | None) -> str:
    """The C identifier of a model: --name, the project's name, or made from the file's name."""
    symbol = name or (project.name if project else None) or identifier(model.stem)
    if not is_identifier(symbol):
        raise UsageError(f"--name {symbol!r}", allowed="lower-case letters, digits and _, and no keyword of C or Rust")
    return symbol


def resolve_board(name: str | None, project: Project | None, default: str | None = None) -> Board:
    """The board named on the command line, else the project file's, else `default`."""
    chosen = name or (project.board if project else None) or default
    if chosen is None:
        raise UsageError(
            "no board is named", allowed="--board NAME, or board = ... in tinyops.toml", hint="tinyops boards"
        )
    return find_board(chosen, project.file.parent if project else None)


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


def say(text: str = "", *, style: str | None = None, markup: bool = True) -> None:
    """A line of a result; it is never wrapped, so that it can be searched and cut."""
    out.print(text, style=style, markup=markup, soft_wrap=True)


def note(message: str) -> None:
    """A line for people on standard error."""
    console.print(message, style="dim", markup=False, soft_wrap=True)


def print_error(error: TinyopsError) -> None:
    """An error as people see it."""
    where = f"{escape(error.where)}: " if error.where else ""
    console.print(f"[bold red]error:[/] {where}{escape(error.what)}", soft_wrap=True)
    if error.allowed:
        console.print(f"  [dim]allowed:[/] {escape(error.allowed)}", soft_wrap=True)
    if error.hint:
        console.print(f"  [dim]try:[/] {escape(error.hint)}", soft_wrap=True)


class Group(click.Group):
    """The top-level group: errors become messages and exit codes, never tracebacks."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        arguments = list(args[0] if args else kwargs.get("args") or sys.argv[1:])
        try:
            result = super().main(*args, **kwargs)
            sys.exit(result if isinstance(result, int) else 0)
        except click.exceptions.Abort:
            console.print("interrupted")
            sys.exit(130)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except TinyopsError as error:
            if any(a == "--json" or a == "--json=-" for a in arguments):
                sys.stdout.write(json.dumps(error.as_dict(), indent=2) + "\n")
            print_error(error)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            console.print("interrupted")
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except Exception as error:
            if os.environ.get("TINYOPS_DEBUG"):
                raise
            console.print(f"[bold red]internal error:[/] {escape(type(error).__name__)}: {escape(str(error))}")
            console.print("  this is a bug in tinyops; TINYOPS_DEBUG=1 shows where", markup=False)
            sys.exit(70)
