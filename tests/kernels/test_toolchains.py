"""Every compiler takes the kernels without a warning, and they bring nothing but code and constants."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels.harness import STRICT
from tinyops.kernels import kernel_files, needs_libm, portable_kernels

pytestmark = pytest.mark.slow

ARM = ["arm-none-eabi-gcc", "-mthumb"]
RISCV = ["riscv64-unknown-elf-gcc", "--specs=picolibc.specs"]
COMPILERS = {
    "gcc": ["gcc"],
    "clang": ["clang"],
    "cortex-m0plus": [*ARM, "-mcpu=cortex-m0plus"],
    "cortex-m4": [*ARM, "-mcpu=cortex-m4"],
    "riscv32": [*RISCV, "-march=rv32imc", "-mabi=ilp32"],
}
SOURCES = [path for path in kernel_files(portable_kernels()) if path.suffix == ".c"]
TEXT_LIMIT_BYTES = 8192
KERNEL_LIMIT_BYTES = 2048
COMMON = (
    "to_add_any_s8_c",
    "to_average_pool2d_any_s8_c",
    "to_conv2d_1x1_s8_c",
    "to_conv2d_any_s8_c",
    "to_copy_any_b_c",
    "to_depthwise_conv2d_any_s8_c",
    "to_fully_connected_any_s8_c",
    "to_lut_any_8_c",
    "to_max_pool2d_any_s8_c",
    "to_mean_any_s8_c",
    "to_pad_any_b_c",
    "to_softmax_any_s8_c",
)


def _compile(board: str, folder: Path, *flags: str) -> list[Path]:
    command = COMPILERS[board]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [*command, *STRICT, *flags, "-c", *map(str, SOURCES)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [folder / f"{source.stem}.o" for source in SOURCES]


@pytest.mark.parametrize("board", COMPILERS)
@pytest.mark.parametrize("optimization", ["-O2", "-Os"])
def test_no_warnings(board: str, optimization: str, tmp_path: Path) -> None:
    assert all(path.is_file() for path in _compile(board, tmp_path, optimization))


def _symbols(objects: list[Path]) -> set[tuple[str, str]]:
    """(kind, name) of each symbol, as nm prints them; no name stands for a defined one's address."""
    listing = subprocess.run(
        ["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout
    words = [line.split() for line in listing.splitlines() if line and not line.endswith(":")]
    return {(word[-2], word[-1]) for word in words}


#: What a kernel that says `libm = true` may call.
_LIBM = {"ceilf", "cosf", "erff", "expf", "floor", "floorf", "fmodf", "logf", "powf", "sinf", "sqrtf", "tanhf"}


@pytest.mark.parametrize("board", ["cortex-m0plus", "cortex-m4"])
def test_links_against_memcpy_libm_and_the_compiler_alone(board: str, tmp_path: Path) -> None:
    objects = _compile(board, tmp_path, "-O2")
    for path in objects:
        undefined = {name for kind, name in _symbols([path]) if kind == "U" and not name.startswith("__")}
        assert undefined <= {"memcpy", "memset"} | (_LIBM if needs_libm([path.stem]) else set()), path.stem
    symbols = _symbols(objects)
    assert {kind for kind, _ in symbols} <= {"T", "t", "R", "r", "U"}
    assert {name for kind, name in symbols if kind == "T"} == set(portable_kernels())


def test_code_size(tmp_path: Path) -> None:
    """On Cortex-M4: the int8 kernels of common networks together, and each other kernel alone; no variables."""
    objects = _compile("cortex-m4", tmp_path, "-O2")
    listing = subprocess.run(
        ["arm-none-eabi-size", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()[1:]]
    sizes = {Path(row[5]).stem: int(row[0]) for row in rows}
    assert all(row[1] == row[2] == "0" for row in rows)
    assert sum(sizes[name] for name in COMMON) < TEXT_LIMIT_BYTES
    assert {name: size for name, size in sizes.items() if size > KERNEL_LIMIT_BYTES} == {}
