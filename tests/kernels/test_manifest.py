"""The manifest, the folder and the sources agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinyops.errors import TinyopsError
from tinyops.kernels import kernel, kernel_files, kernels, library_texts, needs_libm, read_manifest

FOLDER = kernel("to_mean_any_s8_c").files[-1].parents[1]
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
NAMES = sorted(kernels())


def _included(path: Path) -> set[Path]:
    found: set[Path] = set()
    for name in INCLUDE.findall(path.read_text()):
        found |= {path.parent / name} | _included(path.parent / name)
    return found


def test_every_file_is_described() -> None:
    described = set(kernel_files(NAMES))
    assert described == {p for p in FOLDER.rglob("*") if p.suffix in {".c", ".h", ".S", ".s", ".inc"}}
    assert all(path.is_file() for path in described)


@pytest.mark.parametrize("name", NAMES)
def test_needs_are_the_includes(name: str) -> None:
    entry = kernel(name)
    header, source = FOLDER / entry.header, FOLDER / entry.source
    assert {FOLDER / need for need in entry.needs} == _included(source) - {header}


@pytest.mark.parametrize("name", NAMES)
def test_assembly_is_what_the_kernel_calls(name: str) -> None:
    """Every global function of its assembly, and what that includes."""
    entry = kernel(name)
    files = [FOLDER / file for file in entry.assembly]
    text = "".join(path.read_text() for path in entry.files if path.suffix in {".c", ".h"})
    for path in files:
        assert all(function in text for function in re.findall(r"\.global (\w+)", path.read_text()))
    included = {name for path in files for name in re.findall(r'\.include "([^"]+)"', path.read_text())}
    assert included == {path.name for path in files if path.suffix == ".inc"}


def test_assembly_becomes_c() -> None:
    texts = library_texts(NAMES)
    assert {path.suffix for path in map(Path, texts)} == {".c", ".h"}
    wrapped = texts["to_gemm_s8_armv7em.c"]
    assert wrapped.startswith("__asm__(")
    assert ".include" not in wrapped
    assert '".macro to_short' in wrapped.replace('"    .macro', '".macro')


@pytest.mark.parametrize("name", NAMES)
def test_header_declares_the_kernel(name: str) -> None:
    entry = kernel(name)
    text = (FOLDER / entry.header).read_text()
    assert len(re.findall(rf"\bvoid {name}\(const {entry.params_type} \*p, ", text)) == 1
    assert "Canonical order:" in text
    assert "restrict" not in text


@pytest.mark.parametrize("path", kernel_files(NAMES), ids=lambda path: path.name)
def test_includes_nothing_but_fixed_width_types_memcpy_and_libm(path: Path) -> None:
    assert _system_headers(path) <= {"stdint.h", "string.h", "math.h"}


def _system_headers(path: Path) -> set[str]:
    return set(re.findall(r"#include <([^>]+)>", path.read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_libm_is_stated(name: str) -> None:
    """Only float kernels may use it."""
    uses = any("math.h" in _system_headers(path) for path in kernel(name).files)
    assert kernel(name).libm == needs_libm([name]) == uses
    assert "_f32_" in name or not uses


def test_files_of_several_kernels_are_listed_once() -> None:
    files = kernel_files(["to_conv2d_any_s8_c", "to_conv2d_1x1_s8_c", "to_conv2d_any_s8_c"])
    assert len(files) == len(set(files))
    assert [path.name for path in files].count("to_requant.h") == 1
    assert [path for path in files if path.suffix == ".c"] == [
        FOLDER / "c/to_conv2d_1x1_s8_c.c",
        FOLDER / "c/to_conv2d_any_s8_c.c",
    ]


def test_unknown_kernel() -> None:
    with pytest.raises(TinyopsError, match="no kernel to_fft_any_s8_c") as caught:
        kernel("to_fft_any_s8_c")
    assert "to_add_any_s8_c" in str(caught.value)


ENTRY = """[[kernel]]
name = "to_a_any_s8_c"
op = "A"
isa = "c"
params_type = "to_a_s8_params"
header = "c/to_a_any_s8_c.h"
source = "c/to_a_any_s8_c.c"
needs = []
summary = "a"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY + ENTRY, "described twice"),
        (ENTRY.replace('op = "A"\n', ""), "op"),
        (ENTRY + 'extra = "b"\n', "extra"),
        (ENTRY.replace("c/to_a_any_s8_c.h", "../to_a_any_s8_c.h"), "not a file in a folder"),
        (ENTRY.replace('"c/to_a_any_s8_c.c"', '"c/to_b_any_s8_c.c"'), "named after the kernel"),
        (ENTRY.replace('isa = "c"', 'isa = "armv7em"'), "instruction set _armv7em"),
        ("[[kernel", "cannot be read"),
    ],
)
def test_malformed_manifest(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(TinyopsError, match=message):
        read_manifest(path)


def test_well_formed_manifest(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(ENTRY)
    assert list(read_manifest(path)) == ["to_a_any_s8_c"]
