"""Applications of RIOT in tests: the user's checkout, and builds that are made once in a session."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tinyops.device.board import Board, find_riot_board
from tinyops.device.riot.base import VARIABLE, RiotBase, find_riot
from tinyops.device.riot.build import Build, RiotSettings, build_riot, find_target
from tinyops.errors import MissingToolError, TinyopsError


@pytest.fixture(scope="session")
def riot_base() -> RiotBase:
    """The checkout that RIOTBASE names; without one the tests that need it are skipped."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no RIOT checkout")
    try:
        return find_riot()
    except TinyopsError as error:
        pytest.skip(f"{VARIABLE}: {error}")


def settings_for(base: RiotBase, name: str, network: str = "slipmux") -> RiotSettings:
    """The board `name`; the test is skipped where its compiler or its emulator is not installed."""
    settings = RiotSettings(base, name, network)
    board = find_riot_board(name)
    try:
        find_target(settings, board)
    except MissingToolError as error:
        pytest.skip(str(error))
    return settings


def riot_build(base: RiotBase, name: str, model: Path, folder: Path, **options: object) -> Build:
    """The application of `model` for the board `name`, on its serial line."""
    settings = settings_for(base, name)
    return build_riot(model, settings, find_riot_board(name), folder, name="model", **options)  # type: ignore[arg-type]


def need_emulator(board: Board) -> None:
    """Skip the test where the board's emulator is not installed."""
    if board.emulator is not None and shutil.which(board.emulator.program) is None:
        pytest.skip(f"{board.emulator.program} is not installed")
