"""The memories in which firmware on RIOT keeps its models (firmware/riot/modules/tinyops_update), compiled with
declarations of our own in place of RIOT's headers: a processor's flash, a memory device, files. Each is erased, written
and read as RIOT's drivers demand it, and updates on it survive a cut at every operation."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.storage import Cut
from tinyops.resources import data_dir

HERE = Path(__file__).resolve().parent
MODULE = data_dir("firmware") / "riot" / "modules" / "tinyops_update"
MEMORIES: Mapping[str, tuple[str, ...]] = {
    "flashpage": ("MEMORY_FLASHPAGE",),
    "custom_pages": ("MEMORY_FLASHPAGE", "TEST_CUSTOM_PAGES"),
    "mtd": ("MEMORY_MTD", "CONFIG_TINYOPS_UPDATE_MTD=1", "CONFIG_TINYOPS_UPDATE_MTD_OFFSET=1024"),
    "vfs": ("MEMORY_VFS",),
}
#: Erase and write units of the region, in bytes: one of the memory's own or several.
UNITS = {"flashpage": (1024, 16), "custom_pages": (4096, 8), "mtd": (512, 8), "vfs": (512, 4)}
FLAGS = ("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wundef", "-Werror")


def region_bytes(memory: str) -> int:
    """Two journal pages of one unit, and two banks of two."""
    erase, write = UNITS[memory]
    slot = -(-156 // write) * write + write
    return 2 * (-(-4 * slot // erase) * erase + 2 * erase)


def command(memory: str, compiler: str, source: Path, **units: int) -> list[str]:
    """To compile with the memory's sizes, or those of `units`."""
    erase, write = UNITS[memory]
    sizes = {"REGION": region_bytes(memory), "ERASE": erase, "WRITE": write} | units
    folders = (
        *(data_dir("firmware") / part for part in ("common/include", "host")),
        *(MODULE, MODULE / "include", HERE.parent / "support" / "riot_headers"),
    )
    return [
        *(compiler, *FLAGS, "-DTO_UPDATABLE"),
        *(f"-DTO_FLASH_{name}_BYTES={size}u" for name, size in sizes.items()),
        *(f"-D{name}" for name in MEMORIES[memory]),
        *(f"-I{folder}" for folder in folders),
        str(source),
    ]


def driver(memory: str) -> Path:
    return MODULE / f"flash_{'flashpage' if memory == 'custom_pages' else memory}.c"


