"""Updatable models compiled for this computer with sanitizers, that capsules are given to."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tinyops.emit.c import emit_binding, emit_factory, emit_library, library_sources
from tinyops.emit.capsule import build_capsule
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.emit.files import write_files
from tinyops.kernels import needs_libm
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.resources import data_dir

TOOL = Path(__file__).parents[1] / "firmware" / "capsule_tool.c"
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-DTO_UPDATABLE")


@dataclass(frozen=True)
class Verdict:
    """What the device says of a capsule. `tested` and all after it are None unless it was accepted."""

    reason: int
    tested: int | None = None
    vector: int | None = None
    output: int | None = None
    element: int | None = None
    name: str | None = None
    digest: bytes | None = None
    scales: tuple[tuple[float, int], ...] = ()


@cache
def updatable(path: Path) -> tuple[CompiledModel, DataSection, bytes]:
    """A model compiled by structure under the name `model`, its data section and its capsule."""
    compiled = compile_model(path, name="model", by_structure=True)
    data = lay_out(compiled.program)
    return compiled, data, build_capsule(compiled, data=data)


def write_model(path: Path, folder: Path) -> list[Path]:
    """The library of an updatable model in `folder`; its sources with the firmware's own."""
    compiled, data, capsule = updatable(path)
    files = emit_library(compiled.program, data=data)
    files["binding.c"] = emit_binding(compiled.program, data=data, capsule=capsule)
    files["factory.c"] = emit_factory(compiled.program, capsule)
    write_files(folder, dict(files))
    common = data_dir("firmware") / "common" / "src"
    own = [*library_sources(compiled.program, data=data), "binding.c", "factory.c"]
    return [*(folder / name for name in own), common / "to_capsule.c", common / "to_sha256.c"]


def link_model(path: Path, folder: Path, program: Path, main: Path, *, compiler: str, sanitize: Sequence[str]) -> None:
    """Compile `main` with the model `path`, whose library goes to `folder`; kernels that may overflow with -fwrapv."""
    sources, wrapping = write_model(path, folder), updatable(path)[1].wrapping
    include = [f"-I{folder}", f"-I{folder}/kernels", f"-I{data_dir('firmware') / 'common' / 'include'}"]
    command = [compiler, *sanitize, *FLAGS, *include]
    inputs = [main, *(source for source in sources if source.stem not in wrapping)]
    for source in (source for source in sources if source.stem in wrapping):
        inputs.append(source.with_suffix(".o"))
        _run([*command, "-fwrapv", "-c", str(source), "-o", str(inputs[-1])])
    libraries = ["-lm"] if needs_libm(updatable(path)[0].program.kernels) else []
    _run([*command, *map(str, inputs), "-o", str(program), *libraries])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "libclang_rt.fuzzer" in done.stderr:
        pytest.skip("clang has no libFuzzer here")
    assert done.returncode == 0, done.stderr


def build_tool(path: Path, folder: Path, *, compiler: str = "gcc") -> Path:
    """A program that judges capsules for the model `path`."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = folder / "capsules"
    link_model(path, folder, program, TOOL, compiler=compiler, sanitize=SANITIZE)
    return program


def judge(program: Path, capsules: Sequence[bytes]) -> list[Verdict]:
    """One verdict per capsule; the program must end well, without a word of the sanitizers."""
    stdin = b"".join(struct.pack("<I", len(capsule)) + capsule for capsule in capsules)
    run = subprocess.run([str(program)], input=stdin, capture_output=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr.decode(errors="replace")[-3000:]
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(capsules)
    return [_verdict(line) for line in lines]


def _verdict(line: str) -> Verdict:
    reason, *rest = line.split(" ")
    if not rest:
        return Verdict(int(reason))
    tested, vector, output, element, whole, name, digest, *ports = rest
    assert whole == "1"
    scales = tuple((float(scale), int(zero)) for scale, zero in zip(ports[::2], ports[1::2], strict=True))
    return Verdict(
        int(reason), int(tested), int(vector), int(output), int(element), name, bytes.fromhex(digest), scales
    )
