"""Damaged and hostile files: a clear error, in bounded time and memory, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutants import corrupted, structural_mutants, truncated
from tinyops.resources import data_dir

_SOURCES = ("digits", "speakers")
_SECONDS = 5
_KIBIBYTES = 500 * 1024

# Runs in a process of its own so that its peak memory is that of the importer.
_PROBE = """
import json, re, resource, sys, time
from pathlib import Path
from tinyops.errors import TinyopsError
from tinyops.lower.compile import compile_model
def peak_kibibytes():
    status = Path("/proc/self/status")  # what getrusage says may be the peak of the parent
    found = re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text()) if status.is_file() else None
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    start, path = time.monotonic(), Path(line.strip())
    try:
        compile_model(path, name="m")
        message = None
    except TinyopsError as error:
        message = str(error)
    print(json.dumps([message, time.monotonic() - start, peak_kibibytes()]), flush=True)
"""


def _source(name: str) -> bytes:
    return (data_dir("models") / name / f"{name}.tflite").read_bytes()


def compile_all(
    folder: Path, files: dict[str, bytes], *, seconds: float = _SECONDS, kibibytes: int = _KIBIBYTES
) -> dict[str, str | None]:
    """Label -> the error message; asserts the bounds."""
    paths = []
    for k, content in enumerate(files.values()):
        path = folder / f"mutant{k}.tflite"
        path.write_bytes(content)
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], input="\n".join(paths), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(files)
    for label, (_, taken, peak) in zip(files, answers, strict=True):
        assert taken < seconds, (label, taken)
        assert peak < kibibytes, (label, peak)
    return {label: message for label, (message, _, _) in zip(files, answers, strict=True)}


@pytest.mark.parametrize("name", _SOURCES)
def test_structural_mutants_are_refused(name: str, tmp_path: Path) -> None:
    source = _source(name)
    files = structural_mutants(source) if name == "digits" else {}
    files |= truncated(source)
    messages = compile_all(tmp_path, files)
    accepted = [label for label, message in messages.items() if message is None]
    assert not accepted
    assert len(files) >= (60 if name == "digits" else 15)
    for label, message in messages.items():
        assert message is not None, label
        assert "mutant" in message, label  # names the file
        assert message.isprintable() or "\n" in message, label
        assert "\x1b" not in message, label


@pytest.mark.parametrize("name", _SOURCES)
def test_random_corruption_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    messages = compile_all(tmp_path, corrupted(_source(name), 120))
    assert sum(message is not None for message in messages.values()) >= 10


def test_mutants_are_many() -> None:
    counts = [len(truncated(_source(name))) + len(corrupted(_source(name), 120)) for name in _SOURCES]
    assert len(structural_mutants(_source("digits"))) + sum(counts) >= 300


def test_messages_say_what_where_and_what_is_allowed(tmp_path: Path) -> None:
    mutants = structural_mutants(_source("digits"))
    wanted = {
        "operator unsupported": ("LSTM is not supported", "operator 0", "CONV_2D"),
        "operator version": ("version 99 of CONV_2D", "operator 0", "versions 1 to"),
        "input shape large": ("takes 6,400,000,000 bytes", "tensor", "up to"),
        "weights scale nan": ("scale nan is not a positive finite number", "tensor"),
        "constant too short": ("bytes of data", "tensor", "by shape"),
        "float input": ("float32", "int8"),
    }
    messages = compile_all(tmp_path, {label: mutants[label] for label in wanted})
    for label, parts in wanted.items():
        message = messages[label]
        assert message is not None
        for part in parts:
            assert part in message, (label, message)


def test_command_line_shows_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "evil.tflite"
    path.write_bytes(structural_mutants(_source("digits"))["operator custom"])
    for arguments in (["inspect", str(path)], ["emit", str(path), "-o", str(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-m", "tinyops", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "custom operator" in done.stderr
        assert "\x1b[31m" not in done.stderr
    assert not (tmp_path / "out").exists()
