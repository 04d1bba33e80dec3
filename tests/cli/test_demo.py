"""`tinyops demo`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

COMPILER = ("gcc", "cc", "as", "ld", "cc1", "collect2")


@pytest.fixture
def host_compiler_alone(no_packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with the compiler for this computer and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in COMPILER:
        if program := shutil.which(name):
            (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))


def test_on_an_emulated_board(tinyops: Any, emulator: str) -> None:
    done = tinyops("demo", "--images", 30, "-o", "out")
    assert done.code == 0
    assert f"digits on {emulator}" in done.out
    assert "accuracy on 30 test images: 100.00 % on qemu-cortex-m4, 100.00 % with TFLite Micro" in done.out
    assert "bit-exact: all 300 output bytes equal TFLite Micro's" in done.out
    assert "conv_2d_0" in done.out
    assert Path("out/report.json").exists()


def test_all_images_on_the_host(tinyops: Any) -> None:
    result = tinyops("demo", "-b", "host", "-o", "out", "--json").json()
    assert (result["images"], result["correct"], result["reference_correct"]) == (382, 375, 375)
    assert (result["mismatches"], result["board"]) == (0, "host")
    assert result["memory"]["arena_bytes"] == 3096


def test_falls_back_to_the_host(tinyops: Any, host_compiler_alone: None) -> None:
    done = tinyops("demo", "--images", 10, "-o", "out")
    assert done.code == 0
    assert "qemu-cortex-m4 cannot be used here: no arm-none-eabi-gcc was found" in done.err
    assert "apt-get install gcc-arm-none-eabi" in done.err
    assert "running on the board `host`" in done.err
    assert "digits on host" in done.out
    assert "bit-exact: all 100 output bytes" in done.out


def test_without_any_compiler(tinyops: Any, no_packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    done = tinyops("demo")
    assert done.code == 1
    assert "apt-get install gcc libc6-dev" in done.err
    assert 'pip install "tinyops[sim]"' in done.err


def test_refusals(tinyops: Any) -> None:
    real = tinyops("demo", "-b", "nrf52dk")
    assert (real.code, real.out) == (2, "")
    assert "has no bare-metal firmware port" in real.err
    assert tinyops("demo", "--images", "0").code == 2
    Path("out").mkdir()
    Path("out/file").touch()
    assert "holds other files" in tinyops("demo", "-b", "host", "-o", "out").err


def test_a_wrong_result_is_not_hidden(tinyops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected outputs of other images: the demo must say so and fail."""
    from tinyops.cli import demo

    data = demo.load_demo_data()
    shifted = type(data)(data.model, data.images, data.labels, data.expected[1:])
    monkeypatch.setattr(demo, "load_demo_data", lambda: shifted)
    done = tinyops("demo", "-b", "host", "--images", 20, "-o", "out")
    assert done.code == 1
    assert "of 200 output bytes differ" in done.out
