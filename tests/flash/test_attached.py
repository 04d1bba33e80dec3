"""What is attached is found, named, and one device of it chosen."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.usb_tree import UsbTree
from tinyops.device.board import Board, find_board
from tinyops.device.flash import attached
from tinyops.device.flash.attached import Attached, find_attached
from tinyops.device.flash.choose import BACKENDS, Choice, choose, pair
from tinyops.device.flash.faults import Fault, FlashError, no_permission
from tinyops.device.flash.pyocd import Pyocd
from tinyops.device.flash.udev import udev_rule
from tinyops.errors import MissingToolError, UsageError

NRF, NUCLEO, ESP, PICO, F767 = map(
    find_board, ("nrf52840dk", "nucleo-f401re", "esp32c3-devkit", "rpi-pico2", "nucleo-f767zi")
)
SECOND_SERIAL = "000683000002"


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UsbTree:
    tree = UsbTree(tmp_path / "system")
    tree.use(monkeypatch)
    return tree


@pytest.fixture
def all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is installed, and pyOCD sees every probe."""
    for backend in BACKENDS.values():
        monkeypatch.setattr(backend, "installed", classmethod(lambda _: "here"))
    monkeypatch.setattr(Pyocd, "usable", lambda self, devices: super(Pyocd, self).usable(devices))
    monkeypatch.setattr(Pyocd, "lacks", lambda self: super(Pyocd, self).lacks())


def only(board: Board, backends: tuple[str, ...]) -> Board:
    return board.model_copy(update={"probe": board.probe.model_copy(update={"backends": backends})})


def plug_desk(usb: UsbTree) -> None:
    """An nRF52840 DK, a Nucleo, an ESP32-C3 and a keyboard."""
    usb.plug("1-1", "1366:1051", "000683000001", "J-Link", tty="ttyACM0")
    usb.plug("1-2", "0483:374b", "066BFF495087534867063622", "STM32 STLink", tty="ttyACM1")
    usb.plug("1-3", "10c4:ea60", "0001", "CP2102N USB to UART", tty="ttyUSB0")
    usb.plug("1-4", "046d:c31c", "", "USB Keyboard")


def test_all_kinds_are_found(usb: UsbTree) -> None:
    plug_desk(usb)
    usb.plug("1-5", "2e8a:000f", "E0C912952D54", "RP2350 Boot")
    usb.plug("1-6", "0483:df11", "307A395A3036", "STM32  BOOTLOADER")
    usb.plug("1-7", "28e9:0189", "3CBJ", "GD32 DFU", dfu=True)
    usb.plug("1-8", "c251:f001", "LU_2022", "LPC-Link2 CMSIS-DAP")
    usb.mount("RP 2350", "RP2350", "Raspberry Pi RP2350")
    found = {(device.kind, device.id.removeprefix(f"{usb.root}/")) for device in find_attached()}
    assert found == {
        ("jlink", "683000001"),
        ("stlink", "066BFF495087534867063622"),
        ("serial", "dev/ttyACM0"),
        ("serial", "dev/ttyACM1"),
        ("serial", "dev/ttyUSB0"),
        ("rp-boot", "E0C912952D54"),
        ("dfu", "307A395A3036"),
        ("dfu", "3CBJ"),
        ("cmsis-dap", "LU_2022"),
        ("uf2", "media/RP 2350"),
    }


def test_a_device_without_serial_number_goes_by_its_place(usb: UsbTree) -> None:
    usb.plug("1-1.4", "0d28:0204", "", "DAPLink CMSIS-DAP")
    assert [device.id for device in find_attached()] == ["1-1.4"]


@pytest.mark.parametrize(
    "serial", ["1; exit 3", "-CommandFile", "[exec touch x]", "$env(HOME)", "a b", "x" * 200, "\u00e9"]
)
def test_a_serial_number_that_is_a_command_is_none(usb: UsbTree, serial: str) -> None:
    """A device says what it likes, and programs get it on their command lines."""
    usb.plug("1-3", "1366:1051", serial, "J-Link")
    assert [device.id for device in find_attached()] == ["1-3"]


