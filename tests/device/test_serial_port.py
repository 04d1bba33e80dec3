"""Which serial port is a board's console."""

from __future__ import annotations

import pytest

from tinyops.device.board import find_board
from tinyops.device.flash.attached import Attached
from tinyops.device.serial_port import find_serial_port
from tinyops.errors import DeviceError

DK, NUCLEO, ESP = (find_board(name) for name in ("nrf52840dk", "nucleo-f401re", "esp32-wroom-32"))


def port(path: str, vendor: int, serial: str = "", *, product: int = 1, allowed: bool = True) -> Attached:
    return Attached("serial", path, f"port of {vendor:04x}", (vendor, product), path, None, allowed, {"serial": serial})


JLINK = port("/dev/ttyACM0", 0x1366, "683000001")
STLINK = port("/dev/ttyACM3", 0x0483, "066B")
CP210X = port("/dev/ttyUSB0", 0x10C4, "0001")
CAMERA = port("/dev/ttyACM9", 0x1234, "x")


def test_each_board_has_its_own() -> None:
    ports = [CAMERA, STLINK, CP210X, JLINK]
    assert find_serial_port(DK, ports) == JLINK.id
    assert find_serial_port(NUCLEO, ports) == STLINK.id
    assert find_serial_port(ESP, ports) == CP210X.id


def test_first_port_of_a_probe_with_several() -> None:
    second = port("/dev/ttyACM10", 0x1366, "683000001")
    assert find_serial_port(DK, [second, port("/dev/ttyACM2", 0x1366, "683000001")]) == "/dev/ttyACM2"


def test_an_adapter_where_the_board_has_no_port() -> None:
    assert find_serial_port(find_board("rpi-pico"), [CP210X, CAMERA]) == CP210X.id
    assert find_serial_port(DK, [CP210X]) == CP210X.id


def test_two_boards_of_a_kind() -> None:
    with pytest.raises(DeviceError) as refused:
        find_serial_port(DK, [JLINK, port("/dev/ttyACM1", 0x1366, "683000002")])
    assert refused.value.what.startswith("2 serial ports")
    assert "/dev/ttyACM0" in str(refused.value.allowed)
    assert "/dev/ttyACM1" in str(refused.value.allowed)
    assert refused.value.hint == "--port /dev/ttyACM0"


def test_ports_without_a_serial_number_are_each_one() -> None:
    with pytest.raises(DeviceError, match="2 serial ports"):
        find_serial_port(ESP, [port("/dev/ttyUSB0", 0x1A86), port("/dev/ttyUSB1", 0x1A86)])


@pytest.mark.parametrize(("ports", "said"), [([], "or --port"), ([CAMERA], "/dev/ttyACM9 (port of 1234)")])
def test_none(ports: list[Attached], said: str) -> None:
    with pytest.raises(DeviceError, match="no serial port of it is attached") as refused:
        find_serial_port(DK, ports)
    assert said in str(refused.value.allowed)


def test_no_permission() -> None:
    with pytest.raises(DeviceError, match="may not be opened by this user") as refused:
        find_serial_port(DK, [port("/dev/ttyACM0", 0x1366, "1", allowed=False)])
    assert "usermod" in str(refused.value.hint)
