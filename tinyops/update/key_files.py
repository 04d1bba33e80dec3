"""Files of private keys: who may read them, and writes that survive a crash or do not happen at all."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinyops.errors import TinyopsError

MAX_BYTES = 1 << 16
_POSIX = os.name == "posix"


def private_folder(path: Path) -> None:
    """Make `path` (0700) or check that no one else may look into it."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = path.stat()
    except OSError as error:
        raise TinyopsError(f"cannot make the folder: {error.strerror}", where=str(path)) from error
    _refuse_others(path, status, "700")


def read_private(path: Path) -> bytes:
    """The content of a private file; TinyopsError when others may read it, or when it is no regular small file."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise TinyopsError(f"cannot be read: {error.strerror}", where=str(path)) from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise TinyopsError("is no key file", where=str(path), allowed=f"a file of up to {MAX_BYTES:,} bytes")
        _refuse_others(path, status, "600")
        return file.read(MAX_BYTES)


def _refuse_others(path: Path, status: os.stat_result, mode: str) -> None:
    if not _POSIX:
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise TinyopsError("belongs to another user", where=str(path), hint=f"sudo chown $USER {path}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        what = f"others may read it (mode {stat.S_IMODE(status.st_mode):o})"
        raise TinyopsError(what, where=str(path), allowed=f"mode {mode}", hint=f"chmod {mode} {path}")


def write_private(path: Path, data: bytes) -> None:
    """Replace a private file: when this returns, the new content is on the disk; after a crash it is old or new."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Make renames inside of `path` durable."""
    if not _POSIX:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_folder(path: Path, files: dict[str, bytes]) -> None:
    """Make the private folder `path` with all of `files`, at once and durably; TinyopsError when it exists."""
    partial = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))  # mode 0700
    try:
        for name, data in files.items():
            write_private(partial / name, data)
        partial.rename(path)  # fails on a folder that is not empty
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if path.exists():
            raise TinyopsError("exists already", where=str(path), allowed="another name") from error
        raise TinyopsError(f"cannot write: {error.strerror}", where=str(path)) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against other processes; the lock ends with the process, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            os.close(handle)
