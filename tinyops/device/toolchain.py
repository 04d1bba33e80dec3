"""C toolchains: find them, compile with a cache of objects, link.

The cache is addressed by content: compiler, its version, flags and the preprocessed source make the key, so a
changed header, macro or include path is a miss, and the same text built elsewhere is a hit. Where a toolchain is not
installed, the Python package ziglang takes its place if it can.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as memoize
from pathlib import Path

import platformdirs

from tinyops.device.board import Toolchain
from tinyops.device.packages import without_system_packages
from tinyops.device.zig import PACKAGE, find_zig, serves, with_libm, zig_flags
from tinyops.errors import MissingToolError, TinyopsError

_TIMEOUT = 300  # seconds for one compiler run
_CACHE_BYTES = 512 << 20
_DEBUG = re.compile(r"-g(?!0$)")
_OVERFLOW = re.compile(r"region [`']?(\w+)'?:? overflowed by (\d+) bytes")


@dataclass(frozen=True, slots=True)
class _Needs:
    """Names of a toolchain's C compiler, a file of its C library that the compiler must find, how to get them."""

    compilers: tuple[str, ...]
    hint: str
    library: str | None = None
    library_hint: str | None = None


_NEEDS = {
    "host": _Needs(("gcc", "cc", "clang"), "apt-get install gcc libc6-dev (or set CC to a C compiler)"),
    "arm-none-eabi": _Needs(
        ("arm-none-eabi-gcc",),
        "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi (elsewhere: the Arm GNU Toolchain, on the PATH)",
        "libc.a",
        "apt-get install libnewlib-arm-none-eabi",
    ),
    "riscv64-unknown-elf": _Needs(
        ("riscv64-unknown-elf-gcc",),
        "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
        "picolibc.specs",
        "apt-get install picolibc-riscv64-unknown-elf",
    ),
    "xtensa-esp-elf": _Needs(
        ("xtensa-esp-elf-gcc",), "install Espressif's toolchain xtensa-esp-elf and put it on the PATH"
    ),
    "riscv32-esp-elf": _Needs(
        ("riscv32-esp-elf-gcc",), "install Espressif's toolchain riscv32-esp-elf and put it on the PATH"
    ),
}


@dataclass(frozen=True, slots=True)
class InstalledToolchain:
    """A toolchain that is there. `flags` are those of the board; every compiler and linker run gets them.

    `package` names the Python package that stands in for the toolchain; None for the toolchain itself.
    """

    name: str
    cc: Path
    version: str
    flags: tuple[str, ...] = ()
    package: str | None = None

    @property
    def title(self) -> str:
        """In a few words, for people."""
        return f"{self.version} (Python package)" if self.package else self.cc.name


@dataclass(frozen=True, slots=True)
class Unit:
    """A C or assembly source to compile, with flags of its own after the common ones."""

    source: Path
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """Objects in the order of the units, the compiler's warnings, and how many came from the cache."""

    objects: tuple[Path, ...]
    warnings: str
    cached: int


def find_toolchain(toolchain: Toolchain) -> InstalledToolchain:
    """The toolchain a board asks for, or zig in its place; MissingToolError says how to get them."""
    try:
        return _find_installed(toolchain)
    except MissingToolError as error:
        if (toolchain.name == "host" and os.environ.get("CC")) or not serves(toolchain):
            raise
        zig = find_zig()
        if zig is None:
            raise MissingToolError(error.what, where=error.where, hint=without_system_packages(error.hint)) from error
    program, version = zig
    return InstalledToolchain(toolchain.name, program, f"zig {version}", zig_flags(toolchain, program), PACKAGE)


def _find_installed(toolchain: Toolchain) -> InstalledToolchain:
    needs = _NEEDS[toolchain.name]
    cc, extra = _find_compiler(toolchain.name, needs)
    if needs.library and not _finds(cc, needs.library):
        raise MissingToolError(
            f"the C library ({needs.library}) is not installed",
            where=f"toolchain {toolchain.name}",
            hint=needs.library_hint,
        )
    return InstalledToolchain(toolchain.name, cc, _version(cc, extra), (*extra, *toolchain.flags))