@functools.cache
def tool(memory: str) -> ctypes.CDLL:
    """The driver on a simulated memory, in this process, with undefined behaviour fatal."""
    compiler = shutil.which("gcc") or shutil.which("clang") or pytest.skip("neither gcc nor clang is installed")
    common = data_dir("firmware") / "common" / "src"
    sources = [driver(memory), data_dir("firmware") / "host" / "flash_file.c"]
    sources += [common / f"to_{part}.c" for part in ("banks", "journal", "sha256")]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "memory.so"
        built = subprocess.run(
            [
                *command(memory, compiler, HERE / "riot_update_tool.c"),
                *map(str, sources),
                *("-fPIC", "-shared", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-o", str(target)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stderr
        loaded = ctypes.CDLL(str(target))
    loaded.memory_bytes.restype = ctypes.POINTER(ctypes.c_uint8)
    loaded.cut_update.argtypes = [ctypes.c_uint32, ctypes.c_int, ctypes.c_int, ctypes.c_uint64]
    return loaded


@pytest.fixture(params=MEMORIES)
def memory(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    tool(name).memory_new()
    return name


def content(memory: str, offset: int, size: int) -> bytes:
    return bytes(tool(memory).memory_bytes()[offset : offset + size])


def test_an_erase_and_a_write_are_seen_at_once_and_after_a_restart(memory: str) -> None:
    erase, write = UNITS[memory]
    used = tool(memory)
    assert used.memory_open() == 1
    for unit in range(region_bytes(memory) // erase):
        assert used.memory_erase(unit * erase) == 0
    data = bytes(range(1, 256)) * 17
    data = data[: (len(data) // write - 1) * write][: 2 * erase - write]
    assert used.memory_write(write, b"?" + data, len(data)) == 0  # `data` need not be aligned to more than a byte
    for _ in range(2):
        assert content(memory, 0, write + len(data)) == b"\xff" * write + (b"?" + data)[: len(data)]
        assert used.memory_open() == 1
    assert used.memory_erase(0) == 0
    assert content(memory, 0, erase) == b"\xff" * erase
    assert content(memory, erase, write) == (b"?" + data)[erase - write : erase]
    assert used.memory_violations() == 0


def test_what_is_no_whole_unit_of_the_region_is_refused(memory: str) -> None:
    erase, write = UNITS[memory]
    used, end = tool(memory), region_bytes(memory)
    assert used.memory_open() == 1
    for offset in (write, erase - 1, end, end + erase, 2**32 - erase):
        assert used.memory_erase(offset) != 0, offset
    data = bytes(2 * write)
    for offset, size in ((1, write), (0, write - 1), (end, write), (end - write, 2 * write), (2**32 - write, write)):
        assert used.memory_write(offset, data, size) != 0, (offset, size)
    assert used.memory_violations() == 0


def test_a_memory_that_fails_is_noticed(memory: str) -> None:
    used, (_, write) = tool(memory), UNITS[memory]
    assert used.memory_open() == 1
    for unit in range(region_bytes(memory) // UNITS[memory][0]):
        assert used.memory_erase(unit * UNITS[memory][0]) == 0
    used.memory_fail()
    assert used.memory_write(0, bytes(range(write)), write) != 0
    used.memory_new()
    assert used.memory_open() == 1
    assert used.memory_write(0, bytes(range(write)), write) == 0
    used.memory_fail()
    assert used.memory_erase(0) != 0


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.TORN, Cut.AFTER])
def test_an_update_survives_a_cut_at_every_operation(memory: str, cut: Cut) -> None:
    cuts = 0
    for at in range(1, 10_000):
        for torn in range(7 if cut is Cut.TORN else 1):
            result = tool(memory).cut_update(at, cut, torn, 1 + 31 * at + torn)
            assert result in (0, 1), f"cut {at}, {torn}: {result}"
            cuts += result
        if result == 0:
            break
    else:
        raise AssertionError("the update does not end")
    assert cuts > 20


def test_a_memory_device_that_does_not_fit_is_refused() -> None:
    used, region = tool("mtd"), region_bytes("mtd") + 1024
    fits = (region // 256, 256, 4, 0, 2)
    for sectors, sector, write, silent, count in (
        (region // 256 - 1, 256, 4, 0, 2),
        (region, 3 * 256, 4, 0, 2),
        (2, 2048, 4, 0, 2),
        (region // 256, 256, 32, 0, 2),
        (region // 256, 256, 0, 0, 2),
        (region // 256, 256, 4, 1, 2),
        (region // 256, 256, 4, 0, 1),
        (0, 0, 0, 1, 2),
    ):
        used.memory_new()
        used.device_is(sectors, sector, write, silent, count)
        before = used.memory_refusals()
        assert used.memory_open() == 0, (sectors, sector, write, silent, count)
        assert used.memory_refusals() == before + 1
    used.device_is(*fits)
    assert used.memory_open() == 1


def test_files_that_cannot_be_opened_are_said() -> None:
    used = tool("vfs")
    used.memory_new()
    used.disk_is_missing(1)
    before = used.memory_refusals()
    assert (used.memory_open(), used.memory_refusals()) == (0, before + 1)
    used.disk_is_missing(0)
    assert used.memory_open() == 1


@pytest.mark.parametrize(
    ("memory", "units", "message"),
    [
        ("mtd", {"REGION": 3 * 512}, "TINYOPS_UPDATE_REGION_BYTES"),
        ("mtd", {"REGION": 5 * 512}, "TINYOPS_UPDATE_REGION_BYTES"),
        ("mtd", {"WRITE": 48}, "TINYOPS_UPDATE_WRITE_BYTES"),
        ("mtd", {"WRITE": 64}, "TINYOPS_UPDATE_WRITE_BYTES"),
        ("flashpage", {"ERASE": 768, "REGION": 6 * 768, "WRITE": 8}, "erase_units_are_whole_pages"),
        ("flashpage", {"WRITE": 4}, "write_units_are_whole_blocks"),
    ],
)
def test_sizes_that_no_region_can_have_are_refused_by_the_compiler(
    memory: str, units: dict[str, int], message: str
) -> None:
    compiler = shutil.which("gcc") or pytest.skip("gcc is not installed")
    line = [*command(memory, compiler, driver(memory), **units), "-fsyntax-only"]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert message in result.stderr
