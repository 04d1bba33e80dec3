"""What a board needs under RIOT besides RIOT: a compiler, its C library, packages that RIOT fetches with git."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyops.device.riot.facts import RiotFacts
from tinyops.device.riot.make import RiotMake
from tinyops.errors import MissingToolError

_ANNOUNCED = re.compile(r"\[INFO\] cloning (\S+)")
_INIT = re.compile(r"git init .*?(?P<target>/\S+)$")
_COPY = re.compile(r"cp -a (?P<source>\S+) (?P<target>\S+)$")
_CLONE = re.compile(r"(?:.*\bremote add origin|.*\bclone --commit .* --) (?P<url>\S+)(?: (?P<target>\S+))?$")

#: Compiler, as RIOT calls it -> how to get it.
_COMPILERS = (
    (r"arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    (r"riscv.*-(unknown|none)-elf-gcc", "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
    (
        r"xtensa-esp32.*-elf-gcc|riscv32-esp-elf-gcc",
        "install Espressif's toolchain: dist/tools/esptools/install.sh of RIOT",
    ),
    (r"avr-gcc", "apt-get install gcc-avr avr-libc"),
    (r"msp430-elf-gcc", "install TI's msp430-gcc"),
    (r"mips-mti-elf-gcc", "install the Codescape toolchain"),
    (r"clang", "apt-get install clang lld"),
    (r"gcc|cc", "apt-get install gcc libc6-dev"),
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package of RIOT. `source`: a local folder that PKG_SOURCE_LOCAL_* names, or the URL of what is not here yet;
    None for one that RIOT has fetched."""

    name: str
    source: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable with which a site without network names a local copy."""
        return "PKG_SOURCE_LOCAL_" + self.name.upper().replace("-", "_")

    @property
    def remote(self) -> bool:
        """Whether a build would fetch it."""
        return self.source is not None and "://" in self.source


def compiler_of(facts: RiotFacts) -> str:
    """The compiler's program; RIOT may put ccache before it."""
    return facts.compiler.split()[-1] if facts.compiler.split() else "cc"


def compiler_hint(program: str) -> str | None:
    """How to get a compiler."""
    return next((hint for pattern, hint in _COMPILERS if re.fullmatch(pattern, program)), None)


def refuse_without_compiler(facts: RiotFacts) -> None:
    """MissingToolError when the board's compiler or its C library is not installed."""
    program = compiler_of(facts)
    if shutil.which(program) is None:
        raise MissingToolError(
            f"its compiler {program} is not installed", where=f"board {facts.board}", hint=compiler_hint(program)
        )
    lacking = lacks_library(facts)
    if lacking:
        raise MissingToolError(lacking, where=f"board {facts.board}", hint=compiler_hint(program))


def wants_picolibc(facts: RiotFacts) -> bool:
    """Whether the C library that RIOT would take is not installed, and picolibc is, and would do."""
    return (
        "newlib" in facts.used
        and "picolibc" in facts.provided
        and not _finds(compiler_of(facts), "libc.a")
        and _finds(compiler_of(facts), "picolibc.specs")
    )


def lacks_library(facts: RiotFacts) -> str | None:
    """What is wrong with the compiler's C library; None where nothing is."""
    if "picolibc" in facts.used:
        return None if _finds(compiler_of(facts), "picolibc.specs") else "the C library picolibc is not installed"
    if "newlib" in facts.used and not wants_picolibc(facts) and not _finds(compiler_of(facts), "libc.a"):
        return "the C library newlib is not installed"
    return None


def _finds(compiler: str, name: str) -> bool:
    """Whether the compiler knows the file `name`."""
    try:
        result = subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.stdout.strip() != name and Path(result.stdout.strip()).is_file()


def find_packages(make: RiotMake, facts: RiotFacts) -> list[Package]:
    """All packages of the application, vendors' headers included; a dry run of make tells where they come from."""
    made = make.run(["pkg-prepare", *facts.prepares], options=["-n", "-k"], variables={"QUIETER": ""})
    found = {name: Package(name) for name in facts.packages}
    return list((found | {package.name: package for package in _dry_run(made.output)}).values())


def _dry_run(output: str) -> Iterator[Package]:
    """What RIOT's pkg.mk and local.mk would do."""
    name, target = "", ""
    for line in output.splitlines():
        if announced := _ANNOUNCED.match(line):
            name = announced[1]
        elif init := _INIT.match(line):
            target = init["target"]
        elif copy := _COPY.match(line):
            yield Package(Path(copy["target"]).name, copy["source"])
        elif clone := _CLONE.match(line):
            place = Path(clone["target"] or target)
            # What is there is checked at every build; its rule only looks as if it cloned again.
            yield Package(name or place.name, None if (place / ".git").exists() else clone["url"])
            name, target = "", ""


def is_reachable(url: str, seconds: float = 15) -> bool:
    """Whether git can read the repository at `url`."""
    command = ["git", "ls-remote", "--quiet", url, "HEAD"]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
