"""The programs themselves, where they are installed: their words are those that the faults are known by."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tinyops.device.board import find_board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Job
from tinyops.device.flash.content import Part
from tinyops.device.flash.dfu_util import DfuUtil
from tinyops.device.flash.esptool import Esptool
from tinyops.device.flash.faults import Fault, FlashError
from tinyops.device.flash.openocd import Openocd
from tinyops.errors import MissingToolError

NRF = find_board("nrf52840dk")
JLINK = Attached("jlink", "683000001", "SEGGER J-Link", (0x1366, 0x1051))
PARTS = (Part(0, b"firmware" * 30), Part(0x8000, b"more"))
#: A flash that forgets, at a processor that does nothing, at an adapter that is none.
CONFIG = """
adapter driver dummy
adapter speed 100
transport select jtag
jtag newtap x cpu -irlen 4 -expected-id 0
target create x.cpu testee -chain-position x.cpu
flash bank f faux 0x0 0x100000 0 0 x.cpu
"""
#: From the first reset on this target has a memory, of one word.
_READS = "x.cpu configure -event reset-start { proc ::read_memory {address width count} { return 0x12345678 } }\n"

openocd = pytest.mark.skipif(shutil.which("openocd") is None, reason="openocd is not installed")


def board_with(config: str) -> Openocd:
    probe = NRF.probe.model_copy(update={"openocd_config": config, "chip_id": None})
    return Openocd(NRF.model_copy(update={"probe": probe}))


@openocd
def test_openocd_takes_the_commands(tmp_path: Path) -> None:
    """Words, quotes and braces of the whole sequence, the steps in their order, and its exit status."""
    config = tmp_path / "faux.cfg"
    config.write_text(CONFIG)
    seen: list[float] = []
    how = board_with(str(config)).write(JLINK, Job(PARTS, verify=False, reset=False, erase=True), seen.append)
    assert how == "not at all"
    assert max(seen) == 0.8
    with pytest.raises(FlashError):  # this target cannot compare
        board_with(str(config)).write(JLINK, Job(PARTS), lambda _: None)


@openocd
def test_openocd_stops_at_a_wrong_chip(tmp_path: Path) -> None:
    config = tmp_path / "faux.cfg"
    config.write_text(CONFIG + _READS)
    backend = board_with(str(config))
    chip = NRF.probe.chip_id
    backend.board = NRF.model_copy(update={"probe": backend.board.probe.model_copy(update={"chip_id": chip})})
    with pytest.raises(FlashError, match="0x12345678, not nrf52840dk's 0x52840; nothing was written") as error:
        backend.write(JLINK, Job(PARTS), lambda _: None)
    assert error.value.fault == Fault.WRONG_CHIP
    right = chip.model_copy(update={"value": 0x12345678}) if chip else None
    backend.board = NRF.model_copy(update={"probe": backend.board.probe.model_copy(update={"chip_id": right})})
    assert backend.write(JLINK, Job(PARTS, verify=False, reset=False), lambda _: None) == "not at all"


@openocd
@pytest.mark.parametrize(
    ("config", "device", "fault"),
    [
        ("target/nrf52.cfg", JLINK, Fault.LOST),
        ("target/stm32f4x.cfg", Attached("stlink", "066B", "ST-LINK", (0x0483, 0x374B)), Fault.LOST),
        ("target/at91samdXX.cfg", Attached("cmsis-dap", "1", "EDBG", (0x03EB, 0x2111)), Fault.LOST),
        ("target/of-the-future.cfg", JLINK, Fault.UNSUPPORTED),
    ],
)
def test_openocd_without_the_probe(config: str, device: Attached, fault: Fault) -> None:
    with pytest.raises(FlashError) as error:
        board_with(config).write(device, Job(PARTS), lambda _: None)
    assert error.value.fault == fault


@openocd
@pytest.mark.parametrize("name", ["nrf52840dk", "nucleo-f401re", "nucleo-l476rg", "hifive1b", "samr21-xpro"])
def test_openocd_has_the_boards_configuration(name: str) -> None:
    """Only the probe is missing: every file that the board names is there and can be read."""
    board = find_board(name)
    device = Attached(board.probe.onboard or "cmsis-dap", "683000001", "a probe", (1, 2))
    with pytest.raises(FlashError) as error:
        Openocd(board).write(device, Job(PARTS), lambda _: None)
    assert error.value.fault == Fault.LOST


@pytest.mark.skipif(shutil.which("dfu-util") is None, reason="dfu-util is not installed")
def test_dfu_util_without_the_device() -> None:
    device = Attached("dfu", "307A395A3036", "STM32 bootloader", (0x0483, 0xDF11))
    with pytest.raises(FlashError) as error:
        DfuUtil(find_board("nucleo-f767zi")).write(device, Job(PARTS), lambda _: None)
    assert error.value.fault == Fault.LOST


def test_esptool_without_the_port() -> None:
    try:
        Esptool.installed()
    except MissingToolError:
        pytest.skip("esptool is not installed")
    device = Attached("serial", "/dev/ttyUSB-of-nobody", "CP2102N", (0x10C4, 0xEA60))
    with pytest.raises(FlashError) as error:
        Esptool(find_board("esp32c3-devkit")).write(device, Job(PARTS), lambda _: None)
    assert error.value.fault == Fault.LOST