def _find_compiler(name: str, needs: _Needs) -> tuple[Path, tuple[str, ...]]:
    """The compiler's path, and words of $CC that follow it (`ccache gcc`, `clang -m32`)."""
    wanted = shlex.split(os.environ.get("CC", "")) if name == "host" else []
    if wanted:
        found = shutil.which(wanted[0])
        if found is None:
            raise MissingToolError(
                f"CC is {os.environ['CC']!r}, which was not found", where="toolchain host", hint="unset CC"
            )
        return Path(found), tuple(wanted[1:])
    for candidate in needs.compilers:
        found = shutil.which(candidate)
        if found:
            return Path(found), ()
    raise MissingToolError(f"no {' or '.join(needs.compilers)} was found", where=f"toolchain {name}", hint=needs.hint)


@memoize
def _version(cc: Path, extra: tuple[str, ...]) -> str:
    result = _run([str(cc), *extra, "--version"], timeout=30)
    lines = result.stdout.splitlines()
    if result.returncode or not lines:
        raise MissingToolError(f"{cc} does not work: {result.stderr.strip()[:500]}", hint="tinyops doctor")
    return lines[0].strip()


@memoize
def _finds(cc: Path, name: str) -> bool:
    found = _run([str(cc), f"-print-file-name={name}"], timeout=30).stdout.strip()
    return os.sep in found and Path(found).is_file()


def compile_objects(
    toolchain: InstalledToolchain,
    units: Sequence[Unit | Path],
    output: Path,
    *,
    flags: Sequence[str] = (),
    include: Sequence[Path] = (),
    cache: Path | None = None,
    jobs: int | None = None,
) -> Compiled:
    """Compile `units` to objects in the folder `output`, in parallel, taking unchanged ones from the cache.

    `flags` follow the board's, a unit's own come last; `cache` is the cache's folder (default: the user's), `jobs` the
    number of compilers at a time (default: the processors). A compiler's error is a TinyopsError with its text.
    """
    output.mkdir(parents=True, exist_ok=True)
    store = cache if cache is not None else _default_cache()
    includes = [f"-I{path}" for path in include]
    tasks = []
    for unit, name in zip(units, _object_names(units), strict=True):
        one = unit if isinstance(unit, Unit) else Unit(unit)
        command = [str(toolchain.cc), *toolchain.flags, *flags, *includes, *one.flags]
        tasks.append(_Task(command, toolchain.version, one.source, output / name, store))
    with ThreadPoolExecutor(max_workers=jobs or os.cpu_count() or 1) as pool:
        try:
            results = list(pool.map(_Task.run, tasks))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if not all(hit for hit, _ in results):
        _prune(store)
    return Compiled(
        objects=tuple(task.target for task in tasks),
        warnings="".join(text for _, text in results),
        cached=sum(hit for hit, _ in results),
    )


