"""Board files: the shipped ones are sound, others can be added, bad ones give clear errors."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from tinyops.device.board import Board, Memory, find_board, list_board_files, load_board
from tinyops.device.flash.choose import BACKENDS
from tinyops.errors import TinyopsError, UsageError
from tinyops.resources import data_dir

SHIPPED = sorted(data_dir("boards").glob("*.toml"))
REAL = {
    "arduino-zero",
    "b-l072z-lrwan1",
    "b-l475e-iot01a",
    "esp32-wroom-32",
    "esp32c3-devkit",
    "esp32c6-devkit",
    "esp32h2-devkit",
    "esp32s3-devkit",
    "frdm-k64f",
    "hifive1b",
    "iotlab-m3",
    "microbit",
    "microbit-v2",
    "nrf52840dk",
    "nrf52dk",
    "nrf5340dk",
    "nrf9160dk",
    "nucleo-f103rb",
    "nucleo-f401re",
    "nucleo-f411re",
    "nucleo-f446re",
    "nucleo-f767zi",
    "nucleo-g474re",
    "nucleo-h753zi",
    "nucleo-l073rz",
    "nucleo-l432kc",
    "nucleo-l476rg",
    "nucleo-u575zi-q",
    "nucleo-wl55jc",
    "openmote-b",
    "rpi-pico",
    "rpi-pico2",
    "samr21-xpro",
    "samr30-xpro",
    "samr34-xpro",
    "sipeed-longan-nano",
    "stm32f746g-disco",
    "thingy91",
}
MINIMAL = """
title = "Mine"
kind = "real"
[processor]
core = "cortex-m4"
isa = "armv7e-m"
[toolchain]
name = "arm-none-eabi"
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Empty board folders of a project and of a user."""
    project, user = tmp_path / "project", tmp_path / "user"
    for folder in (project, user):
        (folder / "boards").mkdir(parents=True)
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda _name: str(user))
    monkeypatch.chdir(project)
    return project / "boards", user / "boards"


def test_all_real_boards_are_shipped() -> None:
    assert {load_board(path).name for path in SHIPPED if load_board(path).kind == "real"} == REAL


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_board_is_sound(path: Path) -> None:
    board = load_board(path)
    assert board.name == path.stem
    if board.kind == "emulated":
        assert board.emulator is not None
    if board.kind == "real":
        assert board.source, "a real board says where its facts were read"
        assert board.probe.backends
        assert board.processor.clock_hz
        assert board.processor.clock_hz <= 1_000_000_000
    _check_memories(board)
    _check_probe(board)
    _check_flags(board)


def _check_memories(board: Board) -> None:
    if board.kind == "host":
        return
    assert board.flash is not None
    assert board.ram is not None
    flash, ram = board.flash, board.ram
    assert flash.origin + flash.bytes <= 1 << 32
    assert ram.origin + ram.bytes <= 1 << 32
    assert _end(flash) <= ram.origin or _end(ram) <= flash.origin, "flash and RAM overlap"
    assert ram.bytes % 1024 == 0
    for memory in (flash, ram):
        if memory.erase_bytes:
            assert memory.origin % memory.erase_bytes == 0
            assert memory.bytes % memory.erase_bytes == 0
        if memory.erase_bytes and memory.write_bytes:
            assert memory.erase_bytes % memory.write_bytes == 0


def _end(memory: Memory) -> int:
    return memory.origin + memory.bytes


def _check_probe(board: Board) -> None:
    """Every backend finds the facts that it needs, and the board's own probe is one that a backend uses."""
    kinds = set()
    for name in board.probe.backends:
        backend = BACKENDS[name]
        kinds |= backend.kinds
        for fact in backend.facts:
            assert getattr(board.probe, fact) is not None, f"{name} needs {fact}"
    assert board.probe.onboard in {None, *kinds}
    assert "uf2" not in board.probe.backends or board.probe.uf2_board, "any UF2 drive would do"
    chip = board.probe.chip_id
    assert chip is None or chip.value & chip.mask == chip.value


def _check_flags(board: Board) -> None:
    """The compiler's flags agree with the processor."""
    core, flags = board.processor.core, board.toolchain.flags
    if board.toolchain.name == "arm-none-eabi":
        assert any(flag.startswith(f"-mcpu={core}") for flag in flags)
        hard = "-mfloat-abi=hard" in flags
        assert not hard or "fpu" in board.processor.features or "mve" in board.processor.features
    if board.toolchain.name in ("riscv64-unknown-elf", "riscv32-esp-elf"):
        assert any(flag.startswith(f"-march={board.processor.isa}") for flag in flags)


def test_project_wins_over_user_over_shipped(folders: tuple[Path, Path]) -> None:
    project, user = folders
    assert find_board("nrf52dk").title.startswith("Nordic")
    (user / "nrf52dk.toml").write_text(MINIMAL.replace("Mine", "User's"))
    assert find_board("nrf52dk").title == "User's"
    (project / "nrf52dk.toml").write_text(MINIMAL.replace("Mine", "Project's"))
    assert find_board("nrf52dk").title == "Project's"
    assert list_board_files()["nrf52dk"] == project / "nrf52dk.toml"


def test_a_file_adds_a_board(folders: tuple[Path, Path]) -> None:
    (folders[0] / "mine.toml").write_text(MINIMAL)
    assert "mine" in list_board_files()
    assert find_board("mine").processor.core == "cortex-m4"


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="nrf52480dk") as error:
        find_board("nrf52480dk")
    assert "nrf52840dk" in str(error.value.allowed)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["../boards/nrf52dk", "/etc/passwd", "", "."])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError):
        find_board(name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "not a readable board file"),
        ("title = 'x'\n" * 2, "not a readable board file"),
        (MINIMAL.replace('"real"', '"virtual"'), "kind: "),
        (MINIMAL.replace('"armv7e-m"', '"z80"'), "processor.isa: "),
        (MINIMAL.replace("title", "tittle"), "title: "),
        (MINIMAL + "colour = 'red'\n", "unknown key 'toolchain.colour'"),
        (MINIMAL + "[ram]\norigin = 0\nbytes = 0\n", "ram.bytes: "),
        (MINIMAL + "[ram]\norigin = -1\nbytes = 1\n", "ram.origin: "),
        ("name = 'other'\n" + MINIMAL, "name is 'other'"),
        ("#" * 70_000, "70000 bytes"),
    ],
)
def test_bad_file_gives_a_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TinyopsError) as error:
        load_board(path)
    assert complaint in error.value.what
    assert error.value.where == str(path)


def test_unreadable_bytes_give_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TinyopsError, match="not a readable board file"):
        load_board(path)
