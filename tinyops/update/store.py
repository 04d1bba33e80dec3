"""Files of published updates on disk, each under the SHA-256 of its content: DIR/ab/abcdef...

A file appears whole or not at all, and is never changed: servers read blocks of it at any time, without locks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from tinyops.update.database import FleetError

#: The largest file, in bytes.
MAX_FILE = 64 << 20
#: All files together, in bytes, unless the store is opened with another limit.
MAX_TOTAL = 4 << 30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Store:
    """A folder of files that are found by their content's digest."""

    def __init__(self, folder: Path, *, max_total: int = MAX_TOTAL) -> None:
        self.folder = folder
        self.max_total = max_total

    def path(self, digest: bytes) -> Path:
        """Where the file with this digest is, or would be."""
        name = digest.hex()
        return self.folder / name[:2] / name

    def has(self, digest: bytes, size: int) -> bool:
        """Whether the file with this digest is here, in its full size."""
        path = self.path(digest)
        return path.is_file() and path.stat().st_size == size

    def add(self, data: bytes, name: str) -> bytes:
        """Keep `data`, called `name` in messages; returns its digest. FleetError when there is no place for it."""
        if len(data) > MAX_FILE:
            raise FleetError(f"has {len(data):,} bytes", where=name, allowed=f"up to {MAX_FILE:,} bytes")
        digest = hashlib.sha256(data).digest()
        if self.has(digest, len(data)):
            return digest
        path = self.path(digest)
        used = self.used()
        if used + len(data) > self.max_total:
            raise FleetError(
                f"{name} needs {len(data):,} B, and {used:,} of {self.max_total:,} B are taken; nothing was published",
                where=str(self.folder),
                hint="tinyops update withdraw BUNDLE, or more with --store-limit",
            )
        partial = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            if error.errno in _FULL:
                raise FleetError(
                    f"the disk is full: {name} needs {len(data):,} B; nothing was published",
                    where=str(self.folder),
                    hint="make room, then publish again",
                ) from error
            raise FleetError(f"{name} cannot be kept: {error.strerror}", where=str(self.folder)) from error
        return digest

    def used(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.glob("??/*") if not path.name.startswith("."))

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer at the end; FleetError when the file is not there."""
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise FleetError("a published file cannot be read", where=str(self.path(digest))) from error

    def remove(self, digest: bytes) -> None:
        """Forget a file; readers that have it open finish undisturbed."""
        self.path(digest).unlink(missing_ok=True)
