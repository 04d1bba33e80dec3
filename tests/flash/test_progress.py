"""The progress bars of `tinyops flash`."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tinyops.cli import flash
from tinyops.device.board import find_board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.choose import Choice
from tinyops.device.flash.uf2 import Uf2


def test_texts_of_a_drive_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """INFO_UF2.TXT is anybody's: neither markup nor what a terminal obeys."""
    terminal = io.StringIO()
    monkeypatch.setattr(
        flash, "console", Console(file=terminal, force_terminal=True, width=200, _environ={"TERM": "xterm"})
    )
    drive = Attached("uf2", "/media/drive", "board [/red]\x1b]0;title\x07\x1b[2J")
    with flash._bars() as follow:
        follow(Choice(Uf2(find_board("rpi-pico")), drive))(0.5)
    shown = terminal.getvalue()
    assert "board [/red]\\x1b]0;title\\x07\\x1b[2J" in shown
    assert "\x1b]0;" not in shown
    assert "\x07" not in shown
