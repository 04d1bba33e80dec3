"""The facts of board files agree with RIOT's own data on the same boards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.device.board import Board, Memory, load_board
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.facts import RiotFacts, read_facts
from tinyops.device.riot.make import RiotMake
from tinyops.resources import data_dir

pytestmark = pytest.mark.riot

_FILES = sorted(data_dir("boards").glob("*.toml"))
BOARDS = [board for board in map(load_board, _FILES) if board.os.riot is not None]
#: Where RIOT links into less than the memory has, and why.
LESS_FLASH = {
    "hifive1b": "its linker script ends before the end of the external flash",
    "nucleo-wl55jc": "the last pages belong to the second core",
    "rpi-pico2": "it takes 2 MiB of the external flash",
}
LESS_RAM = {
    "esp32-wroom-32": "ROM and radio have their parts",
    "esp32c3-devkit": "ROM and radio have their parts",
    "esp32c6-devkit": "ROM and radio have their parts",
    "esp32h2-devkit": "ROM and radio have their parts",
    "esp32s3-devkit": "ROM and radio have their parts",
    "nucleo-wl55jc": "the end belongs to the second core",
}
_CORES = {"sifive-e31": "rv32imac", "bumblebee-n200": "rv32imac", "esp32c3": "rv32imc", "lx6": "xtensa-lx6"}
_CORES |= {"esp32c6": "rv32imac", "esp32h2": "rv32imac", "lx7": "xtensa-lx7"}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that every board can have."""
    folder = tmp_path_factory.mktemp("facts")
    (folder / "Makefile").write_text("APPLICATION = facts\ninclude $(RIOTBASE)/Makefile.include\n")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    return folder


@pytest.fixture(scope="module", params=BOARDS, ids=lambda board: board.name)
def pair(request: pytest.FixtureRequest, riot_base: RiotBase, application: Path) -> tuple[Board, RiotFacts]:
    """A board's file, and what RIOT says of the board."""
    board: Board = request.param
    assert board.os.riot is not None
    return board, read_facts(RiotMake(riot_base, application, board.os.riot))


def _range(memory: Memory | None) -> range:
    assert memory is not None
    return range(memory.origin, memory.origin + memory.bytes)


def _check(ours: Memory | None, riots: Memory | None, less: bool) -> None:
    if riots is None:
        return  # RIOT's makefiles do not tell
    own, other = _range(ours), _range(riots)
    if less:
        assert own.start <= other.start < other.stop <= own.stop
        assert own != other, "RIOT takes all of it by now"
    else:
        assert own == other, (hex(own.start), hex(own.stop), hex(other.start), hex(other.stop))


def test_flash(pair: tuple[Board, RiotFacts]) -> None:
    board, facts = pair
    _check(board.flash, facts.flash, board.name in LESS_FLASH)


def test_ram(pair: tuple[Board, RiotFacts]) -> None:
    board, facts = pair
    _check(board.ram, facts.ram, board.name in LESS_RAM)


def test_core(pair: tuple[Board, RiotFacts]) -> None:
    """A board without a hard-float ABI in RIOT may have an FPU all the same; one with it has."""
    board, facts = pair
    core = facts.core.removesuffix("f") if facts.core.startswith("cortex-m4") else facts.core
    assert core == _CORES.get(board.processor.core, board.processor.core)
    if facts.core == "cortex-m4f":
        assert "fpu" in board.processor.features


def test_counter(pair: tuple[Board, RiotFacts]) -> None:
    """What the makefiles of tinyops choose for what RIOT says is what the board's file says."""
    board, facts = pair
    make = shutil.which("make") or pytest.skip("make is not installed")
    module = data_dir("firmware") / "riot" / "modules" / "tinyops_device"
    arch = "xtensa" if facts.core.startswith("xtensa") else "rv32" if facts.core.startswith("rv32") else "arm"
    given = [f"CPU_CORE={facts.core}", f"CPU={facts.cpu}", f"CPU_ARCH={arch}", "-f", "-"]
    text = f"include {module}/counter.mk\nall: ; @echo $(SRC)\n"
    done = subprocess.run([make, "-s", *given], input=text, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).stem == f"counter_{board.firmware.counter}"
