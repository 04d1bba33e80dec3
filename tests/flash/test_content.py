"""What is written: the parts of a build, whole erase units of them, inside the flash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.elf_writer import elf
from tests.support.fake_flashers import parse_hex
from tinyops.device.board import find_board
from tinyops.device.flash.content import Part, build_parts, first_difference, hex_file, merge, raw_files
from tinyops.errors import TinyopsError

BOARD, NRF = find_board("esp32c3-devkit"), find_board("nrf52840dk")


def test_parts_of_one_erase_unit_are_joined() -> None:
    parts = [Part(0x2010, b"c"), Part(0, b"aa"), Part(0x10, b"b"), Part(0x1FFF, b"d"), Part(0x9000, b"")]
    assert merge(parts, 0x1000) == [
        Part(0, b"aa" + b"\xff" * 14 + b"b"),
        Part(0x1FFF, b"d"),
        Part(0x2010, b"c"),
    ]
    with pytest.raises(TinyopsError, match="overlap"):
        merge([Part(0, b"abc"), Part(2, b"d")], 16)


def test_files_hold_the_parts() -> None:
    parts = [Part(0x0800_0000, bytes(range(200))), Part(0x0801_FFF8, b"x" * 20)]
    with hex_file(parts) as path:
        assert parse_hex(str(path)) == [(part.address, part.data) for part in parts]
    assert not path.exists()
    with raw_files(parts) as files:
        assert [(part, path.read_bytes()) for part, path in files] == [(part, part.data) for part in parts]


def test_what_the_program_loads(tmp_path: Path) -> None:
    (tmp_path / "firmware.elf").write_bytes(elf({0: b"vectors", 0x100: b"code", 0x2000: b"data"}))
    assert build_parts(tmp_path, {}, NRF) == [
        Part(0, b"vectors".ljust(0x100, b"\xff") + b"code"),
        Part(0x2000, b"data"),
    ]


@pytest.mark.parametrize("address", [0x2000_0000, (1 << 20) - 3])
def test_what_is_not_in_the_flash(tmp_path: Path, address: int) -> None:
    (tmp_path / "firmware.elf").write_bytes(elf({address: b"data"}))
    with pytest.raises(TinyopsError, match="are not in its flash"):
        build_parts(tmp_path, {}, NRF)


def test_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(TinyopsError, match="no such file"):
        build_parts(tmp_path, {}, NRF)
    (tmp_path / "firmware.elf").write_bytes(b"not an ELF file")
    with pytest.raises(TinyopsError, match="ELF"):
        build_parts(tmp_path, {}, NRF)


def test_images_that_the_report_lists(tmp_path: Path) -> None:
    (tmp_path / "bootloader.bin").write_bytes(b"boot")
    (tmp_path / "app.bin").write_bytes(b"app")
    report = {"images": [{"file": "app.bin", "address": 0x10000}, {"file": "bootloader.bin", "address": 0}]}
    assert build_parts(tmp_path, report, BOARD) == [Part(0, b"boot"), Part(0x10000, b"app")]


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ([], "no list of files"),
        ("x", "no list of files"),
        ([3], "no list of files"),
        ([{"file": "app.bin"}], "is unsound"),
        ([{"file": 3, "address": 0}], "is unsound"),
        ([{"file": "app.bin", "address": -1}], "is unsound"),
        ([{"file": "../secret", "address": 0}], "not in it"),
        ([{"file": "missing.bin", "address": 0}], "cannot be read"),
        ([{"file": "empty.bin", "address": 0}], "holds nothing"),
    ],
)
def test_unsound_images(tmp_path: Path, images: Any, text: str) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "empty.bin").touch()
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(TinyopsError, match=text):
        build_parts(tmp_path / "build", {"images": images}, BOARD)


def test_the_first_difference() -> None:
    part = Part(100, b"abcd")
    assert first_difference(part, b"abcd") is None
    assert first_difference(part, b"abXd") == 102
    assert first_difference(part, b"ab") == 102
