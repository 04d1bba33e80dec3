"""Toolchains: found or explained, objects cached by content, programs linked and measured."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tinyops.device import toolchain
from tinyops.device.board import Memory, Toolchain
from tinyops.device.elf import elf_sections, elf_symbols, memory_use
from tinyops.device.image import write_image
from tinyops.device.toolchain import InstalledToolchain, Unit, compile_objects, find_toolchain, link
from tinyops.errors import DeviceError, MissingToolError, TinyopsError

FLASH = Memory(origin=0x0000_0000, bytes=65536)
RAM = Memory(origin=0x2000_0000, bytes=8192)
LINKER_SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 64K  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 8K }
ENTRY(start)
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
    .data : { *(.data*) } > RAM AT > FLASH
    .bss (NOLOAD) : { *(.bss*) } > RAM
    .stack (NOLOAD) : { . = . + 1024; } > RAM
    /DISCARD/ : { *(.ARM.exidx*) *(.comment) }
}
"""
FIRMWARE = """
#include "size.h"
const char table[TABLE] = {1};
int counter = 7;
static volatile char buffer[400];
void start(void);
void start(void) { for (;;) { buffer[counter & 63] = table[counter & 15]; counter++; } }
__attribute__((section(".vectors"), used)) static void (*const reset)(void) = start;
"""


@pytest.fixture
def host() -> InstalledToolchain:
    if not any(map(shutil.which, ("gcc", "cc", "clang"))):
        pytest.skip("no C compiler on this computer")
    return find_toolchain(Toolchain(name="host"))


@pytest.fixture
def arm() -> InstalledToolchain:
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("no compiler for Cortex-M on this computer")
    return find_toolchain(Toolchain(name="arm-none-eabi", flags=("-mcpu=cortex-m4", "-mthumb")))


