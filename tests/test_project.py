"""The project itself: a wheel holds all that it needs and works when it is installed alone."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tinyops import __version__
from tinyops.resources import data_dir

ROOT = Path(__file__).resolve().parent.parent
#: Of the modules for RIOT.
MAKEFILES = {"Makefile", "Kconfig", ".mk", ".dep", ".include", ".yml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built by way of the source distribution as a packager would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = folder.glob("*.whl")
    return path


def _ending(path: Path) -> str:
    return path.suffix or path.name


def _shipped(folder: str, *endings: str) -> set[str]:
    root = data_dir(folder)
    found = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and _ending(p) in endings}
    return {f"tinyops/_data/{folder}/{name}" for name in found}


def test_wheel_holds_code_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.name == f"tinyops-{__version__}-py3-none-any.whl"
    code = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "tinyops").rglob("*")
        if p.suffix in (".py", ".c", ".h", ".s", ".inc", ".j2")
    }
    data = (
        _shipped("boards", ".toml")
        | _shipped("firmware", ".c", ".h", ".ld", ".S", ".j2", *MAKEFILES)
        | _shipped("models", ".tflite", ".onnx", ".npz")
    )
    assert len(data) > 20
    assert code | data | {"tinyops/py.typed"} <= names


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    allowed = {
        ".py",
        ".typed",
        ".c",
        ".h",
        ".S",
        ".s",
        ".j2",
        ".ld",
        ".inc",
        ".toml",
        ".tflite",
        ".onnx",
        ".npz",
        ".md",
        ".cddl",
        ".json",
    }
    for name in zipfile.ZipFile(wheel).namelist():
        assert name.startswith(("tinyops/", f"tinyops-{__version__}.dist-info/"))
        if name.startswith("tinyops/"):
            makefiles = MAKEFILES if name.startswith("tinyops/_data/firmware/riot/") else set()
            assert _ending(Path(name)) in allowed | makefiles, name


def test_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(f"tinyops-{__version__}.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert f"tinyops-{__version__}.dist-info/licenses/LICENSE" in archive.namelist()
    assert "tinyops = tinyops.cli:main" in archive.read(f"tinyops-{__version__}.dist-info/entry_points.txt").decode()


@pytest.mark.slow
def test_wheel_works_alone(wheel: Path, tmp_path: Path) -> None:
    """Installed with nothing but its dependencies, away from the checkout, it lists its boards."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    result = subprocess.run(install, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr

    def tinyops(*arguments: str) -> str:
        command = [str(home / "bin" / "tinyops"), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert __version__ in tinyops("--version")
    shown = json.loads(tinyops("boards", "show", "nrf52dk", "--json"))
    assert Path(shown["file"]).is_relative_to(home)
    assert {b["name"] for b in json.loads(tinyops("boards", "--json"))} == {
        p.stem for p in data_dir("boards").glob("*.toml")
    }
