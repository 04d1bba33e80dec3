"""Rules for udev that let users open debug probes and bootloaders, and what else gives the right."""

from __future__ import annotations

import sys
from pathlib import Path

from tinyops.device.flash.attached import Attached

RULES_FILE = "/etc/udev/rules.d/70-tinyops.rules"
_RELOAD = "sudo udevadm control --reload && sudo udevadm trigger"


def udev_rule(vendor: int, product: int) -> str:
    """The rule that gives whoever is logged in at the computer the USB device and its HID interface."""
    ids = f'ATTRS{{idVendor}}=="{vendor:04x}", ATTRS{{idProduct}}=="{product:04x}"'
    return f'SUBSYSTEM=="usb|hidraw", {ids}, MODE="0660", TAG+="uaccess"'


def permission_hint(device: Attached) -> str:
    """What to type so that this user may open the device."""
    if device.kind in ("serial", "uf2"):
        group = _group_of(device.node)
        return f"sudo usermod -aG {group or 'dialout'} $USER, then log in again"
    if not sys.platform.startswith("linux") or device.usb is None:
        return "run as a user who may open USB devices, or install the probe's driver"
    return f"echo '{udev_rule(*device.usb)}' | sudo tee -a {RULES_FILE} && {_RELOAD}, then plug it in again"


def _group_of(node: str | None) -> str | None:
    try:
        group = Path(node).group() if node else None
    except (OSError, KeyError):
        return None
    return None if group == "root" else group
