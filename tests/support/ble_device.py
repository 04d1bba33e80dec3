"""The device's side of Bluetooth as a process: tinyops' modules for RIOT and NimBLE, joined to a whole firmware.

RIOT's kernel is tests/firmware/riot_threads.c, NimBLE is tests/firmware/riot_nimble.c and riot_ble_tool.c, which says
how the air is written down.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.riot_modules import CONFIG, HEADERS
from tinyops.device.build import Build
from tinyops.device.firmware import firmware_sources
from tinyops.resources import data_dir

_HERE = Path(__file__).resolve().parent.parent / "firmware"
_DEVICE = ("device", "links", "port", "serve", "thread", "counter_none")
_OPTIONS = {
    "CONFIG_TINYOPS_BLE_NAME": '"tinyops"',
    "CONFIG_TINYOPS_BLE_INBOX": 2,
    "CONFIG_TINYOPS_BLE_SEND_MS": 500,
    "CONFIG_TINYOPS_BLE_START_MANUALLY": 0,
    "CONFIG_TINYOPS_L2CAP_PSM": "0x00C0",
    "MYNEWT_VAL_BLE_ATT_PREFERRED_MTU": 517,
    "MODULE_NIMBLE_AUTOADV": 1,
    "MODULE_TINYOPS_GATT": 1,
    "MODULE_TINYOPS_L2CAP": 1,
}
_FLAGS = ("-g", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def build_ble_device(build: Build, folder: Path) -> Path:
    """The program of a finished build of updatable firmware for the board host, with Bluetooth in place of UDP."""
    cc, ar = (shutil.which(name) or pytest.skip(f"{name} is not installed") for name in ("gcc", "ar"))
    firmware = data_dir("firmware")
    host = {path.stem for path in (firmware / "host").glob("*.c")} - {"flash_file"}
    library = folder / "libcore.a"
    objects = [path for path in sorted((build.folder / "obj").glob("*.o")) if path.stem not in host]
    subprocess.run([ar, "rcs", library, *objects], check=True)
    modules = firmware / "riot" / "modules"
    sources = [
        *(modules / "tinyops_device" / f"{name}.c" for name in _DEVICE),
        *(modules / "tinyops_ble" / f"{name}.c" for name in ("start", "messages")),
        *(modules / f"tinyops_{name}" / f"tinyops_{name}.c" for name in ("gatt", "l2cap")),
        *(_HERE / f"riot_{name}.c" for name in ("threads", "nimble", "ble_tool")),
    ]
    folders = [
        firmware / "common" / "include",
        firmware / "host",
        *(modules / "tinyops_device" / name for name in ("", "include")),
        *(modules / f"tinyops_{name}" / "include" for name in ("ble", "gatt", "l2cap")),
        HEADERS,
    ]
    described = firmware_sources(build.board, update=build.update)
    own = {name: value for name, value in CONFIG.items() if name.startswith("CONFIG_")} | _OPTIONS
    program = folder / "ble-device.elf"
    command = [
        *(cc, *build.board.toolchain.flags, *described.cflags, "-std=gnu11", "-D_GNU_SOURCE", *_FLAGS),
        *(f"-D{name}={value}" for name, value in own.items()),
        *(f"-I{path}" for path in folders),
        *map(str, sources),
        *("-o", str(program), str(library), "-lpthread", "-lm"),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program
