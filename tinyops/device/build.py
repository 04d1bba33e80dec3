"""From a model and a board to firmware: generate, compile, link, convert, measure, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.cost import refuse_misfit
from tinyops.device.board import Board, find_board, list_board_files
from tinyops.device.elf import Symbol, elf_symbols, memory_use
from tinyops.device.firmware import BASE, PRIMITIVES, FirmwareSources, firmware_sources
from tinyops.device.flash import IMAGE
from tinyops.device.image import write_image
from tinyops.device.page import PAGE, RUN, write_page
from tinyops.device.report import describe_features, describe_program, find_warnings
from tinyops.device.toolchain import InstalledToolchain, Unit, compile_objects, find_toolchain, link
from tinyops.device.update import (
    CAPSULE,
    UpdateBuild,
    UpdateSettings,
    describe_update,
    emit_update_config,
    measure_update,
    plan_update,
)
from tinyops.emit.c import emit_binding, emit_factory, emit_library, library_sources
from tinyops.emit.capsule import build_capsule
from tinyops.emit.data_section import lay_out
from tinyops.emit.files import write_file, write_files
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import FeatureSettings, ModelFeatures
from tinyops.kernels import needs_libm
from tinyops.lower import Optimize
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.lower.program import Program, Role

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

#: Of kernels that a capsule's numbers may make overflow: they compute modulo 2^32 then.
WRAPPING_FLAGS = ("-fwrapv",)

REPORT = "report.json"
BINDING = "binding.c"
_FACTORY = "factory.c"
#: One of these is in the folder of a build, be it finished or not; the last one is of builds on RIOT.
_OWN = (REPORT, BINDING, "modules/tinyops_model/Makefile")
_UPDATE_CONFIG = "update_config.c"
#: Of other projects' libraries in the firmware.
_LICENCES = "licences.txt"
_FIRMWARE = ("firmware.elf", "firmware.bin", "firmware.hex")
#: Where RIOT's native boards keep models, unless they are told otherwise.
_MEMORY = "MEMORY.bin"
#: With these, which a build for RIOT writes, a folder is an application of RIOT.
APPLICATION = ("Makefile", "Kconfig", "main.c")

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
    update: UpdateBuild | None = None


def build_firmware(
    source: Path,
    board: Board,
    folder: Path,
    *,
    name: str,
    features: FeatureSettings | None = None,
    update: UpdateSettings | None = None,
    optimize: Optimize = "portable",
    step: Step = lambda _: None,
    seconds: float = 2.0,
) -> Build:
    """Build the firmware of one model, with the front end `features` if any, for one board into `folder`.

    The folder gets lib/ (the generated library), obj/, firmware.elf, firmware.bin, firmware.hex, model.tflite,
    report.html and report.json; report.json is written last, so that a folder with it holds a whole build. With
    `update` the firmware takes other models of the same structure, and the folder has its capsule.bin, and in
    licences.txt those of the libraries that are linked. What an earlier build left there is replaced, its flash image
    included; a folder with other files is refused. Raises TinyopsError when the model does not fit (before anything
    is compiled) or the toolchain is missing or fails.
    """
    refuse_without_port(board)
    if update is not None and update.server is not None:
        raise UsageError(
            "this firmware has no server of check-ins compiled in",
            where=f"board {board.name}",
            allowed="--os riot with a network; the host's firmware takes --server when it starts",
        )
    step("compiling the model")
    compiled = compile_for(source, board, name=name, optimize=optimize, updatable=update is not None, seconds=seconds)
    program = compiled.program
    front_end = ModelFeatures.of(features, [port.tensor for port in program.inputs]) if features else None
    updates = None if update is None else plan_updates(board, compiled, front_end, update, step)
    flash, ram = (None if memory is None else memory.bytes for memory in (board.flash, board.ram))
    if flash is not None and updates is not None:
        flash -= updates.region.nbytes
    refuse_misfit(program, board.name, flash, ram, front_end)
    toolchain = find_toolchain(board.toolchain)
    firmware = firmware_sources(board, features=front_end is not None, update=updates)

    step("writing the library")
    library = folder / "lib"
    data = updates.data if updates else None
    claim_folder(folder, leftovers=APPLICATION)
    write_files(folder, _bindings(program, front_end, updates))
    replace_files(library, emit_library(program, features=front_end, data=data))
    if source.resolve() != (folder / "model.tflite").resolve():
        write_file(folder / "model.tflite", source.read_bytes())
    step("compiling C")
    wrapping = data.wrapping if data else frozenset()
    units = [
        Unit(library / file, LIBRARY_FLAGS + (WRAPPING_FLAGS if Path(file).stem in wrapping else ()))
        for file in library_sources(program, front_end, data=data)
    ]
    objects = _compile(toolchain, units, firmware, folder, library)
    step("linking")
    elf = folder / "firmware.elf"
    libraries = ["-lm"] if needs_libm(compiled.program.kernels) else []
    _link(toolchain, objects, libraries, firmware, elf, folder, board)
    bin_, hex_ = (None, None) if board.kind == "host" else (folder / "firmware.bin", folder / "firmware.hex")
    if bin_ and hex_:
        write_image(elf, bin_, "bin")
        write_image(elf, hex_, "hex")
    step("measuring")
    report = describe_build(compiled, board, toolchain, elf, objects[: len(units)])
    if front_end is not None:
        report["features"] = describe_features(front_end)
    if updates is not None:
        report["update"] = describe_update(updates) | {
            "code": measure_update(elf, *_split(objects[len(units) :], firmware))
        }
    write_page(folder, report)
    write_file(folder / REPORT, json.dumps(report, indent=2) + "\n")
    return Build(folder, board, elf, bin_, hex_, report, compiled, updates)


def compile_for(
    source: Path, board: Board, *, name: str, optimize: Optimize, updatable: bool, seconds: float
) -> CompiledModel:
    """Compile a model for a board; UsageError where there is nothing to `optimize` with."""
    isa = board.processor.kernels
    if optimize != "portable":
        if isa == "c":
            raise UsageError(
                f"there are no kernels for {board.processor.isa} alone yet",
                where=f"--optimize {optimize}, board {board.name}",
                allowed="boards with the DSP extension (Cortex-M4, M7, M33, M55)",
                hint="leave --optimize out: the portable kernels run everywhere",
            )
        if updatable:
            raise UsageError(
                "updatable firmware has the portable kernels",
                where=f"--optimize {optimize}",
                hint="leave --optimize or --updatable out",
            )
    return compile_model(source, name=name, isa=isa, optimize=optimize, seconds=seconds, by_structure=updatable)


def plan_updates(
    board: Board, compiled: CompiledModel, front_end: ModelFeatures | None, settings: UpdateSettings, step: Step
) -> UpdateBuild:
    """Lay out the model's numbers, make the factory capsule, and find room for two more."""
    data = lay_out(compiled.program, front_end)
    capsule = build_capsule(compiled, data=data, metadata={"model": compiled.source.name})
    return plan_update(board, compiled.program, settings, data, capsule, step)