def write(folder: Path, **files: str) -> list[Path]:
    paths = [folder / name.replace("_c", ".c").replace("_h", ".h") for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(text)
    return paths


def test_host_toolchain_is_found(host: InstalledToolchain) -> None:
    assert host.cc.is_file()
    assert any(character.isdigit() for character in host.version)


def test_cc_names_the_host_compiler(host: InstalledToolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{host.cc} -DEXTRA=1")
    found = find_toolchain(Toolchain(name="host", flags=("-O1",)))
    assert found.cc == host.cc
    assert found.flags == ("-DEXTRA=1", "-O1")


def test_bad_cc_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(MissingToolError, match="no-such-compiler") as error:
        find_toolchain(Toolchain(name="host"))
    assert error.value.hint == "unset CC"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("arm-none-eabi", "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("riscv64-unknown-elf", "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
        ("host", "apt-get install gcc"),
        ("xtensa-esp-elf", "Espressif"),
        ("riscv32-esp-elf", "Espressif"),
    ],
)
def test_missing_toolchain_names_the_package(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find_zig", lambda: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(MissingToolError) as error:
        find_toolchain(Toolchain.model_validate({"name": name}))
    assert package in str(error.value.hint)
    assert ("tinyops[sim]" in str(error.value.hint)) == (name in ("host", "arm-none-eabi"))


def test_cached_objects_equal_compiled_ones(host: InstalledToolchain, tmp_path: Path) -> None:
    sources = write(tmp_path, one_c='#include "h.h"\nint one(void) { return VALUE; }\n', two_c="int two = 2;\n")
    write(tmp_path, h_h="#define VALUE 1\n")
    units = [sources[0], Unit(sources[1], ("-O2",))]
    cache = tmp_path / "cache"

    first = compile_objects(host, units, tmp_path / "a", include=[tmp_path], cache=cache)
    second = compile_objects(host, units, tmp_path / "b", include=[tmp_path], cache=cache)
    assert (first.cached, second.cached) == (0, 2)
    assert [path.name for path in second.objects] == ["one.o", "two.o"]
    assert [path.read_bytes() for path in first.objects] == [path.read_bytes() for path in second.objects]


@pytest.mark.parametrize("change", ["header", "source", "macro", "unit flag", "shadowing header"])
def test_a_change_is_compiled_again(host: InstalledToolchain, tmp_path: Path, change: str) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    (source,) = write(tmp_path, one_c="#include <h.h>\nint one(void) { return VALUE + EXTRA; }\n")
    write(after, h_h="#define VALUE 1\n")
    flags, own = ["-DEXTRA=1"], Unit(source)

    def build() -> int:
        return compile_objects(
            host, [own], tmp_path / "o", flags=flags, include=[before, after], cache=tmp_path / "c"
        ).cached

    assert (build(), build()) == (0, 1)
    if change == "header":
        write(after, h_h="#define VALUE 2\n")
    elif change == "source":
        source.write_text(source.read_text().replace("VALUE +", "VALUE -"))
    elif change == "macro":
        flags = ["-DEXTRA=2"]
    elif change == "unit flag":
        own = Unit(source, ("-O3",))
    else:
        write(before, h_h="#define VALUE 3\n")
    assert (build(), build()) == (0, 1)


def test_objects_of_one_stem_do_not_collide(host: InstalledToolchain, tmp_path: Path) -> None:
    for name, value in (("x", 1), ("y", 2)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, same_c=f"int {name}(void) {{ return {value}; }}\n")
    sources = [tmp_path / name / "same.c" for name in ("x", "y")]
    objects = compile_objects(host, sources, tmp_path / "o", cache=tmp_path / "c").objects
    assert len({path.read_bytes() for path in objects}) == 2


def test_warnings_are_shown_every_time(host: InstalledToolchain, tmp_path: Path) -> None:
    (source,) = write(tmp_path, one_c="int one(void) { int unused; return 1; }\n")
    for _ in range(2):
        result = compile_objects(host, [source], tmp_path / "o", flags=["-Wall"], cache=tmp_path / "c")
        assert result.cached == 0
        assert "unused" in result.warnings


@pytest.mark.parametrize("text", ["int one(void) { return missing; }\n", '#include "absent.h"\n'])
def test_compile_error_shows_text_and_command(host: InstalledToolchain, tmp_path: Path, text: str) -> None:
    (source,) = write(tmp_path, one_c=text)
    with pytest.raises(TinyopsError) as error:
        compile_objects(host, [source], tmp_path / "o", cache=tmp_path / "c")
    assert error.value.where == str(source)
    assert "missing" in error.value.what or "absent.h" in error.value.what
    assert f"command: {host.cc}" in error.value.what
    assert not list((tmp_path / "o").iterdir()), "nothing half-written is left"


def test_a_cache_that_cannot_be_written_is_no_failure(host: InstalledToolchain, tmp_path: Path) -> None:
    (source,) = write(tmp_path, one_c="int one = 1;\n")
    blocked = tmp_path / "file"
    blocked.write_text("")
    for _ in range(2):
        result = compile_objects(host, [source], tmp_path / "o", cache=blocked)
        assert result.cached == 0
        assert result.objects[0].is_file()


def test_warm_build_is_fast(host: InstalledToolchain, tmp_path: Path) -> None:
    body = "".join(f"int f{i}(int x) {{ return x * {i} + (x >> {i % 31}); }}\n" for i in range(100))
    sources = write(tmp_path, **{f"s{k}_c": body.replace("int f", f"int s{k}_") for k in range(8)})
    cache = tmp_path / "c"
    compile_objects(host, sources, tmp_path / "o", flags=["-O3"], cache=cache)
    start = time.monotonic()
    assert compile_objects(host, sources, tmp_path / "p", flags=["-O3"], cache=cache).cached == 8
    assert time.monotonic() - start < 2


def _firmware(arm: InstalledToolchain, folder: Path, table: int = 500) -> Path:
    (source,) = write(folder, firmware_c=FIRMWARE)
    write(folder, size_h=f"#define TABLE {table}\n")
    script = folder / "link.ld"
    script.write_text(LINKER_SCRIPT)
    objects = compile_objects(arm, [source], folder / "o", flags=["-Os"], include=[folder], cache=folder / "c").objects
    program = folder / "firmware.elf"
    link(arm, objects, program, flags=["-nostdlib", f"-T{script}"])
    return program


def test_memory_use_follows_section_addresses(arm: InstalledToolchain, tmp_path: Path) -> None:
    program = _firmware(arm, tmp_path)
    sections = {section.name: section for section in elf_sections(program)}
    assert sections[".data"].address == RAM.origin
    assert sections[".data"].load_address < FLASH.bytes
    use = memory_use(program, FLASH, RAM)
    assert use.ram_sections == {".data": 4, ".bss": 400, ".stack": 1024}
    assert use.ram_bytes == 1428
    assert set(use.flash_sections) == {".text", ".data"}
    assert use.flash_bytes == sections[".text"].size + 4
    assert use.flash_bytes > 500


def test_symbols_come_largest_first(arm: InstalledToolchain, tmp_path: Path) -> None:
    symbols = elf_symbols(_firmware(arm, tmp_path))
    assert [(s.name, s.size, s.section, s.kind) for s in symbols[:2]] == [
        ("table", 500, ".text", "object"),
        ("buffer", 400, ".bss", "object"),
    ]
    assert any(s.name == "start" and s.kind == "function" for s in symbols)


def test_section_outside_of_the_memories_is_an_error(arm: InstalledToolchain, tmp_path: Path) -> None:
    program = _firmware(arm, tmp_path)
    with pytest.raises(DeviceError, match=r"section \.text") as error:
        memory_use(program, Memory(origin=0x0800_0000, bytes=65536), RAM)
    assert "0x8000000" in str(error.value.allowed)


def test_images_equal_those_of_objcopy(arm: InstalledToolchain, tmp_path: Path) -> None:
    program = _firmware(arm, tmp_path)
    for form, bfd in (("bin", "binary"), ("hex", "ihex")):
        image, reference = tmp_path / f"firmware.{form}", tmp_path / f"reference.{form}"
        write_image(program, image, form)
        subprocess.run(["arm-none-eabi-objcopy", "-O", bfd, program, reference], check=True)
        wanted = reference.read_bytes().replace(b"\r\n", b"\n")
        if form == "hex":  # the start address is a record of objcopy's alone: types 03 and 05
            wanted = b"".join(line for line in wanted.splitlines(True) if line[7:9] not in (b"03", b"05"))
        assert image.read_bytes() == wanted
    assert image.read_text().splitlines()[-1] == ":00000001FF"


def test_an_image_has_a_bound(host: InstalledToolchain, tmp_path: Path) -> None:
    (source,) = write(tmp_path, far_c='__attribute__((section(".far"))) int far = 1;\nint main(void) { return far; }\n')
    objects = compile_objects(host, [source], tmp_path / "o", cache=tmp_path / "c").objects
    link(host, objects, tmp_path / "far", flags=["-no-pie", "-Wl,--section-start=.far=0x60000000"])
    with pytest.raises(DeviceError, match="apart"):
        write_image(tmp_path / "far", tmp_path / "far.bin", "bin")
    assert not (tmp_path / "far.bin").exists()


def test_overflow_of_a_memory_is_told_in_bytes(arm: InstalledToolchain, tmp_path: Path) -> None:
    with pytest.raises(TinyopsError, match=r"FLASH is too small by \d+ bytes"):
        _firmware(arm, tmp_path, table=70_000)
    assert not (tmp_path / "firmware.elf").exists()


def test_host_program_is_measured_by_flags(host: InstalledToolchain, tmp_path: Path) -> None:
    (source,) = write(
        tmp_path, main_c="static char buffer[5000];\nint main(int n, char **v) { return v && buffer[n]; }\n"
    )
    program = tmp_path / "main"
    objects = compile_objects(host, [source], tmp_path / "o", cache=tmp_path / "c").objects
    link(host, objects, program)
    use = memory_use(program, None, None)
    assert use.ram_sections[".bss"] >= 5000
    assert ".text" in use.flash_sections
    assert ".bss" not in use.flash_sections


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"not an ELF file at all", b"\x7fELF\x01\x01\x01" + b"\xff" * 200]
)
def test_a_file_that_is_no_elf_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.elf"
    path.write_bytes(content)
    for read in (elf_sections, elf_symbols):
        with pytest.raises(DeviceError, match="not a sound ELF file") as error:
            read(path)
        assert error.value.where == str(path)


def test_an_absent_elf_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be read"):
        elf_sections(tmp_path / "absent.elf")
