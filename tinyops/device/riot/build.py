"""From a model and a board to an application of RIOT: generate, let RIOT's makefiles build, measure, report."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.cost import refuse_misfit
from tinyops.device.board import Board, Memory
from tinyops.device.build import (
    BINDING,
    REPORT,
    Build,
    Step,
    claim_folder,
    compile_for,
    describe_build,
    plan_updates,
    replace_files,
)
from tinyops.device.image import write_image
from tinyops.device.page import write_page
from tinyops.device.report import describe_features
from tinyops.device.riot.application import MODULE_FOLDER, application_files, probe_application
from tinyops.device.riot.base import RiotBase, refuse_for_make
from tinyops.device.riot.facts import RiotFacts, read_facts
from tinyops.device.riot.make import Made, RiotMake
from tinyops.device.riot.network import DEFAULT, network_parts
from tinyops.device.riot.packages import compiler_of, refuse_without_compiler, wants_picolibc
from tinyops.device.riot.parts import RiotParts
from tinyops.device.riot.stack import describe_stack
from tinyops.device.riot.update import left_for_model, update_board, update_parts, update_report
from tinyops.device.toolchain import InstalledToolchain
from tinyops.device.update import CAPSULE, UpdateBuild, UpdateSettings, emit_update_config
from tinyops.emit.c import library_sources
from tinyops.emit.c.riot import MODULE
from tinyops.emit.files import write_file, write_files
from tinyops.errors import MissingToolError, TinyopsError
from tinyops.features import FeatureSettings, ModelFeatures
from tinyops.lower import Optimize
from tinyops.lower.compile import CompiledModel

_BUILD_SECONDS = 1800
_OVERFLOW = re.compile(r"region [`']?(\w+)'?:? overflowed by (\d+) bytes")
_FETCHES = re.compile(
    r"(?:fatal: (?:unable to access|could not read|Could not|repository).*|.*Could not resolve host.*"
    r"|fatal: .*does not appear to be a git repository.*)"
)
_ESP_IMAGE = re.compile(r"(?<!\S)(0x[0-9a-fA-F]{1,8})\s+(\S+\.bin)(?!\S)")
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class RiotSettings:
    """The checkout, the board's name in RIOT, and the network."""

    base: RiotBase
    board: str
    network: str = DEFAULT


@dataclass(frozen=True, slots=True)
class RiotTarget:
    """What is known of a board before a model is: RIOT's facts, the board with its memories, what its options add."""

    facts: RiotFacts
    board: Board
    parts: RiotParts


def find_target(settings: RiotSettings, board: Board | None) -> RiotTarget:
    """Ask RIOT about the board; `board` is its file of tinyops, or None where there is none.

    Raises UsageError for a board that RIOT does not have or the network cannot be on, and MissingToolError when its
    compiler is not installed.
    """
    variables = {"TINYOPS_NETWORK": settings.network}
    with probe_application(settings.base, settings.board, RiotParts(variables=variables)) as make:
        facts = read_facts(make)
    facts.refuse_unfit()
    known = board if board is not None else facts.as_board()
    refuse_without_compiler(facts)
    parts = network_parts(settings.network)
    if wants_picolibc(facts):
        parts += RiotParts(features=("picolibc",))
    memories = {"flash": _region(known.flash, facts.flash), "ram": _region(known.ram, facts.ram)}
    return RiotTarget(facts, known.model_copy(update=memories), parts)


def board_of_riot(settings: RiotSettings) -> Board:
    """A board of which tinyops has no file."""
    with probe_application(settings.base, settings.board, RiotParts()) as make:
        facts = read_facts(make)
    facts.refuse_unfit()
    return facts.as_board()


def _region(ours: Memory | None, riot: Memory | None) -> Memory | None:
    """What RIOT links into, with what our file knows of the memory besides."""
    if riot is None:
        return ours
    more = ours.model_dump(exclude={"origin", "bytes"}) if ours else {}
    return Memory(**more, origin=riot.origin, bytes=riot.bytes)


def build_riot(
    source: Path,
    settings: RiotSettings,
    board: Board | None,
    folder: Path,
    *,
    name: str,
    features: FeatureSettings | None = None,
    update: UpdateSettings | None = None,
    optimize: Optimize = "portable",
    step: Step = lambda _: None,
    seconds: float = 2.0,
) -> Build:
    """Build the application of one model for one board that RIOT supports into `folder`.

    The folder is an application of RIOT (see application.py) and gets firmware.elf, firmware.bin, firmware.hex,
    model.tflite, report.html and report.json, the last one at the end, as from build_firmware. `board` is the file of
    tinyops for the board, None where there is none. Raises TinyopsError when the model does not fit, RIOT cannot build
    for the board, or a package cannot be fetched.
    """
    refuse_for_make(folder.resolve())
    step("asking RIOT about the board")
    target = find_target(settings, board)
    facts, chosen = target.facts, target.board
    step("compiling the model")
    compiled = compile_for(source, chosen, name=name, optimize=optimize, updatable=update is not None, seconds=seconds)
    program = compiled.program
    front_end = ModelFeatures.of(features, [port.tensor for port in program.inputs]) if features else None
    updates = None if update is None else plan_updates(update_board(chosen, facts), compiled, front_end, update, step)
    _refuse_misfit(compiled, chosen, facts, updates, front_end)
    parts = target.parts if updates is None else target.parts + _update_parts(updates, facts)

    step("writing the application")
    data = updates.data if updates else None
    capsule = updates.capsule if updates else None
    files, module = application_files(program, settings.board, parts, features=front_end, data=data, capsule=capsule)
    claim_folder(folder, leftovers=(BINDING,))
    write_files(folder, files)
    replace_files(folder / MODULE_FOLDER, module)
    if source.resolve() != (folder / "model.tflite").resolve():
        write_file(folder / "model.tflite", source.read_bytes())
    make = RiotMake(settings.base, folder.resolve(), settings.board)
    facts = read_facts(make)
    facts.refuse_unfit()
    step("RIOT builds")
    _make(make, chosen)

    step("measuring")
    elf = folder / "firmware.elf"
    write_file(elf, Path(facts.elf).read_bytes())
    bin_, hex_ = (None, None) if facts.native else (folder / "firmware.bin", folder / "firmware.hex")
    if bin_ and hex_:
        write_image(elf, bin_, "bin")
        write_image(elf, hex_, "hex")
    else:
        elf.chmod(0o755)
    objects = Path(facts.elf).parent
    library = [objects / MODULE / f"{Path(file).stem}.o" for file in library_sources(program, front_end, data=data)]
    report = describe_build(compiled, chosen, _toolchain(facts, chosen), elf, library)
    report["os"] = _describe_os(settings, facts)
    report["stack"] = describe_stack(objects, MODULE, elf)
    if facts.cpu.startswith("esp"):
        report["images"] = copy_images(make.run(["info-debug-variable-FFLAGS"], options=["-s"]).printed, folder)
    if board is None:
        report["board"]["facts"] = chosen.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    if front_end is not None:
        report["features"] = describe_features(front_end)
    if updates is not None:
        report["update"] = update_report(updates, facts, elf, objects)
    write_page(folder, report)
    write_file(folder / REPORT, json.dumps(report, indent=2) + "\n")
    return Build(folder, chosen, elf, bin_, hex_, report, compiled, updates)


