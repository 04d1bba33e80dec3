"""What firmware for a board needs under RIOT, and which of it is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

from tinyops.device.doctor import Check, Status, rights
from tinyops.device.riot.application import probe_application
from tinyops.device.riot.base import UNKNOWN, RiotBase
from tinyops.device.riot.build import RiotSettings, version_of
from tinyops.device.riot.facts import RiotFacts, read_facts
from tinyops.device.riot.packages import (
    Package,
    compiler_hint,
    compiler_of,
    find_packages,
    is_reachable,
    lacks_library,
    wants_picolibc,
)
from tinyops.device.riot.parts import RiotParts
from tinyops.errors import TinyopsError

GROUP = "RIOT"


def check_no_riot(*, needed: bool) -> Check:
    """Of a computer where no RIOT is named."""
    status: Status = "missing" if needed else "optional"
    return Check(GROUP, "RIOT", status, "no folder is named", "--riot-base FOLDER, or export RIOTBASE=FOLDER")


def diagnose_riot(settings: RiotSettings) -> list[Check]:
    """RIOT itself, make, the compiler and its C library, and the packages that RIOT fetches with git."""
    base = settings.base
    checks = [Check(GROUP, "RIOT", "ok", f"{_version(base)} ({base.path})"), _program("make", "build with RIOT", True)]
    if checks[-1].status != "ok":
        return checks
    variables = {"TINYOPS_NETWORK": settings.network}
    with probe_application(base, settings.board, RiotParts(variables=variables)) as make:
        try:
            facts = read_facts(make)
            facts.refuse_unfit()
        except TinyopsError as error:
            return [*checks, Check(GROUP, settings.board, "missing", error.what, error.hint)]
        packages = find_packages(make, facts)
    remote = any(package.remote for package in packages)
    checks += [*_compiler(facts), _program("git", "fetch RIOT's packages", remote)]
    return [*checks, *(_package(package) for package in packages)]


def _version(base: RiotBase) -> str:
    return "version unknown" if base.version == UNKNOWN else base.version


def _program(name: str, purpose: str, needed: bool) -> Check:
    path = shutil.which(name)
    if path:
        return Check(GROUP, name, "ok", path)
    return Check(
        GROUP, name, "missing" if needed else "optional", f"not found; to {purpose}", rights(f"apt-get install {name}")
    )


def _compiler(facts: RiotFacts) -> list[Check]:
    """The compiler that RIOT takes for the board, and its C library."""
    program = compiler_of(facts)
    path = shutil.which(program)
    if path is None:
        return [Check("Compilers", program, "missing", "not found", rights(compiler_hint(program)))]
    checks = [Check("Compilers", program, "ok", f"{version_of(path)} ({path})")]
    lacking = lacks_library(facts)
    if lacking:
        checks.append(Check("Compilers", "C library", "missing", lacking, rights(compiler_hint(program))))
    elif wants_picolibc(facts):
        checks.append(Check("Compilers", "C library", "ok", "picolibc (newlib is not installed)"))
    return checks


def _package(package: Package) -> Check:
    """Fetched before, a local copy, or still to be fetched, which a site without network cannot."""
    if package.source is None:
        return Check("Packages", package.name, "ok", "RIOT has fetched it")
    local = f"export {package.variable}=FOLDER with a copy of {package.source}"
    if not package.remote:
        if Path(package.source).is_dir():
            return Check("Packages", package.name, "ok", f"{package.variable} names {package.source}")
        return Check(
            "Packages", package.name, "missing", f"{package.variable} names {package.source}, no folder", local
        )
    if is_reachable(package.source):
        return Check("Packages", package.name, "optional", f"the first build fetches it from {package.source}", local)
    return Check("Packages", package.name, "missing", f"{package.source} cannot be reached", local)
