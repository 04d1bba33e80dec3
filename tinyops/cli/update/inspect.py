"""tinyops update inspect"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from tinyops.cli.common import emit_json, json_option, out, plain
from tinyops.cli.key_options import keys_option
from tinyops.suit.describe import render
from tinyops.suit.keys import Key
from tinyops.update.inspection import inspect_path
from tinyops.update.keystore import Keystore
from tinyops.update.verifiers import find_verifiers

_HIDDEN = ("kind", "ok", "why", "reason", "manifest", "files")


@click.command("inspect", short_help="Say what a file of an update holds, and verify it.")
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option(
    "--key",
    "names",
    multiple=True,
    metavar="NAME|FILE",
    help="Verify with this key, or this PEM or COSE_Key file; default: all of --keys.",
)
@keys_option
@json_option
@click.pass_context
def command(
    context: click.Context, path: Path, names: tuple[str, ...], keystore: Keystore, json_to: str | None
) -> None:
    """Say in words what PATH holds: a manifest, a capsule, a delta, a firmware image, a suit-report, or a pack's
    folder.

    Exit code 1 unless it is sound: a manifest, and a pack, must be signed by a key that is trusted here.
    """
    keys, known = find_verifiers(names, keystore)
    table = inspect_path(path, keys, known)
    if json_to:
        emit_json(table, json_to)
    if json_to != "-":
        print_inspection(table, keys)
    if not table["ok"]:
        context.exit(1)


def print_inspection(table: Mapping[str, Any], keys: list[Key]) -> None:
    """The table for people."""
    if table["kind"] == "manifest":
        _manifest(table, keys)
        return
    verdict = Text("sound", "bold green") if table["ok"] else Text("refused", "bold red")
    why = f": {table['why']}" if "why" in table else ""
    out.print(Text.assemble(f"{table['kind']}: ", verdict, why), soft_wrap=True)
    _print_fields(table, 1)
    if table["kind"] == "pack":
        _manifest(table["manifest"], keys)
        for name, file in table["files"].items():
            out.print(f"{plain(name)}: {plain(_summary(file))}", soft_wrap=True)


def _manifest(table: Mapping[str, Any], keys: list[Key]) -> None:
    out.print("manifest: ", end="")
    render({key: value for key, value in table.items() if key not in ("kind", "ok")}, out)
    if not keys:
        out.print("  try: tinyops update inspect ... --key FILE.pem", style="dim", soft_wrap=True)


def _print_fields(table: Mapping[str, Any], depth: int) -> None:
    for key, value in table.items():
        if key in _HIDDEN:
            continue
        name = f"{'  ' * depth}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            out.print(Text(f"{name}:"), soft_wrap=True)
            _print_fields(value, depth + 1)
        elif isinstance(value, list):
            out.print(Text(f"{name}:"), soft_wrap=True)
            for item in value:
                out.print(Text(f"{'  ' * (depth + 1)}{item}"), soft_wrap=True)
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            out.print(Text(f"{name}: {shown}"), soft_wrap=True)


def _summary(file: Mapping[str, Any]) -> str:
    """One line about a payload."""
    words = [f"{file['kind']}"]
    words += [f"{file['bytes']:,} B"] if "bytes" in file else []
    words += [f"of {file['name']}"] if "name" in file else []
    words += [f"from {file['base_sha256'][:16]}…, {file['share']}"] if "share" in file else []
    words += [f"sha-256 {file['sha256'][:16]}…"]
    words += [] if file["ok"] else [f"refused: {file.get('why', 'it is not sound')}"]
    return ", ".join(words)
