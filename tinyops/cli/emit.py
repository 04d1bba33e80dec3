"""tinyops emit"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from tinyops.cli.common import (
    console,
    emit_json,
    features_option,
    json_option,
    model_argument,
    plain,
    resolve_features,
    resolve_model,
    say,
    shown,
    symbol_name,
)
from tinyops.device.report import describe_features
from tinyops.emit.c import emit_library, layouts, next_command
from tinyops.emit.c.layout import DEFAULT
from tinyops.emit.c.riot import emit_riot_tree
from tinyops.emit.files import write_files
from tinyops.emit.golden import make_golden
from tinyops.errors import UsageError
from tinyops.features import ModelFeatures
from tinyops.lower.compile import compile_model


@click.command("emit", short_help="Write the model as a C library.")
@model_argument
@click.option("--lang", type=click.Choice(["c"]), default="c", show_default=True, help="Language of the library.")
@click.option("--layout", type=click.Choice(list(layouts())), help="Build system; default: plain.")
@click.option("--os", "system", type=click.Choice(["riot-module"]), help="A module of an operating system instead.")
@click.option("--with-modules", is_flag=True, help="With --os riot-module: copies of all that the module needs.")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder; default: ./NAME.")
@click.option("--name", help="Prefix of all symbols; default: from the file's name.")
@features_option
@click.option("--golden", "steps", type=click.IntRange(1, 64), default=4, show_default=True, help="Golden vectors.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the golden vectors.")
@json_option
def command(
    model: Path | None,
    lang: str,
    layout: str | None,
    system: str | None,
    with_modules: bool,
    folder: Path | None,
    name: str | None,
    features: Path | None,
    steps: int,
    seed: int,
    json_to: str | None,
) -> None:
    """Write MODEL as a library of C99: header, layers, constants, the kernels it uses, a test, build files, README.

    The folder needs nothing else: `make test` in it builds the library and runs its golden vectors. Other layouts wrap
    the same library as CMake package, Arduino or PlatformIO library, Zephyr module, ESP-IDF component or RIOT module.
    With a table [features] in tinyops.toml, or --features, that front end is part of it.

    --os riot-module writes the module tinyops_model, with which tinyops' other modules for RIOT (CoAP, serial line,
    Bluetooth LE) work in your own application, and an example of one.
    """
    _check(layout, system, with_modules)
    path, project = resolve_model(model)
    symbol = symbol_name(path, name, project)
    settings = resolve_features(path, features, project)
    folder = folder or Path(symbol)
    with console.status(f"compiling {plain(path.name)}"):
        compiled = compile_model(path, name=symbol)
        program = compiled.program
        front_end = ModelFeatures.of(settings, [port.tensor for port in program.inputs]) if settings else None
        golden = make_golden(compiled.model, steps, seed, features=front_end)
        files: Mapping[str, str | bytes]
        if system is not None:
            files = emit_riot_tree(program, golden, front_end, with_modules=with_modules)
        else:
            files = emit_library(program, golden, layout or DEFAULT, features=front_end)
    _refuse_foreign(folder, files)
    write_files(folder, files)
    if json_to:
        emit_json(
            {
                "name": symbol,
                "language": lang,
                "layout": layout or (None if system else DEFAULT),
                "os": system,
                "folder": str(folder),
                "files": sorted(files),
                "arena_bytes": program.arena_bytes,
                "state_bytes": program.state_bytes,
                "constant_bytes": program.constant_bytes(),
                "macs": program.macs,
                "kernels": list(program.kernels),
            }
            | ({"features": describe_features(front_end)} if front_end else {}),
            json_to,
        )
        return
    say(
        f"{plain(shown(folder))}: {len(files)} files; "
        f"arena {program.arena_bytes:,} B, state {program.state_bytes:,} B, "
        f"constants {program.constant_bytes():,} B, {program.macs:,} MACs"
    )
    quoted = shlex.quote(shown(folder))
    following = f"make -C {quoted}/example RIOTBASE=path/to/RIOT BOARD=native64 all term"
    if system is None:
        following = next_command(program, layout or DEFAULT, quoted)
    say(f"next: {plain(following)}", style="dim")


def _check(layout: str | None, system: str | None, with_modules: bool) -> None:
    """UsageError for options that exclude one another."""
    if system is not None and layout is not None:
        raise UsageError("--os and --layout exclude each other", allowed="one of them")
    if with_modules and system is None:
        raise UsageError("--with-modules is about modules of an operating system", allowed="with --os riot-module")


def _refuse_foreign(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Raise UsageError where a file of the user's own would be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise UsageError("is a file", where=str(folder), allowed="a folder, which may not exist yet")
    for name, content in files.items():
        path = folder / name
        if len(path.relative_to(folder).parts) == 1 and path.is_file():
            with path.open("rb") as file:
                start = file.read(1 << 12)
                if b"Generated by tinyops" not in start and start + file.read(1 << 16) != _bytes(content):
                    raise UsageError(
                        "would be overwritten, and tinyops has not written it",
                        where=str(path),
                        allowed="a new folder, or that of an earlier `tinyops emit`",
                        hint=f"-o {folder / 'lib'}",
                    )


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
