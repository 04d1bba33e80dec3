"""What is attached to this computer and may flash a board: probes, bootloaders, serial ports, UF2 drives."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tinyops.device.board import ProbeKind

#: Where Linux shows USB devices, serial ports, their nodes, and what is mounted.
SYS_USB = Path("/sys/bus/usb/devices")
SYS_TTY = Path("/sys/class/tty")
USB_NODES = Path("/dev/bus/usb")
DEVICES = Path("/dev")
MOUNTS = Path("/proc/self/mounts")
INFO_UF2 = "INFO_UF2.TXT"
_MAX_TEXT = 4096

#: (vendor, product or None for all) -> kind, title. The first that fits counts.
_USB: tuple[tuple[int, int | None, ProbeKind, str], ...] = (
    (0x0483, 0xDF11, "dfu", "STM32 bootloader"),
    *((0x0483, product, "stlink", "ST-LINK") for product in (0x3744, 0x3748, 0x374B, 0x374D, 0x374E, 0x374F)),
    *((0x0483, product, "stlink", "STLINK-V3") for product in (0x3752, 0x3753, 0x3754, 0x3755, 0x3757)),
    (0x1366, None, "jlink", "SEGGER J-Link"),
    (0x0D28, 0x0204, "cmsis-dap", "DAPLink"),
    (0x03EB, 0x2111, "cmsis-dap", "EDBG"),
    (0x03EB, 0x2141, "cmsis-dap", "Atmel-ICE"),
    (0x2E8A, 0x0003, "rp-boot", "RP2040 in BOOTSEL mode"),
    (0x2E8A, 0x000F, "rp-boot", "RP2350 in BOOTSEL mode"),
    (0x2E8A, 0x000C, "cmsis-dap", "Raspberry Pi Debug Probe"),
)
#: Class, subclass and protocol of an interface in DFU mode (USB Device Firmware Upgrade 1.1, table 4.4).
_DFU_MODE = ("fe", "01", "02")
#: Serial numbers that programs are given as they are. They come from the device, which may be anybody's.
_SERIAL = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:+-]{0,127}")
#: Vendors of what is a serial port of a board or of its USB bridge.
_SERIAL_VENDORS = {
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0x303A: "Espressif USB",
    0x0483: "ST-LINK port",
    0x1366: "J-Link port",
    0x0D28: "DAPLink port",
    0x03EB: "EDBG port",
    0x2E8A: "Raspberry Pi port",
    0x239A: "USB port",
    0x2341: "USB port",
}
#: Of these the bridge or the chip itself takes part in flashing by a serial port.
FLASHES_BY_SERIAL = frozenset((0x10C4, 0x1A86, 0x0403, 0x303A))


@dataclass(frozen=True, slots=True)
class Attached:
    """One device. `id` is what --probe takes: a serial number, or the path of a port or drive."""

    kind: ProbeKind
    id: str
    title: str
    usb: tuple[int, int] | None = None
    node: str | None = None
    bus: tuple[int, int] | None = None  # number of the bus, and of the device on it
    allowed: bool = True  # this user may open it
    notes: dict[str, str] = field(default_factory=dict, compare=False)

    def matches(self, wanted: str) -> bool:
        """Whether --probe `wanted` may mean this device: its node, or its id or serial number or the end of one."""
        names = (self.id.lower(), self.notes.get("serial", "").lower())
        return wanted == self.node or wanted.lower() in names or (len(wanted) >= 3 and self._ends(wanted.lower()))

    def _ends(self, wanted: str) -> bool:
        return self.kind not in ("serial", "uf2") and self.id.lower().endswith(wanted)


def find_attached() -> list[Attached]:
    """All devices that may flash something, by kind and id."""
    found = [*_usb_devices(), *serial_ports(), *uf2_drives()]
    return sorted(found, key=lambda device: (device.kind, device.id))


def _usb_devices() -> Iterator[Attached]:
    if not sys.platform.startswith("linux"):
        yield from _by_libusb()
        return
    for path in sorted(SYS_USB.glob("*")):
        usb = _usb_ids(path)
        if usb is None:
            continue
        product = _text(path / "product")
        kind = _recognize(usb, product, _DFU_MODE in map(_interface, path.glob(f"{path.name}:*")))
        try:
            bus = int(_text(path / "busnum")), int(_text(path / "devnum"))
        except ValueError:
            continue
        if kind is not None:
            node = USB_NODES / f"{bus[0]:03d}" / f"{bus[1]:03d}"
            yield _device(kind, usb, product, _text(path / "serial"), path.name, bus, str(node), _may_open(node))


def _by_libusb() -> Iterator[Attached]:
    """USB devices of other systems, as pyusb lists them; none where it is not installed (it comes with pyocd)."""
    try:
        import libusb_package
        import usb.core

        devices = list(usb.core.find(find_all=True, backend=libusb_package.get_libusb1_backend()) or ())
    except (ImportError, ValueError, OSError):
        return
    for device in devices:
        usb_ids = device.idVendor, device.idProduct
        try:
            product, serial, allowed = str(device.product or ""), str(device.serial_number or ""), True
        except (OSError, ValueError, NotImplementedError):  # a device that may not be opened does not tell its texts
            product, serial, allowed = "", "", False
        kind = _recognize(usb_ids, product, dfu=False)
        if kind is not None:
            place = f"{device.bus}-{device.address}"
            yield _device(kind, usb_ids, product, serial, place, (device.bus, device.address), None, allowed)


def _device(
    kind: tuple[ProbeKind, str],
    usb: tuple[int, int],
    product: str,
    serial: str,
    place: str,
    bus: tuple[int, int],
    node: str | None,
    allowed: bool,
) -> Attached:
    """A device by its serial number, or by its place where it has none, or one that is not fit for command lines."""
    if kind[0] == "jlink":
        serial = serial.lstrip("0")
    title = f"{kind[1]} {product}" if kind[0] == "jlink" and product not in ("", "J-Link") else kind[1]
    return Attached(kind[0], serial if _SERIAL.fullmatch(serial) else place, title, usb, node, bus, allowed)


def _recognize(usb: tuple[int, int], name: str, dfu: bool) -> tuple[ProbeKind, str] | None:
    """Kind and title of a USB device: by its numbers, else by what it says of itself."""
    for vendor, product, kind, title in _USB:
        if vendor == usb[0] and product in (None, usb[1]):
            return kind, title
    if "CMSIS-DAP" in name:
        return "cmsis-dap", name
    return ("dfu", name or "DFU bootloader") if dfu else None


def _interface(path: Path) -> tuple[str, ...]:
    return tuple(_text(path / f"bInterface{part}") for part in ("Class", "SubClass", "Protocol"))


def serial_ports() -> list[Attached]:
    """The serial ports of USB devices, by path; `notes` have the serial number of the USB device."""
    if not sys.platform.startswith("linux"):
        return _other_ports()
    found = []
    for path in sorted(SYS_TTY.glob("tty*")):
        if not re.fullmatch(r"tty(USB|ACM)\d+", path.name):
            continue
        device = next((p for p in (path / "device").resolve().parents if (p / "idVendor").is_file()), None)
        usb = _usb_ids(device) if device else None
        if device is None or usb is None:
            continue
        node = DEVICES / path.name
        title = _text(device / "product") or _SERIAL_VENDORS.get(usb[0], "USB port")
        notes = {"serial": _text(device / "serial")}
        found.append(Attached("serial", str(node), title, usb, str(node), None, _may_open(node), notes))
    return found


def _other_ports() -> list[Attached]:
    """Ports of other systems, as pyserial lists them; none where it is not installed."""
    try:
        from serial.tools import list_ports
    except ImportError:
        return []
    return [
        Attached("serial", p.device, p.product or p.description, (p.vid, p.pid), p.device, None, True,
                 {"serial": p.serial_number or ""})
        for p in list_ports.comports()
        if p.vid is not None
    ]  # fmt: skip


def uf2_drives() -> list[Attached]:
    """Mounted drives of UF2 bootloaders; `notes` are the lines of INFO_UF2.TXT."""
    found = []
    for folder in _mounted():
        try:
            with (folder / INFO_UF2).open("rb") as file:
                text = file.read(_MAX_TEXT).decode("utf-8", "replace")
        except OSError:
            continue
        notes = dict(re.findall(r"^([\w-]+): *(.*?)\r?$", text, re.MULTILINE))
        title = notes.get("Model") or notes.get("Board-ID") or "UF2 bootloader"
        found.append(Attached("uf2", str(folder), title, None, str(folder), None, os.access(folder, os.W_OK), notes))
    return found


def _mounted() -> list[Path]:
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    if os.name == "nt":
        return [Path(f"{letter}:\\") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    fields = (line.split() for line in lines)
    return [Path(_unescaped(f[1])) for f in fields if len(f) > 2 and f[2] in ("vfat", "msdos", "exfat")]


def _unescaped(text: str) -> str:
    """Paths of /proc/mounts have spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _usb_ids(path: Path) -> tuple[int, int] | None:
    try:
        return int(_text(path / "idVendor"), 16), int(_text(path / "idProduct"), 16)
    except ValueError:
        return None


def _text(path: Path) -> str:
    """What a file of sysfs says, printable; empty where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TEXT).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return "".join(c for c in text if c.isprintable())


def _may_open(node: Path) -> bool:
    return not node.exists() or os.access(node, os.R_OK | os.W_OK)
