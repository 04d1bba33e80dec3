"""Drives of UF2 bootloaders: files by the format, and what the drive does tells how it went."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tinyops.device.board import find_board
from tinyops.device.flash import uf2
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Job
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import Fault, FlashError, several_probes
from tinyops.device.flash.uf2 import Uf2, uf2_file

FAMILY = 0xE48BFF59
PARTS = (Part(0x1000_0000, bytes(range(256)) * 3 + b"end"), Part(0x1000_1010, b"middle"))


def blocks(content: bytes) -> dict[int, bytes]:
    """Address -> payload, every field checked against the format's description."""
    assert len(content) % 512 == 0
    found = {}
    for number in range(len(content) // 512):
        block = content[512 * number :][:512]
        magic, second, flags, address, size, index, count, family = struct.unpack_from("<8I", block)
        assert (magic, second) == (0x0A324655, 0x9E5D5157)
        assert struct.unpack_from("<I", block, 508) == (0x0AB16F30,)
        assert (flags, size, family) == (0x2000, 256, FAMILY)
        assert (index, count) == (number, len(content) // 512)
        assert address % 256 == 0
        assert not any(block[32 + 256 : 508])
        found[address] = block[32 : 32 + 256]
    return found


def test_file_has_every_byte_once() -> None:
    found = blocks(uf2_file(PARTS, FAMILY))
    assert sorted(found) == [0x1000_0000, 0x1000_0100, 0x1000_0200, 0x1000_0300, 0x1000_1000]
    assert found[0x1000_0300] == b"end".ljust(256, b"\xff")
    assert found[0x1000_1000] == (b"\xff" * 16 + b"middle").ljust(256, b"\xff")


@pytest.fixture
def drive(tmp_path: Path) -> Attached:
    folder = tmp_path / "RP2350"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text("UF2 Bootloader\nModel: Raspberry Pi RP2350\nBoard-ID: RP2350\n")
    return Attached("uf2", str(folder), "Raspberry Pi RP2350", notes={"Board-ID": "RP2350"})


@contextmanager
def bootloader(drive: Attached, size: int) -> Iterator[list[bytes]]:
    """Takes the file when it has `size` bytes, and is gone then."""
    got: list[bytes] = []

    def run() -> None:
        file = Path(drive.id) / "firmware.uf2"
        for _ in range(400):
            if file.is_file() and file.stat().st_size >= size:
                got.append(file.read_bytes())
                shutil.rmtree(drive.id)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    yield got
    thread.join()


def test_written_when_the_drive_goes(drive: Attached) -> None:
    expected = uf2_file(PARTS, FAMILY)
    with bootloader(drive, len(expected)) as got:
        how = Uf2(find_board("rpi-pico2")).write(drive, Job(PARTS, verify=False), lambda _: None)
    assert how == "not at all"
    assert got == [expected]


def test_a_drive_that_stays_did_not_take_it(drive: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uf2, "RESTART_SECONDS", 0.3)
    with pytest.raises(FlashError) as error:
        Uf2(find_board("rpi-pico2")).write(drive, Job(PARTS, verify=False), lambda _: None)
    assert error.value.fault == Fault.TIMEOUT


def test_another_board_is_refused(drive: Attached) -> None:
    other = replace(drive, notes={"Board-ID": "nRF52840-Feather"})
    with pytest.raises(FlashError, match="nRF52840-Feather, not RP2350") as error:
        Uf2(find_board("rpi-pico2")).write(other, Job(PARTS, verify=False), lambda _: None)
    assert error.value.fault == Fault.WRONG_CHIP
    assert not (Path(drive.id) / "firmware.uf2").exists()


@pytest.mark.parametrize(
    ("number", "gone", "fault"),
    [
        (errno.EIO, True, Fault.LOST),
        (errno.EROFS, False, Fault.NO_PERMISSION),
        (errno.ENOSPC, False, Fault.TOOL),
        (errno.EIO, False, Fault.LOST),
    ],
)
def test_a_drive_that_fails_on_the_way(
    drive: Attached, number: int, gone: bool, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = (Part(0x1000_0000, b"x" * 100_000),)

    def fail(_handle: int) -> None:
        if gone:
            shutil.rmtree(drive.id)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FlashError) as error:
        Uf2(find_board("rpi-pico2")).write(drive, Job(large, verify=False), lambda _: None)
    assert error.value.fault == fault


def test_a_drive_that_is_gone_before_anything_is_written(drive: Attached) -> None:
    shutil.rmtree(drive.id)
    with pytest.raises(FlashError) as error:
        Uf2(find_board("rpi-pico2")).write(drive, Job(PARTS, verify=False), lambda _: None)
    assert error.value.fault == Fault.LOST


@pytest.mark.parametrize("taken", range(len(uf2_file(PARTS, FAMILY)) // 512))
def test_a_drive_may_vanish_with_the_last_block_and_not_before(
    drive: Attached, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = len(uf2_file(PARTS, FAMILY)) // 512 - 1
    write = Uf2(find_board("rpi-pico2")).write

    def fail(handle: int) -> None:
        if os.fstat(handle).st_size > taken * 512:
            shutil.rmtree(drive.id)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    if taken == last:
        assert write(drive, Job(PARTS, verify=False), lambda _: None) == "not at all"
        return
    with pytest.raises(FlashError) as error:
        write(drive, Job(PARTS, verify=False), lambda _: None)
    assert error.value.fault == Fault.LOST


def test_the_hint_for_several_drives_is_one_word_of_a_shell() -> None:
    drives = [Attached("uf2", f"/media/me/$(id) {number}", "RP2350") for number in (1, 2)]
    hint = several_probes(find_board("rpi-pico2"), drives).hint
    assert hint is not None
    assert shlex.split(hint) == ["--probe", "/media/me/$(id) 1"]
    assert "'" in hint


def test_what_it_cannot_do() -> None:
    backend = Uf2(find_board("rpi-pico2"))
    for job in (Job(PARTS, erase=True), Job(PARTS, reset=False), Job(PARTS, recover=True)):
        with pytest.raises(FlashError) as error:
            backend.refuse(job)
        assert error.value.fault == Fault.UNSUPPORTED
    with pytest.raises(FlashError):
        backend.read(Attached("uf2", "/x", "x"), 0, 4)
