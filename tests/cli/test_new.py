"""`tinyops new`, and the project file tinyops.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_new_project_works(tinyops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tinyops("new", "my-thing", "-b", "host")
    assert done.code == 0
    assert "next: cd my-thing && tinyops run --verify" in done.out
    Path("my-thing/deep/er").mkdir(parents=True)
    monkeypatch.chdir("my-thing/deep/er")
    assert tinyops("build").code == 0
    monkeypatch.chdir("../..")
    assert Path("build/host/report.json").exists()
    assert Path("build/host/lib/my_thing.h").exists(), "the project's name"
    run = tinyops("run", "--verify", "--json")
    assert (run.code, run.json()["mismatches"]) == (0, 0)
    assert "fits host" in tinyops("inspect").out
    assert "build/host/flash.img" in tinyops("flash").out
    assert "build/" in Path(".gitignore").read_text()


def test_a_board_that_is_not_built_for(tinyops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tinyops("new", "thing", "-b", "nrf52dk")
    assert "next: cd thing && tinyops inspect" in done.out
    readme = Path("thing/README.md").read_text()
    assert "tinyops emit" in readme
    assert "tinyops build" not in readme
    monkeypatch.chdir("thing")
    assert "fits nrf52dk" in tinyops("inspect").out
    assert tinyops("run", "--verify", "-b", "host").code == 0


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x", " x", "a b", "x" * 65, "ä"])
def test_bad_names(tinyops: Any, name: str) -> None:
    done = tinyops("new", "--", name)
    assert (done.code, "cannot be a project's name" in done.err) == (2, True)
    assert not list(Path().iterdir())


def test_names_become_identifiers(tinyops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("9" * 64, "int", "A.b"):
        assert tinyops("new", name, "-b", "host").code == 0
        monkeypatch.chdir(name)
        assert tinyops("inspect").code == 0, "its tinyops.toml is sound"
        monkeypatch.chdir("..")


def test_nothing_is_overwritten(tinyops: Any) -> None:
    Path("there").mkdir()
    Path("file").touch()
    for name in ("there", "file"):
        done = tinyops("new", name)
        assert (done.code, f"tinyops new {name}-2" in done.err) == (2, True)
    assert not list(Path("there").iterdir())
    assert tinyops("new", "x", "-b", "nope").code == 2
    assert not Path("x").exists()


PROJECTS = {
    "unknown key": ('modle = "x"', "unknown key 'modle'", "model = ..."),
    "other system": ('os = "zephyr"', "os = 'zephyr' cannot be used", '"bare"'),
    "bad name": ('name = "My Model"', "name = 'My Model'", "small letters"),
    "wrong type": ("board = 3", "board = '3' cannot be used", "tinyops boards"),
    "bad TOML": ("model = x\n", "cannot be read", "line 1"),
    "not UTF-8": ('model = "\udcff"', "cannot be read", "TOML"),
    "deep": ("model = " + "[" * 100_000, "nested too deeply", "TOML"),
    "no model": ('board = "host"', "names no model", "path/to/model.tflite"),
    "missing model": ('model = "sub/x.tflite"', "its model sub/x.tflite does not exist", "tinyops.toml"),
}


@pytest.mark.parametrize(("content", "what", "help_"), PROJECTS.values(), ids=PROJECTS)
def test_faulty_projects(tinyops: Any, content: str, what: str, help_: str) -> None:
    Path("tinyops.toml").write_text(content, encoding="utf-8", errors="surrogateescape")
    done = tinyops("build", "-b", "host")
    assert done.code == 2
    assert what in done.err
    assert help_ in done.err
    assert "tinyops.toml" in done.err


def test_paths_are_the_projects(tinyops: Any, digits: Path, speakers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, build folder and boards are looked for from the project file, wherever the command is typed."""
    Path("models").mkdir()
    Path("models/m.tflite").write_bytes(digits.read_bytes())
    Path("boards").mkdir()
    Path("boards/mine.toml").write_text(
        'title = "Mine"\nkind = "host"\n[processor]\ncore = "host"\nisa = "host"\n'
        '[toolchain]\nname = "host"\n[firmware]\nport = "host"\nuart = "stdio"\n'
    )
    Path("tinyops.toml").write_text('name = "own"\nmodel = "models/m.tflite"\nboard = "mine"\nbuild_dir = "out"\n')
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    done = tinyops("run", "--verify", "--json")
    assert (done.code, done.json()["board"]) == (0, "mine")
    assert Path("../out/mine/lib/own.h").exists()
    assert tinyops("run", "../out/mine", "--verify").code == 0
    assert tinyops("build", str(speakers), "-o", "other").code == 0
    assert Path("other/lib/speakers.h").exists(), "the project's name belongs to the project's model"
