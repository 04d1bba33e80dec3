"""The command line: one file per verb, no logic in it."""

from __future__ import annotations

import sys

import click

from tinyops import __version__
from tinyops.cli.lazy import LazyGroup

#: Verb -> its one-line help; the module tinyops.cli.<verb> is imported when the verb is used.
_VERBS = {
    "inspect": "Show a model: layers, memory plan, what it needs.",
    "quantize": "Make a float model int8, and say what it cost.",
    "emit": "Write the model as a C library.",
    "build": "Generate code and build firmware for a board.",
    "flash": "Write a firmware image to a board.",
    "run": "Boot a board, feed inputs, check outputs, count instructions or cycles.",
    "bench": "Models on boards side by side: sizes, counts, bit-exactness.",
    "compare": "Say what changed between two reports.",
    "keys": "Make, list, export, rotate and revoke the keys that sign updates.",
    "update": "Pack, inspect, send and roll out signed updates.",
    "device": "Ask a device: ping, info; the fleet's devices: add, list, show, tag.",
    "serve": "Publish updates, collect reports, show the fleet.",
    "audit": "Check the log of what was done to the fleet.",
    "sim": "A virtual fleet of devices, with losses and power cuts.",
    "boards": "List the boards, or show one.",
    "doctor": "Say what is installed, what is missing and how to get it.",
    "demo": "Classify real images on an emulated Cortex-M4.",
    "new": "Make a project folder.",
    "completion": "Print the shell's completion script.",
}


def main() -> None:
    """Entry point of the `tinyops` command."""
    from tinyops.cli.group import Group

    class Verbs(Group, LazyGroup):
        pass

    cli = Verbs(
        name="tinyops",
        help="Build TinyML firmware for microcontrollers, flash it, run it, and keep it up to date.",
        package=__name__,
        verbs=_VERBS,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[],
    )
    cli = click.version_option(__version__, prog_name="tinyops")(cli)
    cli(args=sys.argv[1:], prog_name="tinyops")
