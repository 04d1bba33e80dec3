"""The top-level command: errors become messages, JSON and exit codes, never tracebacks."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from tinyops.cli.common import console, emit_json, plain, print_error
from tinyops.device.board import list_board_files
from tinyops.errors import TinyopsError, UsageError

_INTERNAL = 70  # EX_SOFTWARE of sysexits.h


class Group(click.Group):
    """A group whose `main` ends the process with the exit code that belongs to what happened."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        arguments = list(args[0] if args else kwargs.get("args") or sys.argv[1:])
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            with _signals_end_cleanly():
                result = super().main(*args, **kwargs)
            sys.exit(result if isinstance(result, int) else 0)
        except (click.exceptions.Abort, KeyboardInterrupt):
            console.print("interrupted")
            sys.exit(130)
        except click.UsageError as error:
            _explain_usage(error, arguments)
        except click.ClickException as error:
            _fail(UsageError(error.format_message()), arguments)
        except TinyopsError as error:
            _fail(error, arguments)
        except OSError as error:
            what = error.strerror or str(error)
            _fail(TinyopsError(what, where=os.fsdecode(error.filename) if error.filename else None), arguments)
        except Exception as error:
            if os.environ.get("TINYOPS_DEBUG"):
                raise
            text = f"[bold red]internal error:[/] {type(error).__name__}: {plain(error)}"
            console.print(text, soft_wrap=True)
            console.print("  this is a bug in tinyops; TINYOPS_DEBUG=1 shows where", soft_wrap=True)
            sys.exit(_INTERNAL)


@contextmanager
def _signals_end_cleanly() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack, so that emulators and temporary files go with the process."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(error: TinyopsError, arguments: Sequence[str]) -> NoReturn:
    target = _json_target(arguments)
    if target is not None:
        with suppress(TinyopsError):  # the error itself is worth more than that its file cannot be written
            emit_json(error.as_dict(), target)
    print_error(error)
    sys.exit(error.exit_code)


def _json_target(arguments: Sequence[str]) -> str | None:
    """Where `--json` points, read without the parser, which may be what failed."""
    for k, argument in enumerate(arguments):
        if argument == "--json":
            value = arguments[k + 1] if k + 1 < len(arguments) else "-"
            target = value if value == "-" or not value.startswith("-") else "-"
        elif argument.startswith("--json="):
            target = argument.removeprefix("--json=")
        else:
            continue
        sound = target == "-" or (target.endswith(".json") and Path(target).parent.is_dir())
        return target if sound else None
    return None


def _explain_usage(error: click.UsageError, arguments: Sequence[str]) -> NoReturn:
    context = error.ctx
    if context is not None and not arguments:
        click.echo(context.get_help(), err=True)
        sys.exit(error.exit_code)
    if context is not None:
        console.print(plain(context.get_usage()), soft_wrap=True)
    hint = _misplaced(arguments) or (f"{context.command_path} --help" if context else None)
    _fail(UsageError(error.format_message(), hint=hint), arguments)


def _misplaced(arguments: Sequence[str]) -> str | None:
    """The option that was forgotten before a board's name or an array file."""
    boards = list_board_files()
    for before, argument in pairwise(arguments):
        if argument in boards and before not in ("-b", "--board"):
            return f"--board {argument}"
        if argument.endswith(".npy") and before not in ("-i", "--input", "-o", "--output"):
            return f"--input {argument}, once for each input of the model"
    return None
