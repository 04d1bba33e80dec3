"""Running RIOT's makefiles."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinyops.device.riot.base import VARIABLE, RiotBase
from tinyops.errors import MissingToolError, TinyopsError

_QUESTION_SECONDS = 120
_END_SECONDS = 5
#: Of an outer make, or of a shell that is set up for another application.
_DROPPED = {
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "BOARD", "APPLICATION", "APPDIR", "BINDIR", "BINDIRBASE"),
    *("TINYOPS", "TINYOPS_MODEL", "TINYOPS_NETWORK", "EXTERNAL_MODULE_DIRS", "USEMODULE", "QUIETER"),
}


@dataclass(frozen=True, slots=True)
class Made:
    """What make printed (both streams, as it came) and its exit status."""

    status: int
    output: str
    printed: str  # standard output alone


@dataclass(frozen=True, slots=True)
class RiotMake:
    """make in the folder of the application `folder`, for one board; objects go below `folder`/bin."""

    base: RiotBase
    folder: Path
    board: str

    @property
    def command(self) -> str:
        """What to type to run it by hand; targets follow."""
        return f"make -C {self.folder} RIOTBASE={self.base.path} BOARD={self.board}"

    def run(
        self,
        targets: Sequence[str],
        *,
        options: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        seconds: float = _QUESTION_SECONDS,
    ) -> Made:
        """Run make; TinyopsError when it does not end within `seconds`. make and its children end with this call."""
        program = shutil.which("make")
        if program is None:
            raise MissingToolError("make is not installed", where="RIOT", hint="apt-get install make")
        given = {"BOARD": self.board, "RIOTBASE": str(self.base.path), **(variables or {})}
        command = [program, *options, "-C", str(self.folder), *(f"{key}={value}" for key, value in given.items())]
        environment = {key: value for key, value in os.environ.items() if key not in _DROPPED}
        environment |= {VARIABLE: str(self.base.path), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        with tempfile.TemporaryFile() as both, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*command, *targets],
                stdin=subprocess.DEVNULL,
                stdout=both,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired as error:
                raise TinyopsError(f"make took longer than {seconds:.0f} s", where=str(self.folder)) from error
            finally:
                _end(process)
            texts = []
            for file in (both, errors):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
        return Made(status, texts[0] + texts[1], texts[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running, compilers included.

    make removes what is half-written when it is told to end; of one that is killed the next would take it for whole.
    """
    if process.poll() is not None:
        return
    try:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    finally:
        if sys.platform == "win32":
            process.kill()
        else:
            _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To the process and all that it started."""
    with suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)
