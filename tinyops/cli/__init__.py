"""The command line: one file per verb, no logic in it."""

from __future__ import annotations

import importlib
import sys

import click

from tinyops import __version__

#: Verb -> its one-line help; the module tinyops.cli.<verb> is imported when the verb is used.
_VERBS = {
    "inspect": "Show a model: layers, memory plan, what it needs.",
    "quantize": "Make a float model int8, and say what it cost.",
    "emit": "Write the model as a C library.",
    "build": "Generate code and build firmware for a board.",
    "flash": "Write a firmware image to a board.",
    "run": "Boot a board, feed inputs, check outputs, count instructions.",
    "bench": "Models on boards side by side: sizes, instructions, bit-exactness.",
    "compare": "Say what changed between two reports.",
    "boards": "List the boards, or show one.",
    "doctor": "Say what is installed, what is missing and how to get it.",
    "demo": "Classify real images on an emulated Cortex-M4.",
    "new": "Make a project folder.",
    "completion": "Print the shell's completion script.",
}


def main() -> None:
    """Entry point of the `tinyops` command."""
    from tinyops.cli.group import Group

    class Verbs(Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(_VERBS)

        def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
            if name not in _VERBS:
                return None
            module = importlib.import_module(f"tinyops.cli.{name}")
            command: click.Command = module.command
            return command

        def resolve_command(
            self, ctx: click.Context, args: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            try:
                return super().resolve_command(ctx, args)
            except click.UsageError as error:
                import difflib

                near = difflib.get_close_matches(args[0], list(_VERBS), n=1)
                what = f"There is no command '{args[0]}'."
                raise click.UsageError(what + (f" Did you mean '{near[0]}'?" if near else ""), ctx) from error

    cli = Verbs(
        name="tinyops",
        help="Build TinyML firmware for microcontrollers, flash it, run it, and keep it up to date.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[],
    )
    cli = click.version_option(__version__, prog_name="tinyops")(cli)
    cli(args=sys.argv[1:], prog_name="tinyops")
