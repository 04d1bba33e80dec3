"""The emitted library, as an embedded engineer gets it: alone in a folder, with its own build files and test."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.reference_models import all_models, own_models
from tests.support.semihosted import CORTEX_M4, RISCV32, Target
from tinyops.emit.c import emit_binding, emit_library, library_sources
from tinyops.emit.files import write_files
from tinyops.emit.golden import make_golden
from tinyops.lower.compile import CompiledModel, compile_model

_STRICT = "-O2 -Werror -Wshadow -Wstrict-prototypes -Wsign-conversion -pedantic"
_SANITIZED = "-O1 -g -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
_ARM = "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 -Werror"
_RISCV = "-march=rv32imc -mabi=ilp32 -O2 -Werror --specs=picolibc.specs"


def _emit(path: Path, folder: Path, steps: int = 4) -> CompiledModel:
    compiled = compile_model(path, name=path.stem)
    write_files(folder, emit_library(compiled.program, make_golden(compiled.model, steps)))
    return compiled


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_own_test_passes_under_sanitizers(path: Path, tmp_path: Path) -> None:
    _emit(path, tmp_path)
    done = _make(tmp_path, "test", f"CFLAGS={_SANITIZED}", "LDFLAGS=-fsanitize=address,undefined")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "0 mismatching bytes: passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_host_compilers_are_silent(path: Path, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    _emit(path, tmp_path)
    done = _make(tmp_path, "test", f"CC={compiler}", f"CFLAGS={_STRICT}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "warning" not in done.stderr
    assert "0 mismatching bytes: passed" in done.stdout


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("arm-none-eabi-gcc", _ARM),
        ("arm-none-eabi-gcc", "-mcpu=cortex-m0plus -mthumb -Os -Werror"),
        ("riscv64-unknown-elf-gcc", _RISCV),
    ],
    ids=["cortex-m4", "cortex-m0plus", "rv32imc"],
)
def test_cross_compilers_are_silent(compiler: str, flags: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    for path in own_models():
        _emit(path, tmp_path / path.stem)
        done = _make(tmp_path / path.stem, f"CC={compiler}", f"AR={compiler.replace('gcc', 'ar')}", f"CFLAGS={flags}")
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("target", [CORTEX_M4, RISCV32], ids=lambda target: target.name)
@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_own_test_passes_on_emulated_targets(path: Path, target: Target, tmp_path: Path) -> None:
    """The library's own test program, with the C library's semihosting, no firmware of ours."""
    target.require()
    name = _emit(path, tmp_path).program.name
    done = _make(
        tmp_path,
        f"test/test_{name}",
        f"CC={target.compiler}",
        f"AR={target.compiler.replace('gcc', 'ar')}",
        f"CFLAGS={' '.join(target.flags)} -O2 -Werror",
        f"LDFLAGS={' '.join(target.link_flags(tmp_path))}",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = target.run(tmp_path / "test" / f"test_{name}")
    assert "0 mismatching bytes: passed" in run.stdout + run.stderr
    assert run.returncode == 0


def test_library_uses_no_libc_but_memcpy_and_memset(tmp_path: Path) -> None:
    for path in own_models():
        folder = tmp_path / path.stem
        _emit(path, folder)
        assert _make(folder, "CFLAGS=-O2 -fno-builtin").returncode == 0
        listed = subprocess.run(
            ["nm", "--undefined-only", str(folder / f"lib{path.stem}.a")], capture_output=True, text=True, check=True
        )
        undefined = set(re.findall(r" U (\w+)", listed.stdout))
        outside = {symbol for symbol in undefined if not symbol.startswith(("to_", f"{path.stem}_"))}
        assert outside <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}


def test_library_has_no_variables(tmp_path: Path) -> None:
    """Reentrant: no writable section has a byte."""
    for path in own_models():
        folder = tmp_path / path.stem
        _emit(path, folder)
        assert _make(folder, "CFLAGS=-O2").returncode == 0
        listed = subprocess.run(["nm", str(folder / f"lib{path.stem}.a")], capture_output=True, text=True, check=True)
        assert not re.findall(r" [bBCsSgG] (\w+)", listed.stdout)
        assert not [s for s in re.findall(r" [dD] (\w+)", listed.stdout) if not s.startswith("names")]


def test_output_is_reproducible_and_complete() -> None:
    path = own_models()[0]
    one, two = (compile_model(path, name=path.stem) for _ in range(2))
    golden = make_golden(one.model)
    files = emit_library(one.program, golden)
    assert files == emit_library(two.program, make_golden(two.model))
    assert {f"{path.stem}.h", f"{path.stem}.c", "Makefile", "CMakeLists.txt", "README.md"} <= set(files)
    assert set(library_sources(one.program)) <= set(files)
    for kernel in one.program.kernels:
        assert f"kernels/{kernel}.c" in files
    assert "/tmp" not in "".join(files.values())
    assert emit_binding(one.program).count("to_device_model") == 1


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_builds_and_tests(tmp_path: Path) -> None:
    _emit(own_models()[0], tmp_path)
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", str(tmp_path), "-B", str(build)],
        ["cmake", "--build", str(build)],
        ["ctest", "--test-dir", str(build), "--output-on-failure"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_header_works_in_cxx(tmp_path: Path) -> None:
    path = own_models()[0]
    _emit(path, tmp_path)
    source = tmp_path / "use.cpp"
    source.write_text(f'#include "{path.stem}.h"\nint main() {{ return {path.stem}_input_0(nullptr) == nullptr; }}\n')
    done = subprocess.run(
        ["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
