"""The sizes in docs/boards.md are those that builds have now."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.riot_sizes import measure
from tests.support.board_tables import sizes

pytestmark = [pytest.mark.riot, pytest.mark.slow]

ROWS = sizes()["rows"]
#: Another compiler or another RIOT may differ by so much.
_TOLERANCE = 0.1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['board']}-{row['model']}")
def test_sizes_are_current(row: dict[str, Any], riot_base: object, tmp_path: Path) -> None:
    compiler = "riscv64-unknown-elf-gcc" if row["board"] == "hifive1b" else "arm-none-eabi-gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    now = measure(row["board"], row["model"], tmp_path)
    assert now["arena_bytes"] == row["arena_bytes"]
    assert now["flash_model_bytes"] == row["flash_model_bytes"]
    for key in ("flash_bytes", "ram_bytes"):
        assert now[key] == pytest.approx(row[key], rel=_TOLERANCE), key
