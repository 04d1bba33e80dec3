"""Writing many files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tinyops.errors import TinyopsError


def write_file(path: Path, content: str | bytes) -> bool:
    """Write through a temporary file and a rename; an unchanged file is left alone. True when it was written."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TinyopsError(f"cannot write: {error.strerror}", where=str(path)) from error
    return True


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write every file below `folder`; all content exists before the first write."""
    if folder.exists() and not folder.is_dir():
        raise TinyopsError("is a file", where=str(folder), allowed="a folder, which may not exist yet")
    for name, content in files.items():
        write_file(folder / name, content)