def _bindings(program: Program, front_end: ModelFeatures | None, updates: UpdateBuild | None) -> dict[str, str | bytes]:
    """What joins the library to the firmware, and the factory capsule."""
    if updates is None:
        return {BINDING: emit_binding(program, front_end)}
    return {
        BINDING: emit_binding(program, front_end, data=updates.data, capsule=updates.capsule),
        _FACTORY: emit_factory(program, updates.capsule),
        _UPDATE_CONFIG: emit_update_config(updates),
        CAPSULE: updates.capsule,
        _LICENCES: updates.licences,
    }


def refuse_without_port(board: Board) -> None:
    """Raise UsageError for a board that firmware cannot be built for from here."""
    if board.firmware.port is None:
        names = [name for name, value in (("RIOT", board.os.riot), ("Ariel OS", board.os.ariel)) if value]
        systems = f" (it runs {' and '.join(names)})" if names else ""
        raise UsageError(
            f"has no bare-metal firmware port here{systems}",
            where=f"board {board.name}",
            allowed="host and the qemu- boards; for your own firmware, the library alone",
            hint=f"{'--os riot, or ' if board.os.riot else ''}tinyops emit MODEL --lang c -o DIR",
        )


def claim_folder(folder: Path, leftovers: Iterable[str] = ()) -> None:
    """Make `folder` that of this build: a new or empty one, or one of an earlier build, which ends here.

    `leftovers` are files that only a build for another system writes.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError("is a file", where=str(folder), allowed="a folder, which may not exist yet")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not any((folder / name).is_file() for name in _OWN):
            raise UsageError(
                "holds other files",
                where=str(folder),
                allowed="a new or empty folder, or that of an earlier build",
                hint=f"-o {folder / 'build'}",
            )
        ended = (REPORT, PAGE, RUN, IMAGE, CAPSULE, *_FIRMWARE, _MEMORY, _FACTORY, _UPDATE_CONFIG, _LICENCES)
        for name in (*ended, *leftovers):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise TinyopsError(f"cannot be written to: {error.strerror}", where=str(folder)) from error


def replace_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` and remove all others, as those of another model."""
    write_files(folder, files)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()


def _compile(
    toolchain: InstalledToolchain, units: list[Unit], firmware: FirmwareSources, folder: Path, library: Path
) -> list[Path]:
    include = [library, library / "kernels", *firmware.include_dirs]
    own = [path for name in (BINDING, _FACTORY, _UPDATE_CONFIG) if (path := folder / name).is_file()]
    common = [Unit(source, tuple(firmware.cflags)) for source in (*own, *firmware.sources)]
    foreign = [Unit(source, (*firmware.cflags, *firmware.library_cflags)) for source in firmware.libraries]
    return list(compile_objects(toolchain, [*units, *common, *foreign], folder / "obj", include=include).objects)


