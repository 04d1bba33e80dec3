"""The facts of board files agree with themselves and with what pyOCD knows of the same chips."""

from __future__ import annotations

from typing import Any

import pytest
from pyocd.core.memory_map import FlashRegion, MemoryMap, RamRegion
from pyocd.target import TARGET

from tests.support.board_tables import sizes
from tinyops.device.board import Board, Memory, load_board
from tinyops.resources import data_dir

BOARDS = [load_board(path) for path in sorted(data_dir("boards").glob("*.toml"))]
REAL = [board for board in BOARDS if board.kind == "real"]
#: Instruction set -> what Arm cores of it have to count cycles with.
COUNTERS = {"armv6-m": "systick", "armv7-m": "dwt", "armv7e-m": "dwt", "armv8-m.main": "dwt"}
#: Boards whose flash chip is smaller than the window that pyOCD knows of the processor.
EXTERNAL_FLASH = {"rpi-pico", "rpi-pico2"}
#: What pyOCD knows less of: RAM that follows the region at another address of the same memory, or a later chip's.
OTHER_RAM = {
    "nucleo-l432kc": 48 << 10,  # without the alias of SRAM2, which continues SRAM1
    "rpi-pico2": 264 << 10,  # the figures of the RP2040
}


def known() -> list[Board]:
    """Boards whose chip pyOCD knows without a pack."""
    return [board for board in REAL if board.probe.pyocd_target in TARGET]


each_real = pytest.mark.parametrize("board", REAL, ids=lambda board: board.name)
each_known = pytest.mark.parametrize("board", known(), ids=lambda board: board.name)


def memory_map(board: Board) -> MemoryMap:
    target: Any = TARGET[board.probe.pyocd_target]
    return target.MEMORY_MAP


def merged(regions: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """[start, end) ranges, adjacent ones joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(regions):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def region(memory: Memory | None) -> tuple[int, int]:
    assert memory is not None
    return memory.origin, memory.origin + memory.bytes


def test_pyocd_knows_most_families() -> None:
    names = {board.name for board in known()}
    assert names >= {"nrf52840dk", "nrf52dk", "microbit", "microbit-v2", "nrf9160dk", "rpi-pico", "frdm-k64f"}
    assert names >= {"b-l475e-iot01a", "nucleo-f767zi", "nucleo-l432kc"}


@each_known
def test_flash_is_what_pyocd_knows(board: Board) -> None:
    flash = [r for r in memory_map(board) if isinstance(r, FlashRegion)]
    ranges = merged([(r.start, r.start + r.length) for r in flash])
    assert board.flash is not None
    start, end = region(board.flash)
    (found,) = [(s, e) for s, e in ranges if s <= start < e]
    if board.name in EXTERNAL_FLASH:
        assert end <= found[1]
    else:
        assert (start, end) == found
    largest = max(r.blocksize for r in flash if start <= r.start < end)
    assert board.flash.erase_bytes == largest


@each_known
def test_ram_is_what_pyocd_knows(board: Board) -> None:
    ranges = merged([(r.start, r.start + r.length) for r in memory_map(board) if isinstance(r, RamRegion)])
    start, end = region(board.ram)
    (found,) = [(s, e) for s, e in ranges if s == start]
    if board.name in OTHER_RAM:
        assert found[1] - found[0] == OTHER_RAM[board.name] < end - start
    else:
        assert (start, end) == found


@each_real
def test_real_boards_are_whole(board: Board) -> None:
    """What a user of the board needs, and nothing impossible."""
    flash, ram, p = board.flash, board.ram, board.processor
    assert flash is not None
    assert ram is not None
    assert flash.erase_bytes is not None
    assert flash.bytes % 1024 == 0
    assert flash.erase_bytes % (flash.write_bytes or 1) == 0
    assert p.clock_hz is not None
    assert board.source
    assert board.probe.backends
    assert "uart" in board.links
    assert region(flash)[1] <= ram.origin or region(ram)[1] <= flash.origin


@each_real
def test_counter_is_one_that_the_processor_has(board: Board) -> None:
    p, counter = board.processor, board.firmware.counter
    if p.isa in COUNTERS:
        assert counter == COUNTERS[p.isa] or (board.name, counter) == ("microbit", "none")  # an nRF51 has no SysTick
    elif p.isa.startswith("xtensa"):
        assert counter == "ccount"
    else:
        assert counter == ("mpccr" if p.core.startswith("esp32") else "mcycle")


@each_real
def test_flags_are_those_of_the_core(board: Board) -> None:
    flags, p = board.toolchain.flags, board.processor
    if board.toolchain.name == "arm-none-eabi":
        assert f"-mcpu={p.core}" in flags
        assert ("-mfloat-abi=hard" in flags) == ("fpu" in p.features)
    elif "riscv" in board.toolchain.name:
        assert any(flag.startswith(f"-march={p.isa}") for flag in flags)


def test_sizes_on_riot_fit_their_boards() -> None:
    """What benchmarks/riot_sizes.py measured: the boards that docs/boards.md promises, each within its memories."""
    rows = sizes()["rows"]
    found = {(row["board"], row["model"]) for row in rows}
    names = ("nrf52840dk", "nrf52dk", "samr21-xpro", "nucleo-f401re", "b-l475e-iot01a", "nucleo-f767zi", "hifive1b")
    assert found >= {(board, model) for board in names for model in ("digits", "lenet5")}
    boards = {board.name: board for board in REAL}
    for row in rows:
        board = boards[row["board"]]
        assert board.flash is not None
        assert board.ram is not None
        assert row["flash_model_bytes"] + row["flash_library_bytes"] < row["flash_bytes"] < board.flash.bytes
        assert row["arena_bytes"] < row["ram_bytes"] < board.ram.bytes
