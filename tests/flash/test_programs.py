"""Backends that run programs: command lines, faults by their names, and no half success reported as a whole one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.flash.conftest import SETUPS, Setup
from tests.support.fake_flashers import faults
from tinyops.device.flash.backend import Job
from tinyops.device.flash.choose import BACKENDS
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import Fault, FlashError

Make = Callable[[str], Setup]
ALL = sorted(SETUPS)
#: The temporary files that hold what is written are called F here.
_FILE = re.compile(r"[^\s{]*tinyops-\w+/(firmware\.hex|memory\.bin|commands\.jlink|[0-9a-f]{8}\.bin)")

#: The command lines of writing two parts, with everything at its default; what identifies the program comes before.
LINES = {
    "openocd": [
        (
            "openocd -c gdb_port disabled; tcl_port disabled; telnet_port disabled -c adapter serial 683000001 "
            "-f interface/jlink.cfg -c transport select swd -f target/nrf52.cfg -c init -c reset halt "
            '-c set word [lindex [read_memory 0x10000100 32 1] 0] -c echo "tinyops: chip [format 0x%x $word]" '
            "-c if {($word & 0xffffffff) != 0x52840} { exit 1 } "
            '-c flash write_image erase {F} -c echo "tinyops: written" -c verify_image {F} '
            '-c echo "tinyops: verified" -c reset run -c shutdown'
        )
    ],
    "jlink": [
        (
            "JLinkExe -NoGui 1 -ExitOnError 1 -USB 683000001 -Device nRF52840_xxAA -If SWD -Speed 4000 -AutoConnect 1 "
            "-CommandFile F"
        )
    ]
    * 4,  # which chip it is, write, compare, start
    "nrfutil": [
        "nrfutil --json device device-info --serial-number 683000001",
        (
            "nrfutil --json device program --firmware F --options "
            "chip_erase_mode=ERASE_RANGES_TOUCHED_BY_FIRMWARE,verify=VERIFY_READ,reset=RESET_SYSTEM "
            "--serial-number 683000001"
        ),
    ],
    "stm32cubeprogrammer": [
        "STM32_Programmer_CLI -c port=SWD sn=066BFF495087534867063622 mode=UR reset=HWrst -ob displ",
        "STM32_Programmer_CLI -c port=SWD sn=066BFF495087534867063622 mode=UR reset=HWrst -w F -v -rst",
    ],
    "esptool": [
        "esptool version",
        (
            "esptool --chip esp32c3 --port /dev/ttyUSB0 --baud 460800 --before default-reset --after hard-reset "
            "write-flash 0x0 F 0x40000 F"
        ),
    ],
    "dfu-util": [
        "dfu-util -l",
        "dfu-util -d ,0483:df11 -S 307A395A3036 -a 0 -s 0x08000000 -D F",
        "dfu-util -d ,0483:df11 -S 307A395A3036 -a 0 -s 0x08040000 -D F",
        "dfu-util -d ,0483:df11 -S 307A395A3036 -a 0 -s 0x08000000:5000 -U F",
        "dfu-util -d ,0483:df11 -S 307A395A3036 -a 0 -s 0x08040000:300 -U F",
        "dfu-util -d ,0483:df11 -S 307A395A3036 -a 0 -s 0x08000000:4:leave -U F",
    ],
    "picotool": [
        "picotool load -v F -t bin -o 0x10000000 --bus 1 --address 5",
        "picotool load -v F -t bin -o 0x10040000 --bus 1 --address 5",
        "picotool reboot --bus 1 --address 5",
    ],
}


@pytest.mark.parametrize("name", ALL)
def test_writes_verifies_and_starts(setup: Make, name: str) -> None:
    s = setup(name)
    seen: list[float] = []
    how = s.write(Job(s.parts()), seen.append)
    assert how in ("read back", "by the tool")
    assert s.holds(s.parts())
    assert [_FILE.sub("F", " ".join(call)) for call in s.bench.calls] == LINES[name]
    assert all(0 <= done <= 1 for done in seen)
    assert seen == sorted(seen)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_written_stays_unless_all_is_erased(setup: Make, name: str) -> None:
    s = setup(name)
    other = Part(s.bench.origin + 0x6_0000, b"kept")
    s.write(Job((other,)))
    s.write(Job(s.parts()))
    assert s.holds((*s.parts(), other))
    s.write(Job(s.parts(), erase=True))
    assert s.holds(s.parts())
    assert s.bench.at(other.address, 4) == b"\xff" * 4


@pytest.mark.parametrize("name", ALL)
def test_no_start_when_it_is_not_wanted(setup: Make, name: str) -> None:
    s = setup(name)
    s.write(Job(s.parts(), reset=False))
    words = " ".join(word for call in s.bench.calls for word in call)
    assert not re.search(r"reset run|-rst|hard-reset|RESET_SYSTEM|:leave|reboot", words)
    assert s.holds(s.parts())
    if name == "jlink":
        assert len(s.bench.calls) == 3


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name in ALL for fault in faults(name)])
def test_every_fault_has_its_name(setup: Make, name: str, fault: str) -> None:
    s = setup(name)
    s.bench.set(fault=fault)
    with pytest.raises(FlashError) as error:
        s.write(Job(s.parts()))
    assert error.value.fault == Fault(fault)
    assert error.value.what
    assert error.value.hint or error.value.fault == Fault.TOOL
    assert error.value.as_dict()["fault"] == fault
    if fault == "no permission":
        expected = "usermod -aG" if s.device.kind == "serial" else 'SUBSYSTEM=="usb|hidraw", ATTRS{idVendor}=='
        assert expected in str(error.value.hint)


@pytest.mark.parametrize("name", ALL)
def test_a_flash_that_loses_a_bit_is_no_success(setup: Make, name: str) -> None:
    s = setup(name)
    part = s.parts()[0]
    weak = next(i for i, byte in enumerate(part.data) if byte & 1)
    s.bench.set(weak=part.address + weak)
    with pytest.raises(FlashError) as error:
        s.write(Job(s.parts()))
    assert error.value.fault == Fault.VERIFY


@pytest.mark.parametrize("name", ALL)
def test_status_0_alone_is_no_success(setup: Make, name: str) -> None:
    """The program ends well, but never says that it did what it was to do, or says that it could not."""
    s = setup(name)
    s.bench.set(lies=True)
    with pytest.raises(FlashError):
        s.write(Job(s.parts()))


@pytest.mark.parametrize("name", ["openocd", "jlink", "nrfutil", "stm32cubeprogrammer", "dfu-util", "picotool"])
def test_a_wrong_chip_is_left_alone(setup: Make, name: str) -> None:
    s = setup(name)
    if name == "nrfutil":
        s.bench.set(name="NRF52832_xxAA_REV2")
    elif name == "dfu-util":
        s.bench.set(origin=0x0900_0000)
    elif name == "picotool":
        s.device = replace(s.device, usb=(0x2E8A, 0x0003))
    else:
        s.bench.set(chip=0x52832)
    with pytest.raises(FlashError, match="nothing was written") as error:
        s.write(Job(s.parts(), erase=True))
    assert error.value.fault == Fault.WRONG_CHIP
    assert s.bench.flash == b"\xff" * s.bench.size
    verbs = {word for call in s.bench.calls for word in call}
    assert not verbs & {"program", "-w", "-D", "load", "-e", "recover"}


@pytest.mark.parametrize("name", ["openocd", "nrfutil", "stm32cubeprogrammer"])
def test_recover_unlocks_first(setup: Make, name: str) -> None:
    s = setup(name)
    s.write(Job((Part(s.bench.origin + 0x6_0000, b"gone"),)))
    s.bench.set(rdp=0xBB)
    s.write(Job(s.parts(), recover=True))
    assert s.holds(s.parts())
    assert s.bench.at(s.bench.origin + 0x6_0000, 4) == b"\xff" * 4
    text = " ".join(word for call in s.bench.calls for word in call)
    assert {"openocd": "nrf52_recover -c reset halt", "nrfutil": "recover", "stm32cubeprogrammer": "RDP=0xaa"}[
        name
    ] in text


def test_levels_of_readout_protection(setup: Make) -> None:
    s = setup("stm32cubeprogrammer")
    s.bench.set(rdp=0xBB)
    with pytest.raises(FlashError) as error:
        s.write(Job(s.parts()))
    assert error.value.fault == Fault.LOCKED
    assert "--recover" in str(error.value.hint)
    s.bench.set(rdp=0xCC)
    with pytest.raises(FlashError) as error:
        s.write(Job(s.parts(), recover=True))
    assert error.value.fault == Fault.LOCKED
    assert "for ever" in str(error.value.hint)
    assert s.bench.flash == b"\xff" * s.bench.size


def test_dfu_recovers_by_a_restart(setup: Make) -> None:
    s = setup("dfu-util")
    with pytest.raises(FlashError, match="resets itself") as error:
        s.write(Job(s.parts(), recover=True))
    assert error.value.fault == Fault.UNSUPPORTED
    assert s.bench.calls[-1][-4:-2] == ["-s", "0x08000000:unprotect:force"]


@pytest.mark.parametrize("name", ["jlink", "esptool", "picotool", "uf2"])
def test_what_cannot_unlock_says_so_before_it_does_anything(setup: Make, name: str) -> None:
    from tinyops.device.board import find_board

    backend = BACKENDS[name](find_board("rpi-pico2"))  # type: ignore[index]
    with pytest.raises(FlashError) as error:
        backend.refuse(Job((), recover=True))
    assert error.value.fault == Fault.UNSUPPORTED


@pytest.mark.parametrize("name", [name for name in ALL if BACKENDS[name].can_read])  # type: ignore[index]
def test_memory_is_read(setup: Make, name: str) -> None:
    s = setup(name)
    s.write(Job(s.parts()))
    part = s.parts()[0]
    assert s.backend.read(s.device, part.address + 100, 1000) == part.data[100:1100]


def test_esptool_4_has_underscores(setup: Make) -> None:
    s = setup("esptool")
    s.bench.set(version=4)
    s.write(Job(s.parts()))
    assert s.holds(s.parts())
    assert "--before default_reset --after hard_reset write_flash 0x0" in " ".join(s.bench.calls[-1])
    s.bench.set(version=3)
    with pytest.raises(FlashError, match="too old"):
        s.write(Job(s.parts()))
