"""tinyops emit"""

from __future__ import annotations

from pathlib import Path

import click

from tinyops.cli.common import console, emit_json, json_option, model_argument, resolve_model, say, symbol_name
from tinyops.emit.c import emit_library
from tinyops.emit.files import write_files
from tinyops.emit.golden import make_golden
from tinyops.lower.compile import compile_model


@click.command("emit", short_help="Write the model as a C library.")
@model_argument
@click.option("--lang", type=click.Choice(["c"]), default="c", show_default=True, help="Language of the library.")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder; default: ./NAME.")
@click.option("--name", help="Prefix of all symbols; default: from the file's name.")
@click.option("--golden", "steps", type=click.IntRange(1, 64), default=4, show_default=True, help="Golden vectors.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the golden vectors.")
@json_option
def command(
    model: Path | None, lang: str, folder: Path | None, name: str | None, steps: int, seed: int, json_to: str | None
) -> None:
    """Write MODEL as a library of C99: header, layers, constants, the kernels it uses, a test, build files, README.

    The folder needs nothing else: `make test` in it builds the library and runs its golden vectors.
    """
    path, project = resolve_model(model)
    symbol = symbol_name(path, name, project)
    folder = folder or Path(symbol)
    with console.status(f"compiling {path.name}"):
        compiled = compile_model(path, name=symbol)
        files = emit_library(compiled.program, make_golden(compiled.model, steps, seed))
    write_files(folder, files)
    program = compiled.program
    if json_to:
        emit_json(
            {
                "name": symbol,
                "language": lang,
                "folder": str(folder),
                "files": sorted(files),
                "arena_bytes": program.arena_bytes,
                "state_bytes": program.state_bytes,
                "constant_bytes": program.constant_bytes(),
                "macs": program.macs,
                "kernels": list(program.kernels),
            },
            json_to,
        )
        return
    say(
        f"{folder}: {len(files)} files; arena {program.arena_bytes:,} B, state {program.state_bytes:,} B, "
        f"constants {program.constant_bytes():,} B, {program.macs:,} MACs"
    )
    say(f"next: make -C {folder} test", style="dim")
