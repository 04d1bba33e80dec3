"""`tinyops inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinyops.cli.common import out
from tinyops.device import build


def test_layers_and_memory(tinyops: Any, digits: Path) -> None:
    done = tinyops("inspect", digits)
    assert (done.code, done.err) == (0, "")
    for fact in ("int8[1, 8, 8, 1]", "zero point -128", "132,096 MACs", "arena 3,096 B", "to_conv2d_1x1_s8_c"):
        assert fact in done.out
    assert "…" not in done.out


def test_json(tinyops: Any, digits: Path, speakers: Path) -> None:
    result = tinyops("inspect", digits, "--json").json()
    assert (result["model"]["macs"], result["memory"]["arena_bytes"], len(result["layers"])) == (132_096, 3096, 14)
    assert sum(layer["macs"] for layer in result["layers"]) == 132_096
    assert "fit" not in result
    assert tinyops("inspect", speakers, "--json").json()["memory"]["state_bytes"] == 272


def test_fit(tinyops: Any, digits: Path) -> None:
    fit = tinyops("inspect", digits, "-b", "nrf52dk", "--json").json()["fit"]
    assert (fit["fits"], fit["kind"], fit["flash_available_bytes"]) == (True, "modelled", 524_288)
    assert "fits nrf52dk: flash 16,400 of 524,288 B" in tinyops("inspect", digits, "-b", "nrf52dk").out
    assert "fits host: flash 16,400 B, RAM" in tinyops("inspect", digits, "-b", "host").out


def test_nothing_is_built(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build_firmware", None)
    monkeypatch.setenv("PATH", "")
    assert tinyops("inspect", digits, "-b", "qemu-cortex-m4").code == 0
    assert not list(Path().iterdir())


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_are_not_cut(tinyops: Any, speakers: Path, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal gets no kernels rather than halves of names."""
    monkeypatch.setattr(out, "width", columns)
    lines = tinyops("inspect", speakers).out.splitlines()
    table = lines[3:-1]
    assert max(map(len, table)) <= columns
    assert any(line.split()[0] == "depthwise_conv_2d_17" for line in table)
    assert not any("…" in line for line in table)
    assert any("to_softmax_any_s8_c" in line for line in table) == (columns == 120)


def test_a_name_with_markup(tinyops: Any, digits: Path) -> None:
    path = Path("a[red]b[bold] \x1b]0;title\x07.tflite")
    path.write_bytes(digits.read_bytes())
    done = tinyops("inspect", path)
    assert done.code == 0
    assert "a[red]b[bold] \\x1b]0;title\\x07.tflite" in done.out
    assert "\x1b" not in done.out


def test_a_front_end_that_does_not_fit(tinyops: Any, digits: Path) -> None:
    """The model is shown all the same."""
    Path("tinyops.toml").write_text(f'model = {str(digits)!r}\n[features]\nkind = "audio-micro"\n')
    done = tinyops("inspect", "-b", "nrf52dk")
    assert (done.code, "arena 3,096 B" in done.out, "fits nrf52dk" in done.out) == (0, True, True)
    assert "warning: The front end of [features] does not fit this model: input " in done.out
    result = tinyops("inspect", "--json").json()
    assert "features" not in result
    assert "[frames, 40]" in result["warnings"][0]


def test_folders_and_missing_files(tinyops: Any, digits: Path) -> None:
    for name in ("kws.tflite", "other.tflite"):
        Path(name).write_bytes(digits.read_bytes())
    done = tinyops("inspect", "kws.tfilte")
    assert (done.code, "no such file" in done.err, "allowed: kws.tflite" in done.err) == (2, True, True)
    assert "is a folder" in tinyops("inspect", ".").err
