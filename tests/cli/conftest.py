"""The command line, called in this process as the entry point is, in an empty folder."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinyops.cli import main
from tinyops.device import route, zig
from tinyops.device.board import find_board, list_board_files
from tinyops.device.build import build_firmware
from tinyops.resources import data_dir

EMULATED = "qemu-cortex-m4"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Tinyops = Callable[..., Outcome]


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ziglang nor unicorn, whatever is installed."""
    for module in (zig, route):
        monkeypatch.setattr(module, "package_version", lambda _: None)


@pytest.fixture
def tinyops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tinyops:
    """`tinyops(*arguments)` in the folder tmp_path."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tinyops", *map(str, arguments)])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        assert isinstance(code, int)
        assert "internal error" not in err.getvalue()
        assert "Traceback" not in err.getvalue()
        return Outcome(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def digits() -> Path:
    return data_dir("models") / "digits" / "digits.tflite"


@pytest.fixture(scope="session")
def speakers() -> Path:
    return data_dir("models") / "speakers" / "speakers.tflite"


@pytest.fixture
def small_board(tmp_path: Path) -> Any:
    """Writes boards/small.toml: the emulated Cortex-M4 with other sizes of memory."""

    def write(flash: int, ram: int) -> str:
        text = list_board_files()["qemu-cortex-m4"].read_text(encoding="utf-8")
        for size in (flash, ram):
            text = text.replace("bytes = 4_194_304", f"bytes = {size}", 1)
        (tmp_path / "boards").mkdir(exist_ok=True)
        (tmp_path / "boards" / "small.toml").write_text(text, encoding="utf-8")
        return "small"

    return write


@pytest.fixture
def emulator() -> str:
    """The name of an emulated board; the test is skipped where its compiler or emulator is not installed."""
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return EMULATED


@pytest.fixture(scope="session")
def _host_build(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    return build_firmware(digits, find_board("host"), tmp_path_factory.mktemp("host") / "build", name="digits").folder


@pytest.fixture
def host_build(_host_build: Path, tmp_path: Path) -> Path:
    """A finished build of digits for the host, not flashed, that the test may spoil."""
    return shutil.copytree(_host_build, tmp_path / "built")
