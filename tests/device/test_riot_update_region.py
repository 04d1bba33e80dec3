"""What the firmware itself has at the end of the flash, such as the CC2538's last bytes, by which it starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.device.test_riot_update import board, compiled, facts, planned  # noqa: F401  (a fixture)
from tinyops.device.riot.update import update_report
from tinyops.errors import TinyopsError
from tinyops.lower.compile import CompiledModel

REGION = 0x27_0000
MODULES = ("tinyops_update_flashpage",)

pytestmark = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")


def linked(folder: Path, special: int) -> Path:
    """Firmware with a section of its own, 44 bytes, at `special`."""
    source = folder / "start.c"
    source.write_text(
        'void _start(void) {}\n__attribute__((section(".flashcca"), used)) const unsigned char special[44] = {1};\n'
    )
    elf = folder / f"{special:x}.elf"
    where = ("-Wl,-Ttext=0x200000", f"-Wl,--section-start=.flashcca={special:#x}")
    symbol = f"-Wl,--defsym=_tinyops_update_region={REGION:#x}"
    subprocess.run(["arm-none-eabi-gcc", "-nostdlib", *where, symbol, source, "-o", elf], check=True)
    return elf


def test_firmware_with_bytes_in_the_region_is_refused(compiled: CompiledModel, tmp_path: Path) -> None:  # noqa: F811
    build, where = planned(compiled, board(), facts()), facts(modules=MODULES)
    end = REGION + build.region.nbytes
    for special in (REGION - 40, REGION, end - 44, end - 4):
        with pytest.raises(TinyopsError, match=f"44 B at {special:#010x}"):
            update_report(build, where, linked(tmp_path, special), tmp_path)
    for special in (REGION - 44, end):
        report = update_report(build, where, linked(tmp_path, special), tmp_path)
        assert report["region"]["address"] == REGION
