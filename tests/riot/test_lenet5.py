"""LeNet-5 on RIOT, the case that RIOT-ML publishes: whole applications are smaller than its one, and bit-exact."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinyops.device.board import find_board
from tinyops.device.elf import elf_sections, loaded_parts, memory_use
from tinyops.resources import data_dir

pytestmark = pytest.mark.riot

MODEL = data_dir("models") / "lenet5" / "lenet5.tflite"
EVALUATE = Path(__file__).parent / "evaluate"
BOARD = "nrf52840dk"
#: RIOT-ML's whole application on the nRF52840 DK, in bytes; a KB has 1,000.
FLASH_LIMIT, RAM_LIMIT = 61_300, 11_300


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emitted") / "lenet5"
    command = [sys.executable, "-m", "tinyops", "emit", str(MODEL), "--layout", "riot-module", "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(EVALUATE, tmp_path_factory.mktemp("evaluate") / "app"))


def make(folder: Path, board: str, riot: Any, *variables: str) -> Path:
    """The ELF file of the application in `folder`."""
    binaries = folder / "bin"
    given = [f"BOARD={board}", f"RIOTBASE={riot.path}", f"BINDIRBASE={binaries}", "QUIETER=1", *variables]
    environment = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "CFLAGS")}
    result = subprocess.run(
        ["make", "-s", "-j2", "-C", str(folder), *given, "all"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (elf,) = (binaries / board).glob("*.elf")
    return elf


def process(elf: Path) -> str:
    """What an application on native64 prints in its first seconds, which are enough."""
    with subprocess.Popen(
        [str(elf)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as running:
        try:
            printed = running.communicate(timeout=4)[0]
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, 9)
            printed = running.communicate()[0]
    return printed.decode()


def check_sizes(elf: Path) -> None:
    """Below RIOT-ML's figures, counted in two ways: by sections, and by the ends of what they take."""
    board = find_board(BOARD)
    assert board.flash is not None
    assert board.ram is not None
    use = memory_use(elf, board.flash, board.ram)
    flash_end = max(address + len(data) for address, data in loaded_parts(elf))
    ram_end = max(s.address + s.size for s in elf_sections(elf) if s.alloc and s.address >= board.ram.origin)
    assert 44_190 < use.flash_bytes <= flash_end < FLASH_LIMIT, use
    assert 3_572 < use.ram_bytes <= ram_end - board.ram.origin < RAM_LIMIT, use


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def test_evaluation_is_smaller_than_riot_ml(emitted: Path, evaluate: Path, riot_base: Any) -> None:
    """Random inputs, a timer, printed results: what RIOT-ML's published application does."""
    needs("arm-none-eabi-gcc")
    check_sizes(make(evaluate, BOARD, riot_base, f"EMITTED={emitted}", "MODEL=lenet5"))


def test_evaluation_runs(emitted: Path, evaluate: Path, riot_base: Any) -> None:
    printed = process(make(evaluate, "native64", riot_base, f"EMITTED={emitted}", "MODEL=lenet5"))
    trials = re.findall(r"^trial (\d): (\d+) us, first score (-?\d+)$", printed, re.MULTILINE)
    assert [int(number) for number, _, _ in trials] == list(range(10))
    assert len({score for _, _, score in trials}) > 1
    assert "evaluation finished" in printed


def test_golden_vectors_are_smaller_than_riot_ml(emitted: Path, riot_base: Any) -> None:
    """The emitted example, whose flash has its golden vectors besides."""
    needs("arm-none-eabi-gcc")
    check_sizes(make(emitted / "example", BOARD, riot_base))


def test_golden_vectors_are_equal(emitted: Path, riot_base: Any) -> None:
    printed = process(make(emitted / "example", "native64", riot_base))
    assert re.search(r"lenet5: \d+ invocations, 0 mismatching bytes: passed", printed), printed
