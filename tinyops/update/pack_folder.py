"""The folders that packs are: written as a whole or not at all, and read again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyops.errors import TinyopsError, UsageError
from tinyops.update.files import read_file
from tinyops.update.pack import PACK, Packed


def check_output(folder: Path) -> None:
    """UsageError when a pack cannot be made there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "exists already: packs are not changed", where=str(folder), allowed="a folder that does not exist yet"
        )


def write_pack(folder: Path, packed: Packed) -> None:
    """Write a pack: `folder` is there with all files, or as it was."""
    check_output(folder)
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        umask = os.umask(0)
        os.umask(umask)
        for name, content in packed.files.items():
            mode = 0o600 if name.endswith(".plain") else 0o666 & ~umask
            with os.fdopen(os.open(partial / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        partial.chmod(0o777 & ~umask)
        partial.replace(folder)
    except BaseException as error:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise TinyopsError(f"cannot write: {error.strerror}", where=str(folder)) from error
        raise


def read_pack_facts(folder: Path) -> dict[str, Any]:
    """pack.json of a pack, as far as it is needed here; UsageError when it is none."""
    try:
        table = json.loads(read_file(folder / PACK, 1 << 20))
        if isinstance(table, dict) and table.get("version") == 1 and isinstance(table.get("sequence"), int):
            return table
    except (ValueError, RecursionError):
        pass
    raise UsageError("is no pack.json", where=str(folder / PACK), allowed="what `tinyops update pack` wrote")


def newest_beside(folder: Path, facts: Mapping[str, Any]) -> tuple[int, str]:
    """The highest sequence number, and the name, of the packs beside `folder` for the same class and a component of
    the pack with `facts`; or 0."""
    found = (0, "")
    for file in sorted(folder.absolute().parent.glob(f"*/{PACK}"))[:1000]:
        if file.parent == folder.absolute():
            continue
        try:
            other = read_pack_facts(file.parent)
            same = other["class_id"] == facts.get("class_id") and _components(other) & _components(facts)
        except (UsageError, KeyError, TypeError):
            continue
        if same:
            found = max(found, (other["sequence"], file.parent.name))
    return found


def _components(facts: Mapping[str, Any]) -> set[str]:
    return {image["component"] for image in facts["images"]}