def _split(objects: list[Path], firmware: FirmwareSources) -> tuple[list[Path], list[Path], list[Path]]:
    """The objects of updates, of cryptography (ours and other projects'), and the others."""
    foreign = objects[len(objects) - len(firmware.libraries) :]
    names = {path.stem for path in firmware.sources if path.parent.name == "src"} - BASE
    own = [path for path in objects if path.stem in names - PRIMITIVES and path not in foreign]
    crypto = [path for path in objects if path.stem in names & PRIMITIVES or path in foreign]
    return own, crypto, [path for path in objects if path not in own and path not in crypto]


def _link(
    toolchain: InstalledToolchain,
    objects: list[Path],
    libraries: list[str],
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
        link(toolchain, objects, elf, flags=flags, libraries=libraries)
    except TinyopsError as error:
        if "is too small by" in error.what:
            raise TinyopsError(
                error.what.splitlines()[0],
                where=f"board {board.name}",
                hint="tinyops boards, to find one with more memory",
            ) from error
        raise


def describe_build(
    compiled: CompiledModel, board: Board, toolchain: InstalledToolchain, elf: Path, library: list[Path]
) -> dict[str, Any]:
    """report.json: sizes from the ELF's sections; model and library by the symbols of their objects."""
    program = compiled.program
    use = memory_use(elf, board.flash, board.ram)
    own = {symbol.name for path in library for symbol in elf_symbols(path)}
    model_names = {
        f"{program.name}_{c.name}" for c in program.constants if c.role in (Role.WEIGHTS, Role.BIAS, Role.DATA)
    } | {f"{program.name}_factory"}
    linked = elf_symbols(elf)
    report = describe_program(program)
    report["board"] = {"name": board.name, "kind": board.kind, "core": board.processor.core}
    report["toolchain"] = {
        "name": toolchain.name,
        "version": toolchain.version,
        "package": toolchain.package,
    }
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
    report["flash_split"] = _split_flash(
        report["memory"], {s.name for s in linked if s.kind == "function"} & own, linked
    )
    report["warnings"] = find_warnings(report, board.processor.features)
    return report


def _split_flash(memory: dict[str, Any], functions: set[str], linked: Sequence[Symbol]) -> dict[str, Any]:
    """What the bytes in flash are; the parts add up to all of them. `functions` are those of the library."""
    code = sum(s.size for s in linked if s.name in functions)
    return {
        "kind": memory["kind"],
        "model_bytes": memory["flash_model_bytes"],
        "code_bytes": code,
        "table_bytes": memory["flash_library_bytes"] - code,
        "firmware_bytes": memory["flash_bytes"] - memory["flash_model_bytes"] - memory["flash_library_bytes"],
    }


def load_build(folder: Path, board: Board | str | None = None) -> dict[str, Any]:
    """report.json of a finished build in `folder`; UsageError when there is none, or for another board.

    `board` may be a name, that of RIOT for firmware on it included.
    """
    file = folder / REPORT
    try:
        if file.stat().st_size > 1 << 24:
            raise UsageError("is too large", where=str(file))
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name = report["board"]["name"]
        if not isinstance(name, str):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_build(folder, board) from error
    wanted = board.name if isinstance(board, Board) else board
    if wanted is not None and wanted not in (name, report.get("os", {}).get("board")):
        raise UsageError(
            f"was built for {name}", where=str(folder), hint=f"tinyops build MODEL --board {wanted} -o {folder}"
        )
    return report


def board_of_build(report: Mapping[str, Any], project: Path | None = None) -> Board:
    """The board that a finished build is for: its file, or what the build wrote down where tinyops has none.

    Of firmware on RIOT the memories are those that RIOT links into.
    """
    section = report["board"]
    if "facts" not in section or section["name"] in list_board_files(project):
        return find_board(section["name"], project)
    try:
        return Board.model_validate(section["facts"])
    except ValueError as error:
        what = "its report does not describe a board"
        raise UsageError(what, where=str(section["name"]), hint="tinyops build") from error


def _no_build(folder: Path, board: Board | str | None) -> UsageError:
    name = board.name if isinstance(board, Board) else board or "NAME"
    if folder.is_file():
        return UsageError("is a file", where=str(folder), allowed="the folder of a finished build")
    below = sorted(str(path.parent) for path in folder.glob(f"*/{REPORT}"))[:3]
    return UsageError(
        "holds no finished build" if folder.is_dir() else "no such folder",
        where=str(folder),
        allowed=", ".join(below) or None,
        hint=f"tinyops build MODEL --board {name} -o {folder}",
    )
