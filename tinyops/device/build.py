"""From a model and a board to firmware: generate, compile, link, convert, measure, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.cost import refuse_misfit
from tinyops.device.board import Board
from tinyops.device.elf import elf_symbols, memory_use
from tinyops.device.firmware import FirmwareSources, firmware_sources
from tinyops.device.report import describe_program
from tinyops.device.toolchain import InstalledToolchain, Unit, compile_objects, find_toolchain, link, objcopy
from tinyops.emit.c import emit_binding, emit_library, library_sources
from tinyops.emit.files import write_file, write_files
from tinyops.errors import TinyopsError, UsageError
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.lower.program import Role

#: Generated code and kernels are optimized for speed, whatever the firmware is built with.
LIBRARY_FLAGS = (
    "-std=c99",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-ffunction-sections",
    "-fdata-sections",
)

Step = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Build:
    """A finished build; paths are inside `folder`. `hex` is None for the host."""

    folder: Path
    board: Board
    elf: Path
    bin: Path | None
    hex: Path | None
    report: dict[str, Any]
    compiled: CompiledModel


def build_firmware(
    source: Path, board: Board, folder: Path, *, name: str, step: Step = lambda _: None, seconds: float = 2.0
) -> Build:
    """Build the firmware of one model for one board into `folder`.

    The folder gets lib/ (the generated library), obj/, firmware.elf, firmware.bin, firmware.hex, model.tflite and
    report.json; the report is written last, so that a folder with a report holds a whole build. Raises
    TinyopsError when the model does not fit (before anything is compiled) or the toolchain is missing or fails.
    """
    _refuse_without_port(board)
    if folder.exists() and not folder.is_dir():
        raise UsageError("is a file", where=str(folder), allowed="a folder, which may not exist yet")
    step("compiling the model")
    compiled = compile_model(source, name=name, seconds=seconds)
    program = compiled.program
    refuse_misfit(
        program, board.name, board.flash.bytes if board.flash else None, board.ram.bytes if board.ram else None
    )
    toolchain = find_toolchain(board.toolchain)
    firmware = firmware_sources(board)

    (folder / "report.json").unlink(missing_ok=True)
    step("writing the library")
    library = folder / "lib"
    write_files(library, emit_library(program))
    write_file(folder / "binding.c", emit_binding(program))
    if source.resolve() != (folder / "model.tflite").resolve():
        write_file(folder / "model.tflite", source.read_bytes())
    step("compiling C")
    units = [Unit(library / file, LIBRARY_FLAGS) for file in library_sources(program)]
    objects = _compile(toolchain, units, firmware, folder, library)
    step("linking")
    elf = folder / "firmware.elf"
    _link(toolchain, objects, firmware, elf, folder, board)
    bin_, hex_ = (None, None) if board.kind == "host" else (folder / "firmware.bin", folder / "firmware.hex")
    if bin_ and hex_:
        objcopy(toolchain, elf, bin_, "bin")
        objcopy(toolchain, elf, hex_, "hex")
    step("measuring")
    report = _report(compiled, board, toolchain, elf, objects[: len(units)])
    write_file(folder / "report.json", json.dumps(report, indent=2) + "\n")
    return Build(folder, board, elf, bin_, hex_, report, compiled)


def _refuse_without_port(board: Board) -> None:
    if board.firmware.port is None:
        names = [name for name, value in (("RIOT", board.os.riot), ("Ariel OS", board.os.ariel)) if value]
        systems = f" (it runs {' and '.join(names)}, which this version does not build)" if names else ""
        raise UsageError(
            f"has no bare-metal firmware port here{systems}",
            where=f"board {board.name}",
            allowed="host and the qemu- boards; for your own firmware, the library alone",
            hint="tinyops emit MODEL --lang c -o DIR",
        )


def _compile(
    toolchain: InstalledToolchain, units: list[Unit], firmware: FirmwareSources, folder: Path, library: Path
) -> list[Path]:
    include = [library, library / "kernels", *firmware.include_dirs]
    common = [Unit(source, tuple(firmware.cflags)) for source in (folder / "binding.c", *firmware.sources)]
    return list(compile_objects(toolchain, [*units, *common], folder / "obj", include=include).objects)


def _link(
    toolchain: InstalledToolchain,
    objects: list[Path],
    firmware: FirmwareSources,
    elf: Path,
    folder: Path,
    board: Board,
) -> None:
    flags = list(firmware.ldflags)
    if firmware.linker_script_text is not None:
        script = folder / "firmware.ld"
        write_file(script, firmware.linker_script_text)
        flags += ["-T", str(script)]
    try:
        link(toolchain, objects, elf, flags=flags)
    except TinyopsError as error:
        if "is too small by" in error.what:
            raise TinyopsError(
                error.what.splitlines()[0],
                where=f"board {board.name}",
                hint="tinyops boards, to find one with more memory",
            ) from error
        raise


def _report(
    compiled: CompiledModel, board: Board, toolchain: InstalledToolchain, elf: Path, library: list[Path]
) -> dict[str, Any]:
    """report.json: sizes from the ELF's sections; model and library by the symbols of their objects."""
    program = compiled.program
    use = memory_use(elf, board.flash, board.ram)
    own = {symbol.name for path in library for symbol in elf_symbols(path)}
    model_names = {
        f"{program.name}_{c.name}" for c in program.constants if c.role in (Role.WEIGHTS, Role.BIAS, Role.DATA)
    }
    linked = elf_symbols(elf)
    report = describe_program(program)
    report["board"] = {"name": board.name, "kind": board.kind, "core": board.processor.core}
    report["toolchain"] = {"name": toolchain.name, "version": toolchain.version}
    report["memory"] |= {
        "kind": "read from the ELF's sections",
        "flash_bytes": use.flash_bytes,
        "flash_available_bytes": board.flash.bytes if board.flash else None,
        "flash_model_bytes": sum(s.size for s in linked if s.name in model_names),
        "flash_library_bytes": sum(s.size for s in linked if s.name in own - model_names),
        "flash_sections": use.flash_sections,
        "ram_bytes": use.ram_bytes,
        "ram_available_bytes": board.ram.bytes if board.ram else None,
        "ram_sections": use.ram_sections,
    }
    return report


def load_build(folder: Path, board: Board | None = None) -> dict[str, Any]:
    """report.json of a finished build in `folder`; UsageError when there is none, or for another board."""
    file = folder / "report.json"
    try:
        if file.stat().st_size > 1 << 24:
            raise UsageError("is too large", where=str(file))
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name = report["board"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "holds no finished build", where=str(folder), hint=f"tinyops build MODEL -o {folder}"
        ) from error
    if board is not None and name != board.name:
        raise UsageError(
            f"was built for {name}", where=str(folder), hint=f"tinyops build --board {board.name} -o {folder}"
        )
    return report