@dataclass(frozen=True, slots=True)
class _Task:
    command: list[str]  # compiler and flags
    version: str
    source: Path
    target: Path
    store: Path

    def run(self) -> tuple[bool, str]:
        """Whether it was a hit, and the compiler's warnings. Objects that came with warnings are not kept."""
        key = self._key()
        kept = self.store / key[:2] / f"{key}.o"
        try:
            _copy(kept, self.target)
            os.utime(kept)
            return True, ""
        except OSError:
            pass
        text = self._compile()
        if not text:
            try:
                kept.parent.mkdir(parents=True, exist_ok=True)
                _copy(self.target, kept)
            except OSError:
                return False, ""  # a cache that cannot be written is no reason to fail
        return False, text

    def _key(self) -> str:
        # Line markers hold paths, which matter to debug information alone.
        debug = any(_DEBUG.match(flag) for flag in self.command)
        dialect = [] if debug else ["-P"]
        result = _run([*self.command, "-E", *dialect, str(self.source)])
        if result.returncode:
            raise _failure("does not compile", self.source, [*self.command, "-c", str(self.source)], result.stderr)
        key = hashlib.sha256()
        paths = [flag for flag in self.command[1:] if not flag.startswith("-I")]
        for part in (self.command[0], self.version, self.source.suffix, str(debug), *paths, result.stdout):
            data = part.encode("utf-8", "surrogateescape")
            key.update(len(data).to_bytes(8, "little") + data)
        if debug:
            key.update(str(self.source.resolve()).encode("utf-8", "surrogateescape"))
        return key.hexdigest()

    def _compile(self) -> str:
        with tempfile.TemporaryDirectory(dir=self.target.parent, prefix=".cc-") as folder:
            part = Path(folder) / "out.o"
            command = [*self.command, "-c", str(self.source), "-o", str(part)]
            result = _run(command)
            if result.returncode:
                raise _failure("does not compile", self.source, command, result.stderr)
            part.replace(self.target)
        return result.stderr


def link(
    toolchain: InstalledToolchain,
    objects: Sequence[Path],
    output: Path,
    *,
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> None:
    """Link `objects` to the program `output`; `libraries` are flags such as -lm that follow the objects."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".ld-") as folder:
        part = Path(folder) / output.name
        files = [str(path) for path in objects]
        own = toolchain.flags
        if toolchain.package and toolchain.name != "host" and "-lm" in libraries:
            own = with_libm(own)
        command = [str(toolchain.cc), *own, *flags, *files, *libraries, "-o", str(part)]
        result = _run(command)
        if result.returncode:
            over: dict[str, int] = {}
            for region, count in _OVERFLOW.findall(result.stderr):  # LLD names a region once per section
                over[region] = max(over.get(region, 0), int(count))
            what = "; ".join(f"{region} is too small by {count} bytes" for region, count in over.items())
            raise _failure(what or "does not link", output, command, result.stderr)
        part.replace(output)


def _run(command: Sequence[str], timeout: float = _TIMEOUT) -> subprocess.CompletedProcess[str]:
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(_user_cache() / "zig"), **os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except subprocess.TimeoutExpired as error:
        raise TinyopsError(f"took longer than {timeout:.0f} s", where=shlex.join(command)[:500]) from error
    except OSError as error:
        raise MissingToolError(f"cannot be run: {error.strerror}", where=command[0], hint="tinyops doctor") from error


def _failure(what: str, where: Path, command: Sequence[str], text: str) -> TinyopsError:
    lines = text.strip().splitlines()
    shown = "\n".join(lines[:30] + ([f"... {len(lines) - 30} more lines"] if len(lines) > 30 else []))
    return TinyopsError(f"{what}\n{shown}\n  command: {shlex.join(command)[:2000]}", where=str(where))


def _object_names(units: Sequence[Unit | Path]) -> list[str]:
    """One name per unit: its stem, numbered where two units have the same."""
    seen: dict[str, int] = {}
    names = []
    for unit in units:
        stem = (unit.source if isinstance(unit, Unit) else unit).stem
        count = seen[stem] = seen.get(stem, 0) + 1
        names.append(f"{stem}.o" if count == 1 else f"{stem}.{count}.o")
    return names


def _default_cache() -> Path:
    return _user_cache() / "objects"


def _user_cache() -> Path:
    return Path(platformdirs.user_cache_dir("tinyops"))


def _copy(source: Path, target: Path) -> None:
    """Copy by way of a temporary file, so that `target` is whole or not there."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".copy-")
    os.close(descriptor)
    try:
        shutil.copyfile(source, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _prune(store: Path) -> None:
    """Remove the objects that were not used for longest while the cache is over its size."""
    found = []
    for path in store.glob("*/*.o"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another run has pruned it
            continue
        found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= _CACHE_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size
