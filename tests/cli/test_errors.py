"""What is common to all verbs: help, `--json`, wrong calls, and errors without tracebacks."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinyops import __version__
from tinyops.cli import inspect
from tinyops.errors import TinyopsError

CHECKOUT = Path(__file__).resolve().parents[2]
OPTIONS = {
    "inspect": "--board --plan-seconds --json",
    "emit": "--lang --output --name --golden --seed --json",
    "build": "--board --output --name --plan-seconds --json",
    "flash": "--board --json",
    "run": "--board --input --output --verify --seed --port --profile --json",
    "boards": "--json",
    "doctor": "--board --json",
    "demo": "--board --images --output --json",
    "new": "--board --json",
    "completion": "{bash|zsh|fish}",
}


@pytest.mark.parametrize("verb", OPTIONS)
def test_help(tinyops: Any, verb: str) -> None:
    done = tinyops(verb, "--help")
    assert (done.code, done.err) == (0, "")
    for option in [*OPTIONS[verb].split(), "--help"]:
        assert option in done.out
    documented = re.findall(r"^  (?:-\w, )?(--[\w-]+)", done.out, re.MULTILINE)
    assert set(documented) >= {o for o in OPTIONS[verb].split() if o.startswith("--")}
    assert max(map(len, done.out.splitlines())) <= 100
    assert verb in tinyops("--help").out


def test_short_help(tinyops: Any) -> None:
    assert tinyops("emit", "-h").out == tinyops("emit", "--help").out != ""
    assert tinyops("-h").out == tinyops("--help").out


def test_version_and_bare_call(tinyops: Any) -> None:
    assert __version__ in tinyops("--version").out
    bare = tinyops()
    assert (bare.code, "Commands:" in bare.err + bare.out) == (2, True)


WRONG_CALLS = {
    "misspelt verb": (["biuld"], "Did you mean 'build'?"),
    "no verb": (["digits.tflite"], "There is no command 'digits.tflite'"),
    "no model": (["run"], "tinyops run MODEL.tflite"),
    "board before model": (["run", "qemu-cortex-m4", "MODEL"], "try: --board qemu-cortex-m4"),
    "board alone": (["run", "qemu-cortex-m4"], "is a board, no model"),
    "array without option": (["run", "MODEL", "-b", "host", "x.npy"], "try: --input x.npy"),
    "second array": (["run", "MODEL", "-b", "host", "-i", "x.npy", "y.npy"], "try: --input y.npy"),
    "no board": (["run", "MODEL"], "--board NAME"),
    "unknown option": (["build", "MODEL", "--bord", "host"], "--board"),
    "negative seed": (["run", "MODEL", "-b", "host", "--seed", "-1"], "--seed"),
    "planner without time": (["build", "MODEL", "-b", "host", "--plan-seconds", "0"], "--plan-seconds"),
    "missing model": (["build", "nope.tflite", "-b", "host"], "nope.tflite: no such file"),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_calls(tinyops: Any, digits: Path, arguments: list[str], text: str) -> None:
    arguments = [str(digits) if a == "MODEL" else a for a in arguments]
    done = tinyops(*arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    as_json = tinyops(*arguments, "--json")
    assert as_json.code == 2
    if arguments[0] in OPTIONS:
        assert set(as_json.json()) == {"error", "where", "allowed", "hint"}


BAD_MODELS = {
    "page.tflite": (b"<!DOCTYPE html><html>404</html>", "TFL3 is missing"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch", "ONNX"),
    "empty.tflite": (b"", "is empty"),
    "cut.tflite": (b"\x1c\0\0\0TFL3" + bytes(8), "cut.tflite"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
@pytest.mark.parametrize("verb", ["inspect", "emit", "build", "run"])
def test_bad_models(tinyops: Any, verb: str, name: str) -> None:
    content, text = BAD_MODELS[name]
    Path(name).write_bytes(content)
    board = ["-b", "host"] if verb in ("build", "run") else []
    done = tinyops(verb, name, *board, "--json", "r.json")
    assert done.code == 1
    assert text in done.err
    assert f"error: {name}" in done.err
    assert json.loads(Path("r.json").read_text())["where"].startswith(name), "a script finds the error in its file"
    assert sorted(path.name for path in Path().iterdir()) == sorted([name, "r.json"])


def test_json_goes_where_it_is_told(tinyops: Any, digits: Path) -> None:
    Path("folder.json").mkdir()
    by_name = {
        "model.tflite": "put --json last",
        "no/r.json": "mkdir -p no",
        "folder.json": "is a folder",
    }
    for name, text in by_name.items():
        done = tinyops("inspect", digits, "--json", name)
        assert (done.code, done.out, text in done.err) == (2, "", True)
    swallowed = tinyops("inspect", "--json", digits)
    assert (swallowed.code, "put --json last" in swallowed.err) == (2, True)
    to_file = tinyops("inspect", digits, "--json", "r.json")
    assert (to_file.code, to_file.out) == (0, "")
    for spelling in (["--json"], ["--json=-"], ["--json", "-"]):
        assert tinyops("inspect", digits, *spelling).json() == json.loads(Path("r.json").read_text())


def test_errors_of_the_system(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file")

    monkeypatch.setattr(inspect, "compile_model", full)
    done = tinyops("inspect", digits)
    assert (done.code, done.err.strip()) == (1, "error: some/file: No space left on device")


def test_text_of_others_is_harmless(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No markup and no control characters of a file reach the terminal."""

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise TinyopsError("tensor [red]x[/] \x1b[2J\x9b31m \udcff :smile:", where="a\rb", hint="c\x07")

    monkeypatch.setattr(inspect, "compile_model", fail)
    done = tinyops("inspect", digits)
    assert done.err == "error: a\\rb: tensor [red]x[/] \\x1b[2J\\x9b31m \\udcff :smile:\n  try: c\\x07\n"


def test_a_bug_is_called_one(digits: Path, tmp_path: Path) -> None:
    """In a process of its own: the exit code of an internal error, and where TINYOPS_DEBUG shows it."""
    program = (
        "import sys; from tinyops.cli import inspect, main; inspect.compile_model = lambda *a, **k: 1 // 0;"
        "sys.argv = ['tinyops', 'inspect', sys.argv[1]]; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", program, str(digits)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert "bug in tinyops" in done.stderr
    debug = subprocess.run(command, env={**environment, "TINYOPS_DEBUG": "1"}, capture_output=True, text=True)
    assert "ZeroDivisionError" in debug.stderr
    assert "Traceback" in debug.stderr


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "tinyops", "demo", "-b", "host", "--images", "4", "-o", "ö"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert done.stdout.isascii()
    assert b"bit-exact" in done.stdout
    assert rb"\xf6/firmware.elf" in done.stdout
