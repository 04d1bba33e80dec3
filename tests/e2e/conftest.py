"""Updatable firmware of the digits model."""

from __future__ import annotations

import shutil

import pytest

from tests.support.updates import LARGE, build_updatable
from tinyops.device.board import find_board
from tinyops.device.build import Build

BOARDS = ("host", "qemu-cortex-m4", "qemu-riscv32")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("host"), LARGE, sanitized=True)


@pytest.fixture(scope="session", params=BOARDS)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    if request.param == "host":
        found: Build = request.getfixturevalue("host")
        return found
    wanted = find_board(request.param)
    assert wanted.emulator is not None
    for program in (f"{wanted.toolchain.name}-gcc", wanted.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return build_updatable(request.param, tmp_path_factory.mktemp(request.param))
