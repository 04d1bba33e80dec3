"""Facts of a board as RIOT's build system knows them; tinyops needs no file of its own for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tinyops.device.board import Board, Memory, Os, Processor, Toolchain
from tinyops.device.riot.make import Made, RiotMake
from tinyops.errors import TinyopsError, UsageError

_VARIABLES = (
    "ROM_START_ADDR",
    "ROM_LEN",
    "RAM_START_ADDR",
    "RAM_LEN",
    "CPU_MODEL",
    "CPU_CORE",
    "PROGRAMMERS_SUPPORTED",
    "BUILDDEPS",
    "BLOBS",
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
#: -mcpu of Arm cores, or what a board file of tinyops would say, by RIOT's CPU_CORE.
_ISAS: dict[str, Any] = {
    "cortex-m0": "armv6-m",
    "cortex-m0plus": "armv6-m",
    "cortex-m3": "armv7-m",
    "cortex-m4": "armv7e-m",
    "cortex-m4f": "armv7e-m",
    "cortex-m7": "armv7e-m",
    "cortex-m7f": "armv7e-m",
    "cortex-m23": "armv8-m.base",
    "cortex-m33": "armv8-m.main",
    "cortex-m33f": "armv8-m.main",
    "cortex-m55": "armv8.1-m.main",
}


@dataclass(frozen=True, slots=True)
class RiotFacts:
    """A board, and what an application needs on it.

    `flash` and `ram` are the regions that RIOT links into, None where its makefiles do not tell. `missing` and
    `conflicting` are features because of which the application cannot be built.
    """

    board: str
    cpu: str
    cpu_model: str
    core: str
    compiler: str
    prefix: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    provided: frozenset[str]
    used: frozenset[str]
    missing: tuple[str, ...]
    conflicting: tuple[str, ...]
    flags: tuple[str, ...]
    programmers: tuple[str, ...]
    prepares: tuple[str, ...]
    elf: str
    flash: Memory | None
    ram: Memory | None

    @property
    def native(self) -> bool:
        """Whether the application is a process of this computer."""
        return self.cpu == "native"

    def refuse_unfit(self) -> None:
        """UsageError for a board that the application, or tinyops at all, cannot work on."""
        narrow = {"arch_8bit", "arch_16bit"} & self.provided
        if narrow:
            raise UsageError(
                f"has a processor of {min(narrow).removeprefix('arch_').replace('bit', ' bits')}",
                where=f"board {self.board}",
                allowed="processors of 32 or 64 bits",
            )
        if self.missing or self.conflicting:
            what = ", ".join(self.missing or self.conflicting)
            kind = "does not provide" if self.missing else "cannot have together"
            raise UsageError(
                f"RIOT {kind} what this application requires: {what}",
                where=f"board {self.board}",
                hint="another --network, or none of its options",
            )

    def as_board(self) -> Board:
        """The board as tinyops knows boards."""
        toolchain: Literal["host", "arm-none-eabi", "riscv64-unknown-elf", "xtensa-esp-elf", "riscv32-esp-elf"]
        toolchain, isa = "arm-none-eabi", _ISAS.get(self.core)
        if self.native:
            toolchain, isa = "host", "host"
        elif self.prefix.startswith("xtensa"):
            toolchain, isa = "xtensa-esp-elf", "xtensa-lx6" if "lx6" in self.core else "xtensa-lx7"
        elif self.prefix.startswith("riscv"):
            toolchain = "riscv32-esp-elf" if "esp" in self.prefix else "riscv64-unknown-elf"
            isa = "rv32imac" if any(re.match(r"-march=rv32im?a", flag) for flag in self.flags) else "rv32imc"
        if isa is None:
            raise UsageError(
                f"has the processor core {self.core or self.cpu!r}, of which tinyops knows nothing",
                where=f"board {self.board}",
                allowed=", ".join(sorted(_ISAS)) + ", RISC-V and Xtensa cores",
            )
        fpu = ("fpu",) if "cortexm_fpu" in self.provided else ()
        dsp = ("dsp",) if isa in ("armv7e-m", "armv8-m.main", "armv8.1-m.main") else ()
        flags = tuple(flag for flag in self.flags if flag.startswith(("-mcpu", "-march")))
        core = self.core.removesuffix("f") if self.core.startswith("cortex") else self.core
        return Board(
            name=self.board.replace("_", "-"),
            title=f"{self.board} (facts of RIOT)",
            kind="host" if self.native else "real",
            processor=Processor(core=core or self.cpu_model or self.cpu, isa=isa, features=(*dsp, *fpu)),
            flash=self.flash,
            ram=self.ram,
            toolchain=Toolchain(name=toolchain, flags=flags),
            os=Os(riot=self.board),
            source="RIOT's makefiles",
        )


def read_facts(make: RiotMake) -> RiotFacts:
    """Ask the makefiles of an application about its board; nothing is compiled, and no compiler has to be there."""
    make.base.check_board(make.board)
    questions = [f"info-debug-variable-{name}" for name in _VARIABLES]
    made = make.run(["info-build-json", *questions], options=["-s"])
    if made.status:
        raise _refusal(make, made)
    facts, _, answers = made.printed.partition("\n}\n")
    said = dict(_entries(facts))
    if "CPU" not in said or "ELFFILE" not in said:
        raise TinyopsError(
            "`make info-build-json` does not print what it should",
            where=str(make.base.path),
            allowed="RIOT 2024.01 or later",
        )
    return _facts(make.board, said, dict(zip(_VARIABLES, answers.split("\n"), strict=False)))


def _entries(text: str) -> Iterator[tuple[str, Any]]:
    """The members of what is a JSON object but for its strings, in which RIOT does not escape everything."""
    for line in text.splitlines():
        found = re.match(r'\s*"(\w+)":\s*(.*?),?\s*$', line)
        if found:
            try:
                yield found[1], json.loads(found[2])
            except ValueError:
                continue  # a flag with quotation marks; those that are used here have none


def _facts(board: str, said: dict[str, Any], variables: dict[str, str]) -> RiotFacts:
    def names(key: str) -> tuple[str, ...]:
        value = said.get(key)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    return RiotFacts(
        board=board,
        cpu=str(said.get("CPU", "")),
        cpu_model=variables.get("CPU_MODEL", "").strip(),
        core=variables.get("CPU_CORE", "").strip(),
        compiler=str(said.get("CC", "")),
        prefix=str(said.get("PREFIX") or ""),
        packages=names("USEPKG"),
        modules=(*names("DEFAULT_MODULE"), *names("USEMODULE")),
        provided=frozenset(names("FEATURES_PROVIDED")),
        used=frozenset(names("FEATURES_USED")),
        missing=names("FEATURES_MISSING"),
        conflicting=names("FEATURES_CONFLICTING"),
        flags=names("CFLAGS"),
        programmers=tuple(dict.fromkeys(variables.get("PROGRAMMERS_SUPPORTED", "").split())),
        prepares=tuple(variables.get("BUILDDEPS", "").split()),
        elf=str(said.get("ELFFILE", "")),
        flash=_memory(variables.get("ROM_START_ADDR", ""), variables.get("ROM_LEN", "")),
        ram=_memory(variables.get("RAM_START_ADDR", ""), variables.get("RAM_LEN", "")),
    )


def _memory(origin: str, size: str) -> Memory | None:
    start, length = _number(origin), _number(size)
    return Memory(origin=start, bytes=length) if start is not None and length else None


def _number(text: str) -> int | None:
    """A number as linker scripts write it: 0x40000, 262144, 256K."""
    found = re.fullmatch(r"(0[xX][0-9a-fA-F]+|[0-9]+)([KM]?)", text.strip())
    return int(found[1], 0 if found[1][:2].lower() == "0x" else 10) * _UNITS[found[2]] if found else None


def _refusal(make: RiotMake, made: Made) -> TinyopsError:
    lacks = re.search(r"unsatisfied feature requirements?:\s*([^\n]+)", made.output)
    if lacks:
        return TinyopsError(
            f"RIOT has for this board no {', '.join(lacks[1].split())}",
            where=f"board {make.board}",
            hint="another board, or another --network",
        )
    lines = [line.strip() for line in made.output.splitlines() if "***" in line or "error" in line.lower()]
    what = (lines or made.output.strip().splitlines() or ["no output"])[-1]
    what = re.sub(r"^.*\*\*\* |\.  Stop\.$", "", what)[:300]
    return TinyopsError(f"RIOT's makefiles refuse: {what}", where=f"board {make.board}")
