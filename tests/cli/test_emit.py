"""`tinyops emit`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def test_library(tinyops: Any, digits: Path) -> None:
    done = tinyops("emit", digits, "--lang", "c", "-o", "lib", "--json")
    assert done.code == 0
    result = done.json()
    written = sorted(str(path.relative_to("lib")) for path in Path("lib").rglob("*") if path.is_file())
    assert result["files"] == written
    assert {"digits.h", "digits.c", "Makefile", "CMakeLists.txt", "README.md"} <= set(written)
    assert (result["name"], result["macs"], result["state_bytes"]) == ("digits", 132_096, 0)
    again = tinyops("emit", digits, "-o", "lib", "--golden", 2, "--seed", 5)
    assert again.code == 0, "a folder of an earlier emit is written again"
    assert "next: make -C lib test" in again.out


def test_its_own_test_passes(tinyops: Any, speakers: Path) -> None:
    for program in ("make", "cc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    assert tinyops("emit", speakers, "--golden", 3, "--name", "who").code == 0
    done = subprocess.run(["make", "-C", "who", "test"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_files_of_others_are_left_alone(tinyops: Any, digits: Path) -> None:
    Path("README.md").write_text("# mine\n")
    done = tinyops("emit", digits, "-o", ".")
    assert done.code == 2
    assert "README.md: would be overwritten" in done.err
    assert Path("README.md").read_text() == "# mine\n"
    assert [path.name for path in Path().iterdir()] == ["README.md"]
    assert tinyops("emit", digits, "-o", "README.md").code == 2
    below = tinyops("emit", digits, "-o", "README.md/lib")
    assert (below.code, "README.md/lib" in below.err) == (1, True)


@pytest.mark.parametrize("options", [("--lang", "rust"), ("--golden", "0"), ("--seed", "-1"), ("--name", "do")])
def test_wrong_options(tinyops: Any, digits: Path, options: tuple[str, str]) -> None:
    done = tinyops("emit", digits, *options)
    assert (done.code, options[0] in done.err) == (2, True)
    assert not list(Path().iterdir())
