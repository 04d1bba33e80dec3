"""Markdown documents as tests: their fenced blocks, and a shell session that runs the commands in them.

A ```console block holds commands (`$ ` before each, `> ` before lines that continue it) and what they print, standard
output and standard error together. In what is expected, a line `...` stands for any number of lines and a `…` inside
of a line for any text. A comment on the line before a block says more about it:

    <!-- not run: REASON -->        the commands are not run
    <!-- numbers vary: REASON -->   numbers, and the blanks that align them, may differ
    <!-- file: NAME -->             the block, of any other language, is the file NAME in the session's folder
    <!-- generated: NAME -->        what follows, up to <!-- end -->, is made by tests/support/tables.py
"""

from __future__ import annotations

import atexit
import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinyops.resources import data_dir

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
_PIPE_CLOSED = 128 + 13  # what is left of `tinyops ... | head`
_FENCE = re.compile(r"^(`{3,})(.*)$")
_COMMENT = re.compile(r"^<!-- (not run|numbers vary|file):\s*(.*?)\s*-->$")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?!\w)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `start` is the index of its first line in the document, `end` that of the closing fence."""

    language: str
    lines: tuple[str, ...]
    start: int
    end: int
    comment: str | None
    remark: str


@dataclass(frozen=True)
class Command:
    """A command and the lines that it should print; `start` and `end` delimit these in the document."""

    text: str
    expected: tuple[str, ...]
    start: int
    end: int
    numbers_vary: bool


def documents() -> list[Path]:
    """All documents that a user reads."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.is_file()]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    lines = text.splitlines()
    start, fence, language = -1, "", ""
    for k, line in enumerate(lines):
        found = _FENCE.match(line)
        if found and start < 0:
            start, fence, language = k + 1, found[1], found[2].strip()
        elif found and found[1] == fence and not found[2].strip():
            comment = _COMMENT.match(lines[start - 2]) if start >= 2 else None
            kind, remark = (comment[1], comment[2]) if comment else (None, "")
            yield Block(language, tuple(lines[start:k]), start, k, kind, remark)
            start = -1
    if start >= 0:
        raise ValueError(f"line {start}: the block has no end")


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    starts = [k for k, line in enumerate(block.lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"line {block.start + 1}: a console block begins with a command")
    found = []
    for k, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        first = k + 1
        while first < end and block.lines[first].startswith("> "):
            first += 1
        text = "\n".join(line[2:] for line in block.lines[k:first])
        vary = block.comment == "numbers vary"
        found.append(Command(text, tuple(block.lines[first:end]), block.start + first, block.start + end, vary))
    return found


def matches(command: Command, printed: list[str]) -> bool:
    """Whether `printed` is what the command should print."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else _line_pattern(line.rstrip(), command.numbers_vary) + "\n"
        for line in command.expected
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


def _line_pattern(line: str, numbers_vary: bool) -> str:
    return ".*?".join(_text_pattern(part, numbers_vary) for part in line.split("…"))


def _text_pattern(text: str, numbers_vary: bool) -> str:
    if not numbers_vary:
        return re.escape(text)
    words = (re.sub(r"(?:\\ )+", "[ ]+", re.escape(part)) for part in _NUMBER.split(text))
    return _NUMBER.pattern.join(words)


def difference(command: Command, printed: list[str]) -> str:
    """Expected and printed lines, as a diff."""
    return "\n".join(difflib.unified_diff(command.expected, printed, "expected", "printed", lineterm="", n=3))


class Session:
    """A shell in a temporary folder with `tinyops`, `python` and the project's models; commands may change folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "session"
        self._here = self.folder
        self._private = folder / "private"
        self.folder.mkdir()
        shutil.copytree(data_dir("models"), self.folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
        bin_ = self._private / "bin"
        bin_.mkdir(parents=True)
        for name, arguments in (("tinyops", " -m tinyops"), ("python", "")):
            script = bin_ / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
            script.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TINYOPS_", "XDG_", "MAKE"))}
        self._environment = kept | {
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_CONFIG_HOME": str(self._private / "config"),
            "XDG_CACHE_HOME": str(self._private / "cache"),
            "XDG_DATA_HOME": str(self._private / "data"),
            "XDG_STATE_HOME": str(self._private / "state"),
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
        }

    def write(self, block: Block) -> None:
        """The file that a `file` comment names."""
        path = self.folder / block.remark
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(block.lines) + "\n", encoding="utf-8")

    def run(self, text: str) -> tuple[int, list[str]]:
        """(exit status, printed lines without trailing blanks) of a command."""
        where = self._private / "folder"
        script = f"set -o pipefail\ntrap 'pwd >{shlex.quote(str(where))}' EXIT\n{text}\n"
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self._here,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        atexit.register(_end_group, process.pid)
        output, _ = process.communicate(timeout=SECONDS)
        self._here = Path(where.read_text(encoding="utf-8").rstrip("\n"))
        printed = [line.rstrip() for line in output.decode("utf-8", "replace").splitlines()]
        while printed and not printed[-1]:
            printed.pop()
        return 0 if process.returncode == _PIPE_CLOSED else process.returncode, printed


def _end_group(group: int) -> None:
    """End what a command left running in the background."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