def _refuse_misfit(
    compiled: CompiledModel,
    board: Board,
    facts: RiotFacts,
    updates: UpdateBuild | None,
    features: ModelFeatures | None,
) -> None:
    flash, ram = (None if memory is None else memory.bytes for memory in (board.flash, board.ram))
    if updates is not None:
        flash, ram = left_for_model(board, facts, updates)
    refuse_misfit(compiled.program, board.name, flash, ram, features)


def _update_parts(updates: UpdateBuild, facts: RiotFacts) -> RiotParts:
    """What updates add; keys, identity and the capsule are part of every updatable build."""
    common: dict[str, str | bytes] = {
        f"{MODULE_FOLDER}/update_config.c": emit_update_config(updates),
        CAPSULE: updates.capsule,
    }
    return RiotParts(files=common) + update_parts(updates, facts)


def _make(make: RiotMake, board: Board) -> None:
    """Run RIOT's build; its failures as TinyopsError."""
    jobs = f"-j{os.cpu_count() or 1}"
    made = make.run(["all"], options=["-s", jobs], variables={"QUIETER": "1"}, seconds=_BUILD_SECONDS)
    if made.status:
        raise _failure(make, board, made)


def _failure(make: RiotMake, board: Board, made: Made) -> TinyopsError:
    over: dict[str, int] = {}
    for region, count in _OVERFLOW.findall(made.output):
        over[region] = max(over.get(region, 0), int(count))
    where = f"board {board.name}"
    if over:
        what = "; ".join(f"{region} is too small by {count:,} bytes" for region, count in over.items())
        return TinyopsError(what, where=where, hint="tinyops boards, to find one with more memory")
    fetch = _FETCHES.search(made.output)
    if fetch:
        return MissingToolError(
            f"RIOT cannot fetch a package that this board needs: {fetch[0].strip()[:300]}",
            where=where,
            allowed="a network, or local copies that the environment names by PKG_SOURCE_LOCAL_<NAME>",
            hint=f"tinyops doctor --board {make.board} --os riot",
        )
    lines = made.output.strip().splitlines()
    wrong = (k for k, line in enumerate(lines) if re.search(r"\b[eE]rror\b", line))
    first = next(wrong, max(0, len(lines) - _SHOWN))
    shown = "\n".join(lines[max(0, first - 2) : first + _SHOWN])
    return TinyopsError(
        f"RIOT's build fails\n{shown}\n  command: {make.command} all",
        where=where,
    )


def copy_images(flags: str, folder: Path) -> list[dict[str, Any]]:
    """What esptool writes to a chip of Espressif's: bootloader, partition table and program, copied into `folder`.

    `flags` are those that RIOT gives to esptool, places and files last. TinyopsError unless all files are there.
    """
    images: list[dict[str, Any]] = []
    for address, name in _ESP_IMAGE.findall(flags):
        source = Path(name)
        try:
            write_file(folder / source.name, source.read_bytes())
        except OSError as error:
            raise TinyopsError(f"RIOT's build has not made it: {error.strerror}", where=name) from error
        images.append({"file": source.name, "address": int(address, 16)})
    if not images:
        raise TinyopsError("RIOT does not tell what is written where", where="FFLAGS", allowed="PROGRAMMER=esptool")
    return images


def _toolchain(facts: RiotFacts, board: Board) -> InstalledToolchain:
    program = shutil.which(compiler_of(facts)) or compiler_of(facts)
    return InstalledToolchain(board.toolchain.name, Path(program), version_of(program))


def version_of(compiler: str) -> str:
    """The first line that the compiler prints of itself."""
    result = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return (result.stdout.splitlines() or ["version unknown"])[0].strip()


def _describe_os(settings: RiotSettings, facts: RiotFacts) -> dict[str, Any]:
    """The section "os" of report.json."""
    return {
        "name": "riot",
        "version": settings.base.version,
        "board": settings.board,
        "cpu": facts.cpu,
        "network": settings.network,
        "modules": sorted(m for m in facts.modules if m.startswith("tinyops_")),
        "packages": list(facts.packages),
    }
