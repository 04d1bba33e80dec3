"""`tinyops boards` and `tinyops doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tinyops.cli import boards, doctor
from tinyops.cli.common import out
from tinyops.device.board import list_board_files
from tinyops.device.doctor import Check
from tinyops.errors import UsageError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(boards.command, arguments)


@pytest.mark.parametrize("columns", [80, 120])
def test_list_is_complete_and_not_cut(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", columns)
    result = run()
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert "…" not in result.stdout
    for name in list_board_files():
        assert name in result.stdout


def test_list_as_json() -> None:
    found = {board["name"]: board for board in json.loads(run("--json").stdout)}
    assert set(found) == set(list_board_files())
    assert found["nrf52dk"]["ram_bytes"] == 65536
    assert found["nrf52dk"]["links"] == ["ble", "uart"]


def test_show() -> None:
    text = run("show", "samr21-xpro").stdout
    for fact in ("cortex-m0plus", "48 MHz", "256 KiB at 0x00000000", "32 KiB at 0x20000000", "802.15.4"):
        assert fact in text


def test_show_as_json_and_as_its_file() -> None:
    shown = json.loads(run("show", "nrf52dk", "--json").stdout)
    assert shown["flash"]["erase_bytes"] == 4096
    assert run("show", "nrf52dk", "--toml").stdout == Path(shown["file"]).read_text(encoding="utf-8")


def test_show_of_an_unknown_board() -> None:
    assert isinstance(run("show", "nrf52480dk").exception, UsageError)


def test_a_faulty_file_is_reported_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mine.toml").write_text("title = 'x'\n")
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 0
    assert "mine.toml" in result.stderr
    assert "nrf52dk" in result.stdout


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("optional", 0), ("warning", 0), ("missing", 1)])
def test_doctor_fails_when_something_is_missing(status: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("Compilers", "thing", status, "some detail", "get it")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "diagnose", lambda _board: [check])
    plain = CliRunner().invoke(doctor.command, [])
    assert plain.exit_code == code
    assert ("get it" in plain.stdout) == (status != "ok")
    data = CliRunner().invoke(doctor.command, ["--json"])
    assert data.exit_code == code
    assert json.loads(data.stdout)["checks"][0]["status"] == status


def test_doctor_of_a_board() -> None:
    result = CliRunner().invoke(doctor.command, ["--board", "nrf52dk", "--json"])
    assert "arm-none-eabi" in {check["name"] for check in json.loads(result.stdout)["checks"]}