def test_devices_of_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no files of Linux, pyusb lists the devices."""
    core = pytest.importorskip("usb.core")

    class Barred:
        idVendor, idProduct, bus, address = 0x0483, 0x374B, 1, 9  # noqa: N815

        @property
        def product(self) -> str:
            raise core.USBError("Access denied (insufficient permissions)")

    probe = SimpleNamespace(
        idVendor=0x1366, idProduct=0x1051, bus=1, address=7, product="J-Link", serial_number="000683000001"
    )
    mouse = SimpleNamespace(idVendor=0x046D, idProduct=1, bus=1, address=8, product="Mouse", serial_number=None)
    monkeypatch.setattr(attached.sys, "platform", "darwin")
    monkeypatch.setattr(attached, "_mounted", list)
    monkeypatch.setattr(attached, "serial_ports", list)
    monkeypatch.setattr(core, "find", lambda **_: [probe, mouse, Barred()])
    found = [(device.kind, device.id, device.allowed) for device in find_attached()]
    assert found == [("jlink", "683000001", True), ("stlink", "1-9", False)]


def test_odd_files_are_no_devices(usb: UsbTree) -> None:
    plug_desk(usb)
    for name, file, content in (
        ("2-1", "idVendor", b"\xff\xfe"), ("2-2", "idVendor", b""), ("2-3", "idVendor", b"zzzz"),
    ):  # fmt: skip
        (usb.root / "usb" / name).mkdir()
        (usb.root / "usb" / name / file).write_bytes(content)
    (usb.root / "usb" / "1-1" / "product").write_bytes(b"J-Link\x1b[31m\x00")
    (usb.root / "usb" / "1-2" / "devnum").write_bytes(b"nothing")
    (usb.root / "mounts").write_bytes(b"x\n\xff y vfat\n" + b"z" * 100_000)
    found = find_attached()
    assert {device.kind for device in found} == {"jlink", "serial"}
    assert all(device.title.isprintable() for device in found)


@pytest.mark.usefixtures("all_tools")
@pytest.mark.parametrize(
    ("board", "backend", "device"),
    [
        (NRF, "pyocd", "683000001"),
        (NUCLEO, "openocd", "066BFF495087534867063622"),
        (F767, "pyocd", "066BFF495087534867063622"),
        (only(NRF, ("nrfutil", "openocd")), "nrfutil", "683000001"),
        (ESP, "esptool", "dev/ttyUSB0"),
    ],
)
def test_the_boards_own_probe_and_its_best_backend(usb: UsbTree, board: Board, backend: str, device: str) -> None:
    plug_desk(usb)
    (chosen,) = choose(board, find_attached())
    assert (chosen.backend.name, chosen.device.id.removeprefix(f"{usb.root}/")) == (backend, device)


@pytest.mark.usefixtures("all_tools")
def test_no_probe(usb: UsbTree) -> None:
    usb.plug("1-1", "10c4:ea60", "0001", "CP2102N", tty="ttyUSB0")
    with pytest.raises(FlashError) as error:
        choose(NRF, find_attached())
    assert error.value.fault == Fault.NO_PROBE
    assert "attached: CP2102N" in error.value.what
    assert "a J-Link" in str(error.value.allowed)
    with pytest.raises(FlashError) as error:
        choose(PICO, [])
    assert error.value.hint == "hold BOOTSEL while the board is plugged in"


@pytest.mark.usefixtures("all_tools")
def test_two_probes(usb: UsbTree) -> None:
    plug_desk(usb)
    usb.plug("1-9", "1366:1051", SECOND_SERIAL, "J-Link")
    with pytest.raises(FlashError) as error:
        choose(NRF, find_attached())
    assert error.value.fault == Fault.SEVERAL_PROBES
    assert "683000001" in error.value.what
    assert "683000002" in error.value.what
    assert str(error.value.hint).startswith("--probe 68300000")
    assert [c.device.id for c in choose(NRF, find_attached(), every=True)] == ["683000001", "683000002"]
    for wanted in ("683000002", "000002", "002"):
        assert [c.device.id for c in choose(NRF, find_attached(), probe=wanted)] == ["683000002"]
    with pytest.raises(FlashError) as error:
        choose(NRF, find_attached(), probe="683")
    assert error.value.fault == Fault.UNKNOWN_PROBE
    with pytest.raises(FlashError, match="no device matches '02'"):
        choose(NRF, find_attached(), probe="02")


@pytest.mark.usefixtures("all_tools")
def test_a_probe_by_the_end_that_two_share(usb: UsbTree) -> None:
    usb.plug("1-1", "1366:1051", "000683000777", "J-Link")
    usb.plug("1-2", "1366:1051", "000684000777", "J-Link")
    with pytest.raises(FlashError, match="2 devices match '777'") as error:
        choose(NRF, find_attached(), probe="777")
    assert error.value.fault == Fault.SEVERAL_PROBES


@pytest.mark.usefixtures("all_tools")
def test_a_port_by_its_path_and_by_its_usb_serial_number(usb: UsbTree) -> None:
    plug_desk(usb)
    usb.plug("1-9", "303a:1001", "34:85:18:AB:CD:EF", "USB JTAG/serial debug unit", tty="ttyACM5")
    for wanted in (f"{usb.root}/dev/ttyACM5", "34:85:18:ab:cd:ef"):
        (chosen,) = choose(ESP, find_attached(), probe=wanted)
        assert chosen.device.id.endswith("ttyACM5")


@pytest.mark.usefixtures("all_tools")
def test_ports_of_probes_are_not_those_of_espressif(usb: UsbTree) -> None:
    usb.plug("1-1", "1366:1051", "000683000001", "J-Link", tty="ttyACM0")
    with pytest.raises(FlashError) as error:
        choose(ESP, find_attached())
    assert error.value.fault == Fault.NO_PROBE


@pytest.mark.usefixtures("all_tools")
def test_no_permission_comes_with_the_rule(usb: UsbTree, monkeypatch: pytest.MonkeyPatch) -> None:
    node = usb.plug("1-1", "1366:1051", "000683000001", "J-Link")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != node and allowed(path, mode))
    with pytest.raises(FlashError, match="may not be opened by this user") as error:
        choose(NRF, find_attached())
    assert error.value.fault == Fault.NO_PERMISSION
    assert error.value.where == str(node)
    rule = 'SUBSYSTEM=="usb|hidraw", ATTRS{idVendor}=="1366", ATTRS{idProduct}=="1051", MODE="0660", TAG+="uaccess"'
    assert udev_rule(0x1366, 0x1051) == rule
    assert rule in str(error.value.hint)
    assert "/etc/udev/rules.d/70-tinyops.rules" in str(error.value.hint)
    assert "udevadm control --reload" in str(error.value.hint)


def test_a_barred_port_names_the_group(usb: UsbTree) -> None:
    port = Attached("serial", "/dev/ttyUSB0", "CP2102N", (0x10C4, 0xEA60), "/dev/null-of-no-group")
    assert no_permission(port).hint == "sudo usermod -aG dialout $USER, then log in again"


@pytest.mark.usefixtures("all_tools")
def test_the_drive_stands_in_for_a_barred_bootloader(usb: UsbTree, monkeypatch: pytest.MonkeyPatch) -> None:
    node = usb.plug("1-5", "2e8a:000f", "E0C912952D54", "RP2350 Boot")
    drive = usb.mount("RP2350", "RP2350", "Raspberry Pi RP2350")
    (chosen,) = choose(PICO, find_attached())
    assert chosen.backend.name == "picotool"
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != node and allowed(path, mode))
    (chosen,) = choose(PICO, find_attached())
    assert (chosen.backend.name, chosen.device.id) == ("uf2", str(drive))


def test_what_is_not_installed_is_named(usb: UsbTree, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_desk(usb)

    def missing(backend: type) -> str:
        raise MissingToolError("is not installed", where=str(backend), hint=f"install {backend.name}")  # type: ignore[attr-defined]

    for backend in BACKENDS.values():
        monkeypatch.setattr(backend, "installed", classmethod(missing))
    with pytest.raises(MissingToolError) as error:
        choose(only(NUCLEO, ("openocd", "stm32cubeprogrammer")), find_attached())
    assert error.value.hint == "install openocd or: install stm32cubeprogrammer"
    with pytest.raises(MissingToolError):
        choose(NUCLEO, find_attached(), probe="066BFF495087534867063622")
    assert [reason.backend for reason in pair(NUCLEO, find_attached())[1]] == list(NUCLEO.probe.backends)


@pytest.mark.usefixtures("all_tools")
def test_a_backend_by_its_name(usb: UsbTree) -> None:
    plug_desk(usb)
    (chosen,) = choose(NRF, find_attached(), backend="openocd")
    assert chosen.backend.name == "openocd"
    with pytest.raises(UsageError, match="esptool does not flash it") as error:
        choose(NRF, find_attached(), backend="esptool")
    assert error.value.allowed == "pyocd, nrfutil, jlink, openocd"
    with pytest.raises(UsageError, match="names no backend"):
        choose(only(NRF, ()), find_attached())


@pytest.mark.usefixtures("all_tools")
def test_all_means_the_boards_own_probes(usb: UsbTree) -> None:
    """A Nucleo beside two development kits: --all for the kits leaves it alone."""
    plug_desk(usb)
    usb.plug("1-9", "1366:1051", SECOND_SERIAL, "J-Link")
    found: list[Choice] = choose(NRF, find_attached(), every=True)
    assert {choice.device.kind for choice in found} == {"jlink"}
