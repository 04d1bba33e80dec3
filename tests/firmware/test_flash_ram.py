"""The flash region of emulated boards, in QEMU and in unicorn, through resets of the machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device.test_update_build import SETTINGS
from tinyops.device.board import find_board
from tinyops.device.firmware import firmware_sources
from tinyops.device.route import UNICORN_CORES
from tinyops.device.toolchain import Unit, compile_objects, find_toolchain, link
from tinyops.device.update import plan_update
from tinyops.emit.capsule import build_capsule
from tinyops.emit.data_section import lay_out
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir

BOARDS = ("qemu-cortex-m0plus", "qemu-cortex-m3", "qemu-cortex-m4", "qemu-cortex-m7", "qemu-cortex-m33")
OTHERS = ("qemu-cortex-m55", "qemu-riscv32")
_MAIN = Path(__file__).with_name("flash_ram_check.c")


@pytest.mark.parametrize("name", [*BOARDS, *OTHERS])
def test_region_keeps_the_rules_and_outlasts_resets(name: str, tmp_path: Path) -> None:
    board = find_board(name)
    assert board.emulator is not None
    for program in (f"{board.toolchain.name}-gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    compiled = compile_model(data_dir("models") / "digits" / "digits.tflite", name="digits", by_structure=True)
    data = lay_out(compiled.program)
    update = plan_update(board, compiled.program, SETTINGS, data, build_capsule(compiled, data=data))
    firmware = firmware_sources(board, update=update)
    (tmp_path / "firmware.ld").write_text(str(firmware.linker_script_text))
    needed = ("to_slipmux", "to_text", "to_coap")
    sources = [path for path in firmware.sources if path.parent.name == "qemu" or path.stem in needed]
    toolchain = find_toolchain(board.toolchain)
    units = [Unit(path, (*firmware.cflags, "-Werror")) for path in (_MAIN, *sources)]
    objects = compile_objects(toolchain, units, tmp_path / "obj", include=firmware.include_dirs).objects
    program = tmp_path / "check.elf"
    link(toolchain, objects, program, flags=[*firmware.ldflags, "-T", str(tmp_path / "firmware.ld")])
    runs = [[board.emulator.program, *board.emulator.args, *_quiet(program)]]
    if board.processor.core in UNICORN_CORES and importlib.util.find_spec("unicorn"):
        runs.append([sys.executable, "-m", "tinyops.device.simulator", board.model_dump_json(), str(program)])
    for command in runs:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        assert done.returncode == 17, (command[0], done.stdout, done.stderr)


def _quiet(program: Path) -> list[str]:
    console = ["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
    return [*console, "-device", f"loader,file={program}"]
