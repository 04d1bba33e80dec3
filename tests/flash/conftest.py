"""Boards with fake programs that flash them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fake_flashers import Bench
from tinyops.device.board import find_board
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.choose import BACKENDS
from tinyops.device.flash.content import Part
from tinyops.device.flash.process import Progress

JLINK = Attached("jlink", "683000001", "SEGGER J-Link", (0x1366, 0x1051))
STLINK = Attached("stlink", "066BFF495087534867063622", "ST-LINK", (0x0483, 0x374B))
PORT = Attached("serial", "/dev/ttyUSB0", "CP2102N", (0x10C4, 0xEA60), "/dev/ttyUSB0")
DFU = Attached("dfu", "307A395A3036", "STM32 bootloader", (0x0483, 0xDF11))
RP = Attached("rp-boot", "E0C912952D54", "RP2350 in BOOTSEL mode", (0x2E8A, 0x000F), None, (1, 5))

#: Backend -> board, device, start and size of its flash, identification word of its chip.
SETUPS: dict[str, tuple[str, Attached, int, int, int]] = {
    "openocd": ("nrf52840dk", JLINK, 0, 1 << 20, 0x52840),
    "jlink": ("nrf52840dk", JLINK, 0, 1 << 20, 0x52840),
    "nrfutil": ("nrf52840dk", JLINK, 0, 1 << 20, 0x52840),
    "stm32cubeprogrammer": ("nucleo-f401re", STLINK, 0x0800_0000, 1 << 19, 0x1000_6433),
    "esptool": ("esp32c3-devkit", PORT, 0, 1 << 22, 0),
    "dfu-util": ("nucleo-f767zi", DFU, 0x0800_0000, 1 << 21, 0),
    "picotool": ("rpi-pico2", RP, 0x1000_0000, 1 << 22, 0),
}


@dataclass
class Setup:
    """A backend with its board, and the bench that stands for both program and board."""

    backend: Backend
    device: Attached
    bench: Bench

    def parts(self) -> tuple[Part, ...]:
        """Two parts with random bytes, one at the start of the flash."""
        draw = random.Random(self.bench.origin + 1)
        origin = self.bench.origin
        return Part(origin, draw.randbytes(5000)), Part(origin + 0x4_0000, draw.randbytes(300))

    def write(self, job: Job, progress: Progress = lambda _: None) -> Verified:
        return self.backend.write(self.device, job, progress)

    def holds(self, parts: tuple[Part, ...]) -> bool:
        return all(self.bench.at(part.address, len(part.data)) == part.data for part in parts)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Setup]:
    """`setup(backend)`: its program is on the PATH, and nothing else but what the system has."""

    def make(name: str) -> Setup:
        board, device, origin, size, chip = SETUPS[name]
        bench = Bench(tmp_path / name, origin, size, chip, device.id)
        bench.install(name)
        monkeypatch.setenv("PATH", f"{bench.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        return Setup(BACKENDS[name](find_board(board)), device, bench)  # type: ignore[index]

    return make
