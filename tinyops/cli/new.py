"""tinyops new"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from tinyops.cli.common import BoardName, emit_json, folder_of, json_option, say
from tinyops.device.board import find_board
from tinyops.device.project import find_project
from tinyops.emit.files import write_files
from tinyops.emit.names import identifier
from tinyops.errors import UsageError
from tinyops.resources import data_dir

_PROJECT = """\
# tinyops project: `tinyops build`, `tinyops run --verify` and `tinyops flash` in this folder use it.
name = "{name}"
model = "{model}"
board = "{board}"
"""
_README = """\
# {title}

```sh
{verbs}
```

The model is tinyops' own digits classifier; replace `{model}` by yours, or name another file in tinyops.toml.
"""


_VERBS = """\
tinyops inspect          # layers, memory plan, what the model needs
tinyops build            # firmware in build/{board}
tinyops run --verify     # boots {board} and compares with the reference"""
_VERBS_WITHOUT_PORT = """\
tinyops inspect                # layers, memory plan, whether the model fits {board}
tinyops emit                   # the model as a C library, for your own firmware
tinyops run --verify -b host   # runs it on this computer and compares with the reference"""


@click.command("new", short_help="Make a project folder.")
@click.argument("name")
@click.option(
    "--board", "-b", type=BoardName(), default="qemu-cortex-m4", show_default=True, help="The project's board."
)
@json_option
def command(name: str, board: str, json_to: str | None) -> None:
    """Make the folder NAME with a tinyops.toml, a small model to begin with, and a README."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(f"{name!r} cannot be a project's name", allowed="letters, digits, '.', '_' and '-'")
    folder = Path(name)
    if folder.exists():
        raise UsageError("exists already", where=name, hint=f"tinyops new {name}-2")
    chosen = find_board(board, folder_of(find_project()))
    source = data_dir("models") / "digits" / "digits.tflite"
    facts = {"name": identifier(name), "model": "digits.tflite", "board": board, "title": name}
    verbs = _VERBS if chosen.firmware.port else _VERBS_WITHOUT_PORT
    files: dict[str, str | bytes] = {
        "tinyops.toml": _PROJECT.format(**facts),
        "README.md": _README.format(**facts, verbs=verbs.format(**facts)),
        ".gitignore": "build/\n",
        "digits.tflite": source.read_bytes(),
    }
    try:
        write_files(folder, files)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if json_to:
        emit_json({"folder": name, "files": sorted(files), "board": board}, json_to)
        return
    say(f"{name}: {', '.join(sorted(files))}")
    say(f"next: cd {name} && tinyops {'run --verify' if chosen.firmware.port else 'inspect'}", style="dim")
