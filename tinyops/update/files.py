"""Files of others, read up to a bound."""

from __future__ import annotations

from pathlib import Path

from tinyops.errors import UsageError


def read_file(path: Path, limit: int) -> bytes:
    """A file of at most `limit` bytes; UsageError when there is none."""
    try:
        if not path.is_file():
            raise UsageError("no such file", where=str(path))
        if path.stat().st_size > limit:
            raise UsageError("is too large", where=str(path), allowed=f"up to {limit:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
