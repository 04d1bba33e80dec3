"""A private PostgreSQL for tests, in a folder of its own, reached by a Unix socket; never run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """Where postgres and initdb are, or None."""
    found = shutil.which("postgres")
    if found and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) if os.name == "posix" else []
    return places[-1].parent if places else None


def _user() -> str | None:
    """The user to run it as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def cluster() -> Iterator[str]:
    """A running server with an empty database; gives its URL."""
    folder = binaries()
    assert folder is not None
    user = _user()
    base = Path(tempfile.mkdtemp(prefix="pg-"))
    base.chmod(0o755)
    if user:
        shutil.chown(base, user)
    as_user: dict[str, object] = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": base}
    data = base / "data"
    try:
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "fleet", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            **quiet,  # type: ignore[call-overload]
            **as_user,
        )
        server = subprocess.Popen(
            [folder / "postgres", "-D", data, "-k", base, "-c", "listen_addresses=", "-c", "fsync=off"],
            **quiet,  # type: ignore[call-overload]
            **as_user,
        )
        try:
            for _ in range(200):
                ready = subprocess.run([folder / "pg_isready", "-q", "-h", base], check=False)
                if ready.returncode == 0:
                    break
                time.sleep(0.1)
            yield f"postgresql://fleet@/postgres?host={base}"
        finally:
            server.terminate()
            server.wait(timeout=30)
    finally:
        shutil.rmtree(base, ignore_errors=True)
