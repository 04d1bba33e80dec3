"""The RIOT checkout that the user names; nothing here fetches one."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyops.errors import MissingToolError, UsageError

#: The environment variable that RIOT's own makefiles read.
VARIABLE = "RIOTBASE"
_FILES = ("Makefile.include", "Makefile.base", "boards", "core", "sys")
_UNFIT = re.compile(r"[\s:;#$%&'\"\\*?|()<>]")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RiotBase:
    """A checkout, and its version as RIOT would name it ("unknown" where neither VERSION nor git tells)."""

    path: Path
    version: str

    @property
    def title(self) -> str:
        """RIOT with its version, where that is known."""
        return "RIOT" if self.version == UNKNOWN else f"RIOT {self.version}"

    def boards(self) -> list[str]:
        """Names that BOARD= may have."""
        folders = (self.path / "boards").iterdir()
        return sorted(f.name for f in folders if (f / "Makefile").is_file() and not f.name.startswith("common"))

    def check_board(self, name: str) -> None:
        """UsageError for a board that this RIOT does not have."""
        known = self.boards()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise UsageError(
                f"{self.title} has no board {name!r}",
                where=str(self.path),
                allowed="did you mean " + " or ".join(near) + "?" if near else "a folder of its boards/",
            )


def find_riot(option: Path | None = None, project: Path | None = None) -> RiotBase:
    """The checkout of --riot-base, else of RIOTBASE, else of `base` in the project file's table [riot].

    MissingToolError where none is named, UsageError where the folder is none.
    """
    named = os.environ.get(VARIABLE)
    places = (("--riot-base", option), (VARIABLE, Path(named) if named else None), ("[riot] base", project))
    for origin, path in places:
        if path is not None:
            return open_riot(path, origin)
    raise MissingToolError(
        "no RIOT is named",
        allowed=f"--riot-base FOLDER, the environment variable {VARIABLE}, or base in a table [riot] of tinyops.toml",
        hint=f"git clone https://github.com/RIOT-OS/RIOT, then export {VARIABLE}=$PWD/RIOT",
    )


def open_riot(path: Path, origin: str) -> RiotBase:
    """The checkout at `path`, which `origin` names."""
    folder = path.expanduser().resolve()
    if not folder.is_dir():
        raise UsageError("no such folder", where=f"{origin} {path}", allowed="RIOT's top folder")
    missing = [name for name in _FILES if not (folder / name).exists()]
    if missing:
        raise UsageError(
            f"is no RIOT checkout ({missing[0]} is not there)", where=f"{origin} {path}", allowed="RIOT's top folder"
        )
    refuse_for_make(folder)
    return RiotBase(folder, _version(folder))


def refuse_for_make(folder: Path) -> None:
    """UsageError for a path that make would take apart."""
    found = _UNFIT.search(str(folder))
    if found:
        raise UsageError(
            f"RIOT's makefiles do not work with {found[0]!r} in a path", where=str(folder), allowed="another folder"
        )


def _version(folder: Path) -> str:
    """RIOT_VERSION of the file VERSION (releases), else what `git describe` says."""
    try:
        text = (folder / "VERSION").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^RIOT_VERSION\s*[:?]?=\s*(\S+)", text, re.MULTILINE)
    if found:
        return found[1]
    if not (folder / ".git").exists():
        return UNKNOWN
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=8"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return result.stdout.strip() or UNKNOWN
