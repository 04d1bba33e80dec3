"""Applications of RIOT for real boards: they build, they fit, and their sizes come from the ELF's sections."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.riot_builds import riot_build
from tinyops.device.elf import elf_sections, loaded_parts
from tinyops.device.riot.application import probe_application
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import RiotSettings, find_target
from tinyops.device.riot.facts import read_facts
from tinyops.device.riot.packages import compiler_of
from tinyops.errors import MissingToolError
from tinyops.resources import data_dir

pytestmark = [pytest.mark.riot, pytest.mark.slow]

BOARDS = ("nrf52840dk", "nrf52dk", "samr21-xpro", "nucleo-f401re", "b-l475e-iot01a", "nucleo-f767zi", "hifive1b")
MODEL = data_dir("models") / "motions" / "motions.tflite"


@pytest.mark.parametrize("name", BOARDS)
def test_real_boards(riot_base: RiotBase, name: str, tmp_path: Path) -> None:
    build = riot_build(riot_base, name, MODEL, tmp_path / "build")
    memory, board = build.report["memory"], build.board
    assert board.flash is not None
    assert board.ram is not None
    assert memory["flash_available_bytes"] == board.flash.bytes
    assert memory["ram_available_bytes"] == board.ram.bytes
    allocated = [section for section in elf_sections(build.elf) if section.alloc]
    loaded = sum(section.size for section in allocated if section.loaded)
    assert memory["flash_bytes"] == loaded <= board.flash.bytes
    in_ram = [s for s in allocated if board.ram.origin <= s.address < board.ram.origin + board.ram.bytes]
    assert memory["ram_bytes"] == sum(section.size for section in in_ram) <= board.ram.bytes
    assert memory["ram_bytes"] > memory["arena_bytes"]
    first, content = loaded_parts(build.elf)[0]
    assert first == board.flash.origin
    assert build.bin is not None
    assert build.bin.read_bytes().startswith(content)
    assert build.report["stack"]["model_frame_bytes"] > 0
    assert build.report["stack"]["unbounded"] == []
    assert build.report["os"]["board"] == name


@pytest.mark.parametrize("name", ["esp32-wroom-32", "esp32c3-devkit"])
def test_what_no_compiler_is_installed_for_is_refused(riot_base: RiotBase, name: str) -> None:
    with probe_application(riot_base, name) as make:
        program = compiler_of(read_facts(make))
    if shutil.which(program) is not None:
        pytest.skip(f"{program} is installed")
    with pytest.raises(MissingToolError, match=f"its compiler {program} is not installed") as error:
        find_target(RiotSettings(riot_base, name), None)
    assert error.value.hint
