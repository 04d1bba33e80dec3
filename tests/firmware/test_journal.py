"""The update journal on a flash that checks every rule of flash."""

from __future__ import annotations

import ctypes
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.storage import FACTORY, Cut, Device, JournalResult, Record, State

SIZES = [(64, 1), (256, 4), (512, 8), (1024, 16), (4096, 32)]


def bump(device: Device, by: int = 1) -> JournalResult:
    record = device.newest
    record.sequences[3] += by
    record.state = State.CONFIRMED
    return device.append(record)


@pytest.mark.parametrize("erased", [0xFF, 0x00])
@pytest.mark.parametrize(("erase", "write"), SIZES)
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_the_newest_record_is_found(erase: int, write: int, erased: int, pages: int) -> None:
    page = max(erase * pages, -(-193 // erase) * erase)
    with Device(page, erase, erase=erase, write=write, erased=erased) as device:
        assert device.open_journal() is JournalResult.OK
        assert (device.newest.generation, device.newest.confirmed) == (0, FACTORY)
        for number in range(1, 80):
            assert bump(device) is JournalResult.OK
            assert device.newest.sequences[3] == number
            before = device.newest
            if number % 7 == 0:
                assert device.open_journal() is JournalResult.OK
            assert device.newest.values() == before.values()
        assert device.violations == 0


def test_every_field_is_kept() -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        record = Record.from_buffer_copy(bytes(range(1, ctypes.sizeof(Record) + 1)))
        record.state, record.bank, record.confirmed = State.TRY, 1, 0
        assert device.append(record) is JournalResult.OK
        device.open_journal()
        assert device.newest.values() == record.values()


@pytest.mark.parametrize("start", [0, 0x7FFFFFF0, 0xFFFFFFF0])
def test_generations_wrap(start: int) -> None:
    with Device(512, 256) as device:
        device.open_journal()
        bump(device)
        slot = (ctypes.c_uint8 * 160).from_buffer(device.content)
        slot[4:8] = start.to_bytes(4, "little")
        slot[156:160] = zlib.crc32(bytes(slot[:156])).to_bytes(4, "little")
        device.open_journal()
        assert device.newest.generation == start
        for number in range(2, 60):
            assert bump(device) is JournalResult.OK
            if number % 5 == 0:
                assert device.open_journal() is JournalResult.OK
            assert device.newest.sequences[3] == number
        assert device.newest.generation < 200 + start - (1 << 32 if start == 0xFFFFFFF0 else 0)


def test_nothing_is_lowered() -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        record = device.newest
        record.sequences[:] = (5, 6, 7, 8)
        record.revoked = 0b101
        assert device.append(record) is JournalResult.OK
        for index in range(4):
            lower = Record.from_buffer_copy(record)
            lower.sequences[index] -= 1
            assert device.append(lower) is JournalResult.LOWERED
        trusting = Record.from_buffer_copy(record)
        trusting.revoked = 0b11000
        assert device.append(trusting) is JournalResult.LOWERED
        assert device.newest.values() == record.values()
        trusting.revoked = 0b111
        assert device.append(trusting) is JournalResult.OK


@given(st.integers(0, 159), st.integers(1, 255))
def test_a_damaged_record_does_not_count(at: int, flipped: int) -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        bump(device)
        bump(device)
        older = device.newest
        bump(device)
        start = 2 * device.call("slot_bytes")
        device.content[start + at] ^= flipped
        assert device.open_journal() is JournalResult.OK
        assert device.newest.values() == older.values()
        assert bump(device) is JournalResult.OK
        assert device.violations == 0


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x55), (8, 6), (9, 2), (12, 2), (12, 0x7F), (14, 1), (15, 1)], ids=lambda v: f"{v:#x}"
)
def test_a_record_of_another_kind_does_not_count(at: int, value: int) -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        bump(device)
        device.content[at] = value
        device.content[156:160] = zlib.crc32(bytes(device.content[:156])).to_bytes(4, "little")
        device.open_journal()
        assert device.newest.generation == 0


def test_an_unsealed_record_is_written_again() -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        bump(device)
        device.content[160:164] = b"\xff" * 4
        assert device.open_journal() is JournalResult.OK
        assert (device.newest.generation, device.newest.sequences[3]) == (4, 1)
        before = device.call("device_operations")
        assert device.open_journal() is JournalResult.OK
        assert device.call("device_operations") == before
        assert device.newest.sequences[3] == 1


def test_a_failed_write_changes_nothing() -> None:
    with Device(1024, 256) as device:
        device.open_journal()
        bump(device)
        before = device.newest.values()
        for at in range(1, 50):
            device.cut(Cut.BEFORE, at)
            assert bump(device) in {JournalResult.FLASH, JournalResult.OK}
            off = device.call("device_is_off")
            device.call("device_power_on")
            if not off:
                break
            assert device.newest.values() == before
        else:
            pytest.fail("no append was complete")
        assert device.newest.sequences[3] == 2
        assert device.violations == 0


@pytest.mark.parametrize(
    ("page", "erase", "write"), [(64, 64, 4), (176, 16, 8), (1000, 1000, 1)], ids=["too small", "just", "odd"]
)
def test_layout(page: int, erase: int, write: int) -> None:
    with Device(page, erase, erase=erase, write=write) as device:
        expected = JournalResult.OK if page > 160 + write else JournalResult.LAYOUT
        assert device.open_journal() is expected


def test_a_page_that_is_no_multiple_of_the_erase_unit() -> None:
    with Device(384, 384, erase=256) as device:
        assert device.open_journal() is JournalResult.LAYOUT


def test_flash_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    with Device(1024, 1024, path=path) as device:
        device.open_journal()
        bump(device, 3)
        assert device.call("device_write", 0, bytes(4), 4) != 0
        assert device.violations == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flash"]
    with Device(1024, 1024, path=path) as device:
        device.open_journal()
        assert device.newest.sequences[3] == 3
        assert device.call("device_write", 0, bytes(4), 4) != 0, "the marks are gone"
    with pytest.raises(OSError, match="not a flash of 5120 bytes"):
        Device(1536, 1024, path=path)
    with pytest.raises(OSError, match="No such file"):
        Device(1024, 1024, path=tmp_path / "none" / "flash")
    path.write_bytes(b"TOFLASH1")
    with pytest.raises(OSError, match="not a flash"):
        Device(1024, 1024, path=path)


@pytest.mark.parametrize("sizes", [{"erase": 0}, {"write": 3}, {"write": 64}, {"erased": 0x55}, {"erase": 768}])
def test_flash_of_impossible_sizes(sizes: dict[str, int]) -> None:
    with pytest.raises(OSError, match="a flash of"):
        Device(1024, 1024, **sizes)


def test_flash_keeps_its_rules() -> None:
    with Device(1024, 1024) as device:
        refused = [
            device.call("device_erase", 128),
            device.call("device_erase", 4096),
            device.call("device_write", 2, bytes(4), 4),
            device.call("device_write", 0, bytes(6), 6),
            device.call("device_write", 4092, bytes(8), 8),
        ]
        assert all(refused)
        assert device.violations == len(refused)
        assert device.call("device_write", 8, b"\xff" * 4, 4) == 0
        assert device.call("device_write", 8, bytes(4), 4) != 0, "an erased value that was written counts"
        assert device.call("device_erase", 0) == 0
        assert device.call("device_write", 8, bytes(4), 4) == 0
