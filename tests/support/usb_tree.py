"""A computer's USB devices, serial ports and drives, as Linux shows them in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tinyops.device.flash import attached


@dataclass
class UsbTree:
    """Folders that stand for /sys, /dev and /proc."""

    root: Path

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for folder in ("usb", "tty", "nodes", "dev", "media"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "mounts").write_text("proc /proc proc rw 0 0\n")
        monkeypatch.setattr(attached, "SYS_USB", self.root / "usb")
        monkeypatch.setattr(attached, "SYS_TTY", self.root / "tty")
        monkeypatch.setattr(attached, "USB_NODES", self.root / "nodes")
        monkeypatch.setattr(attached, "DEVICES", self.root / "dev")
        monkeypatch.setattr(attached, "MOUNTS", self.root / "mounts")
        monkeypatch.setattr(attached.sys, "platform", "linux")

    def plug(
        self, name: str, usb: str, serial: str = "", product: str = "", *, tty: str | None = None, dfu: bool = False
    ) -> Path:
        """A USB device at the place `name`; the path of its node."""
        folder = self.root / "usb" / name
        folder.mkdir()
        number = len(list((self.root / "usb").iterdir()))
        vendor, product_id = usb.split(":")
        for file, text in {
            "idVendor": vendor, "idProduct": product_id, "serial": serial, "product": product,
            "busnum": "1", "devnum": str(number),
        }.items():  # fmt: skip
            (folder / file).write_text(f"{text}\n")
        interface = folder / f"{name}:1.0"
        interface.mkdir()
        if dfu:
            for file, text in {"Class": "fe", "SubClass": "01", "Protocol": "02"}.items():
                (interface / f"bInterface{file}").write_text(f"{text}\n")
        if tty:
            port = self.root / "tty" / tty
            port.mkdir()
            (port / "device").symlink_to(interface)
            (self.root / "dev" / tty).touch()
        node = self.root / "nodes" / "001" / f"{number:03d}"
        node.parent.mkdir(exist_ok=True)
        node.touch()
        return node

    def mount(self, name: str, board: str, model: str) -> Path:
        """A drive of a UF2 bootloader."""
        drive = self.root / "media" / name
        drive.mkdir()
        (drive / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: {model}\r\nBoard-ID: {board}\r\n")
        with (self.root / "mounts").open("a") as file:
            escaped = str(drive).replace(" ", "\\040")
            file.write(f"/dev/sda1 {escaped} vfat rw 0 0\n")
        return drive
