"""Running the programs of other projects that flash boards."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyops.device.flash.faults import timed_out
from tinyops.errors import MissingToolError

Progress = Callable[[float], None]
_MAX_OUTPUT = 1 << 20
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: its exit status, and its lines (both streams, as they came)."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def has(self, pattern: str) -> re.Match[str] | None:
        """The first match of a pattern in the text, whatever the case."""
        return re.search(pattern, self.text, re.IGNORECASE | re.MULTILINE)


def find_program(names: Sequence[str], fix: str, folders: Sequence[Path] = ()) -> str:
    """The first of `names` on the PATH, beside this Python, or in `folders`; MissingToolError with `fix` else."""
    places = (None, str(Path(sys.executable).parent), *map(str, folders))
    for name in names:
        for place in places:
            path = shutil.which(name) if place is None else shutil.which(name, path=place)
            if path:
                return path
    raise MissingToolError("is not installed", where=names[0], hint=fix)


def run(
    command: Sequence[str],
    *,
    progress: Progress | None = None,
    percent: str | None = None,
    on_line: Callable[[str], None] | None = None,
    seconds: float = 300,
    where: str | None = None,
) -> Finished:
    """Run a program to its end, at most `seconds`; what it prints is read line by line, `\\r` included.

    `percent` is a pattern whose first group is a number from 0 to 100; `progress` gets it from 0 to 1, and `on_line`
    every line. Raises FlashError when it takes too long; then, and when this is interrupted, the program and what it
    started are killed.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
    )
    late = threading.Event()
    reader = _Reader(progress, percent, on_line)

    def stop() -> None:
        late.set()
        _kill_group(process)

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        reader.read(process)
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process)
    if late.is_set():
        raise timed_out(where or Path(command[0]).name, seconds)
    return Finished(code, tuple(reader.lines))


class _Reader:
    """Splits what a program prints into lines, and tells of each at once."""

    def __init__(self, progress: Progress | None, percent: str | None, on_line: Callable[[str], None] | None) -> None:
        self.lines: list[str] = []
        self._progress = progress
        self._percent = re.compile(percent) if percent else None
        self._on_line = on_line

    def read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        rest, total = b"", 0
        while piece := os.read(process.stdout.fileno(), 4096):
            total += len(piece)
            if total > _MAX_OUTPUT:
                continue
            *whole, rest = re.split(rb"[\r\n\x08]+", rest + piece)
            for raw in whole:
                self._take(raw)
            self._measure(rest.decode("utf-8", "replace"))
        self._take(rest)
        process.stdout.close()

    def _take(self, raw: bytes) -> None:
        line = _CONTROL.sub("", raw.decode("utf-8", "replace")).rstrip()
        self._measure(line)
        if line:
            self.lines.append(line)
            if self._on_line:
                self._on_line(line)

    def _measure(self, text: str) -> None:
        if self._percent and self._progress and (found := self._percent.findall(text)):
            self._progress(min(float(found[-1]) / 100, 1.0))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _kill_group(process)
        process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started."""
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
