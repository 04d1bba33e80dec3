"""pyOCD itself, with its own flash algorithm, at a simulated nRF52840."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

pytest.importorskip("pyocd", reason="pyocd is not installed")
pytest.importorskip("unicorn", reason="unicorn is not installed")

from tests.support.nrf52_probe import FLASH_BYTES, PAGE, UICR, Chip, plugged_in
from tinyops.device.board import find_board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Job
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import Fault, FlashError
from tinyops.device.flash.pyocd import Pyocd

BOARD = find_board("nrf52840dk")
DRAW = random.Random(5)
FIRMWARE = (Part(0, DRAW.randbytes(9000)), Part(0x8_0000, DRAW.randbytes(64)))


def device(chip: Chip) -> Attached:
    return Attached("cmsis-dap", chip.serial, "CMSIS-DAP", (0x0D28, 0x0204))


def flash(chip: Chip, job: Job = Job(FIRMWARE)) -> str:  # noqa: B008  # frozen
    with plugged_in(chip):
        how = Pyocd(BOARD).write(device(chip), job, lambda _: None)
    assert chip.violations == []
    return how


def holds(chip: Chip, parts: tuple[Part, ...] = FIRMWARE) -> bool:
    return all(chip.flash[part.address : part.end] == part.data for part in parts)


def test_writes_the_pages_it_must_and_compares() -> None:
    chip, seen = Chip(), []
    with plugged_in(chip):
        how = Pyocd(BOARD).write(device(chip), Job(FIRMWARE), seen.append)
    assert how == "read back"
    assert holds(chip)
    assert set(chip.erased_pages) == {0, PAGE, 2 * PAGE, 0x8_0000}
    assert chip.violations == []
    assert chip.running_firmware
    assert not chip.halted
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_the_rest_stays_unless_all_is_erased() -> None:
    chip = Chip()
    other = (Part(0x4_0000, b"kept"),)
    flash(chip, Job(other))
    flash(chip)
    assert holds(chip, (*FIRMWARE, *other))
    flash(chip, Job(FIRMWARE, erase=True))
    assert holds(chip)
    assert chip.flash[0x4_0000:0x4_0004] == b"\xff" * 4


def test_another_firmware_over_the_first() -> None:
    chip = Chip()
    flash(chip)
    other = (Part(0, DRAW.randbytes(5000)),)
    flash(chip, Job(other))
    assert holds(chip, other)


def test_without_comparison_and_start() -> None:
    chip = Chip()
    before = chip.resets
    assert flash(chip, Job(FIRMWARE, verify=False, reset=False)) == "not at all"
    assert holds(chip)
    assert chip.resets == before + 1  # to halt it before anything else


def test_memory_is_read() -> None:
    chip = Chip()
    flash(chip)
    with plugged_in(chip):
        assert Pyocd(BOARD).read(device(chip), 100, 8000) == FIRMWARE[0].data[100:8100]


def test_a_locked_chip_is_named_and_stays_locked() -> None:
    chip = Chip(locked=True)
    before = chip.flash
    with pytest.raises(FlashError) as error:
        flash(chip)
    assert error.value.fault == Fault.LOCKED
    assert "--recover" in str(error.value.hint)
    assert chip.locked
    assert chip.flash == before


def test_recover_erases_and_unlocks_it() -> None:
    chip = Chip()
    flash(chip, Job((Part(0x4_0000, b"gone"),)))
    chip.locked = True
    assert flash(chip, Job(FIRMWARE, recover=True)) == "read back"
    assert holds(chip)
    assert chip.flash[0x4_0000:0x4_0004] == b"\xff" * 4
    assert chip.block(UICR + 0x208, 1) == b"\x5a", "from build code F on the chip locks itself again without this"


def test_a_wrong_chip_is_left_alone() -> None:
    chip = Chip(part=0x52832)
    with pytest.raises(FlashError, match="0x52832, not nrf52840dk's 0x52840; nothing was written") as error:
        flash(chip, Job(FIRMWARE, erase=True))
    assert error.value.fault == Fault.WRONG_CHIP
    assert chip.flash == b"\xff" * FLASH_BYTES
    assert chip.erased_pages == []


def test_a_flash_that_loses_a_bit_is_no_success() -> None:
    address = next(i for i, byte in enumerate(FIRMWARE[0].data) if byte & 1 and i > 5000)
    with pytest.raises(FlashError, match=f"{address:#010x}") as error:
        flash(Chip(weak_address=address))
    assert error.value.fault == Fault.VERIFY


def test_a_chip_without_power() -> None:
    with pytest.raises(FlashError) as error:
        flash(Chip(silent=True))
    assert error.value.fault == Fault.NO_CHIP


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("unable to open CMSIS-DAP: Access denied (insufficient permissions)", Fault.NO_PERMISSION),
        ("could not claim interface: Resource busy", Fault.BUSY),
        ("unable to open device", Fault.LOST),
    ],
)
def test_a_probe_that_cannot_be_opened(text: str, fault: Fault) -> None:
    with pytest.raises(FlashError) as error:
        flash(Chip(unopenable=text))
    assert error.value.fault == fault


def test_a_probe_that_went_away() -> None:
    with pytest.raises(FlashError) as error, plugged_in():
        Pyocd(BOARD).write(device(Chip()), Job(FIRMWARE), lambda _: None)
    assert error.value.fault == Fault.LOST


@pytest.mark.slow
def test_unplugged_at_any_time_is_never_a_success() -> None:
    """The probe goes away after n accesses, for n from the first to the last one before the chip holds everything."""
    whole = Chip()
    flash(whole)
    total = whole.accesses
    outcomes = set()
    for n in [*range(0, total - 40, total // 20), *range(total - 40, total, 3)]:
        chip = Chip(dies_after=n)
        try:
            flash(chip)
        except FlashError as error:
            outcomes.add(error.fault)
        else:
            assert holds(chip), n
            assert n > total - 40, "only the goodbye may be cut off"
    assert outcomes <= {Fault.LOST, Fault.NO_CHIP, Fault.TOOL}
    assert Fault.LOST in outcomes


def test_nothing_of_the_working_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyOCD runs pyocd_user.py of its project's folder: that must not be the one where somebody happens to be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyocd_user.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    (tmp_path / "pyocd.yaml").write_text("frequency: nonsense\n")
    chip = Chip()
    flash(chip)
    assert holds(chip)
    assert not (tmp_path / "ran").exists()
    assert Path(os.getcwd()) == tmp_path  # noqa: PTH109


def test_what_it_lacks() -> None:
    assert Pyocd(BOARD).lacks() is None
    other = BOARD.model_copy(update={"probe": BOARD.probe.model_copy(update={"pyocd_target": "stm32f401retx"})})
    assert Pyocd(other).lacks() in (None, "it needs a CMSIS pack: pyocd pack install stm32f401retx")
    none = BOARD.model_copy(update={"probe": BOARD.probe.model_copy(update={"pyocd_target": None})})
    assert Pyocd(none).lacks() == "the board's file has no pyocd_target"


def test_only_what_pyocd_lists_is_usable() -> None:
    chip = Chip()
    here, jlink = device(chip), Attached("jlink", "683000001", "J-Link")
    barred = Attached("stlink", "066B", "ST-LINK", (0x0483, 0x374B), "/dev/bus/usb/001/002", (1, 2), allowed=False)
    with plugged_in(chip):
        assert Pyocd(BOARD).usable([here, jlink, barred]) == [here, barred]
