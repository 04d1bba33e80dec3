"""Programs are run to their end, read as they print, and never outlive us."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tinyops.device.flash.faults import Fault, FlashError
from tinyops.device.flash.process import find_program, run
from tinyops.errors import MissingToolError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_lines_and_status() -> None:
    done = run(python("import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"))
    assert done.code == 3
    assert sorted(done.lines) == ["one", "two"]


def test_progress_comes_before_the_line_ends() -> None:
    seen: list[float] = []
    code = "for p in (10, 50, 120):\n print(f'\\r[==] {p}%', end='', flush=True)"
    run(python(code), progress=seen.append, percent=r"(\d+)%")
    assert seen[0] == 0.1
    assert seen[-1] == 1.0
    assert max(seen) <= 1.0


def test_colours_and_odd_bytes_are_text() -> None:
    done = run(python(r"import sys; sys.stdout.buffer.write(b'\x1b[31mred\x1b[0m \xff\r\nend')"))
    assert done.lines == ("red �", "end")


def test_too_much_output_is_not_kept() -> None:
    done = run(python("for _ in range(3000): print('x' * 1000)"))
    assert done.code == 0
    assert len(done.text) <= 1 << 20


def test_too_long_ends_it_and_its_helpers(tmp_path: Path) -> None:
    """A helper that holds the output open does not hold us."""
    mark = tmp_path / "mark"
    helper = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {helper!r}]); time.sleep(30)"
    before = time.monotonic()
    with pytest.raises(FlashError) as error:
        run(python(code), seconds=0.7)
    assert error.value.fault == Fault.TIMEOUT
    assert "half of the firmware" in error.value.what
    assert time.monotonic() - before < 2
    time.sleep(2.2)
    assert not mark.exists()


def test_an_interruption_ends_it() -> None:
    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(python("import time; print('x', flush=True); time.sleep(30)"), on_line=stop)
    assert time.monotonic() - before < 5


def test_programs_are_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "some-flasher"
    with pytest.raises(MissingToolError) as error:
        find_program(("some-flasher",), "get it", (tmp_path,))
    assert error.value.hint == "get it"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_program(("other", "some-flasher"), "get it", (tmp_path,)) == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program(("some-flasher",), "get it") == str(program)
