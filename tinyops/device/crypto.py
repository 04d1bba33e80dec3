"""The cryptographic C libraries of updatable firmware, got when they are first needed.

They are well-kept libraries that ship inside packages of Python and Rust, so the ordinary clients of those, pip and
cargo, bring them, in the versions below. Nothing of the packages is run: of each archive the few C files that the
firmware needs are taken, and archive and files must have the SHA-256 that is written here.

The files are kept in the user's cache. `TINYOPS_CRYPTO_DIR` names a folder with the archives, for sites without a
network: then neither client is called.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import platformdirs

from tinyops.device.crypto_libraries import LIBRARIES, Library
from tinyops.device.crypto_libraries import CryptoAlgorithm as CryptoAlgorithm
from tinyops.errors import MissingToolError, TinyopsError, UsageError

ALGORITHMS: tuple[CryptoAlgorithm, ...] = get_args(CryptoAlgorithm)

#: A folder with the archives, named as `Library.archive` says.
OFFLINE = "TINYOPS_CRYPTO_DIR"
_TIMEOUT = 600  # seconds for one client
_ARCHIVE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Licence:
    """A library that is linked into the firmware: SPDX expression, and the file with its text."""

    library: str
    version: str
    spdx: str
    text: Path


@dataclass(frozen=True, slots=True)
class CryptoSources:
    """What firmware with these algorithms is compiled of, besides firmware/common.

    `cflags` go to every source of the firmware. `sources` are of other projects, whose warnings are not ours: compile
    them with `source_cflags`, too.
    """

    sources: tuple[Path, ...]
    include_dirs: tuple[Path, ...]
    cflags: tuple[str, ...]
    source_cflags: tuple[str, ...]
    licences: tuple[Licence, ...]


def crypto_sources(
    algorithms: Iterable[str], *, cache: Path | None = None, progress: Callable[[str], None] | None = None
) -> CryptoSources:
    """The C sources for `algorithms` (of `ALGORITHMS`), brought into `cache` (default: the user's) when not there.

    `progress` gets a line before something is brought (default: standard error). Raises UsageError for an algorithm
    that is not known, MissingToolError where pip or cargo is missing, TinyopsError when they fail, or when what they
    bring is not what it must be.
    """
    wanted = sorted(set(algorithms), key=lambda name: (name not in ALGORITHMS, name))
    for name in wanted:
        if name not in ALGORITHMS:
            raise UsageError(f"{name!r} is not known", where="update algorithms", allowed=", ".join(ALGORITHMS))
    say = progress or (lambda line: print(line, file=sys.stderr))
    store = cache or Path(platformdirs.user_cache_dir("tinyops")) / "crypto"
    libraries = [LIBRARIES[name] for name in ALGORITHMS if name in wanted and name in LIBRARIES]
    folders = [_ensure(library, store, say) for library in libraries]
    pairs = list(zip(libraries, folders, strict=True))
    return CryptoSources(
        sources=tuple(folder / name for library, folder in pairs for name in library.sources),
        include_dirs=tuple(folder / name for library, folder in pairs for name in library.include_dirs),
        cflags=(
            *(f"-DTO_CRYPTO_{name.upper()}=1" for name in ALGORITHMS if name in wanted),
            *(flag for library in libraries for flag in library.cflags),
        ),
        source_cflags=("-w",),
        licences=tuple(
            Licence(library.name, library.version, library.spdx, folder / library.licence) for library, folder in pairs
        ),
    )


def _ensure(library: Library, store: Path, say: Callable[[str], None]) -> Path:
    """The library's folder in the cache, whole and unchanged."""
    folder = store / library.folder
    if _is_whole(library, folder):
        return folder
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store, prefix=".get-") as work:
            archive = _archive(library, Path(work), say)
            fresh = Path(work) / "files"
            _extract(library, archive, fresh)
            if folder.exists():
                shutil.move(folder, Path(work) / "old")
            fresh.replace(folder)
    except OSError as error:
        if not _is_whole(library, folder):  # another process may have been faster
            raise TinyopsError(f"cannot be kept: {error}", where=str(folder), hint="tinyops doctor") from error
    return folder


def _is_whole(library: Library, folder: Path) -> bool:
    try:
        return all(_sha256(folder / name) == digest for name, digest in library.files.items()) and all(
            (folder / name).read_text(encoding="utf-8") == text for name, text in library.written
        )
    except OSError:
        return False


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _archive(library: Library, work: Path, say: Callable[[str], None]) -> Path:
    """The archive, with the right digest."""
    offline = os.environ.get(OFFLINE)
    if offline:
        path = Path(offline) / library.archive
        if not path.is_file():
            raise MissingToolError(f"there is no {library.archive}", where=f"{OFFLINE}={offline}")
    else:
        say(f"getting {library.name} {library.version} with {library.client} (once)")
        path = _with_pip(library, work) if library.client == "pip" else _with_cargo(library, work)
    if path.stat().st_size > _ARCHIVE_BYTES or _sha256(path) != library.sha256:
        raise TinyopsError("is not the archive that it must be", where=str(path), allowed=f"SHA-256 {library.sha256}")
    return path


def _extract(library: Library, archive: Path, folder: Path) -> None:
    """The files that are needed, each with the right digest; nothing else of the archive."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name, digest in library.files.items():
                data = _member(tar, f"{library.folder}/{name}")
                if hashlib.sha256(data).hexdigest() != digest:
                    raise TinyopsError(f"{name} is not the file that it must be", where=str(archive))
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TinyopsError(f"is not readable: {error}", where=str(archive)) from error
    for name, text in library.written:
        (folder / name).write_text(text, encoding="utf-8")


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise tarfile.ReadError(f"there is no {name}")
    return stream.read()


#: pip asks a source package's build system for its metadata. This one knows them, and runs nothing of the package.
_BACKEND = """import os
import sys

__legacy__ = sys.modules[__name__]


def get_requires_for_build_wheel(settings=None):
    return []


def prepare_metadata_for_build_wheel(folder, settings=None):
    name, version = os.environ["TINYOPS_METADATA"].split("==")
    info = f"{name}-{version}.dist-info"
    os.makedirs(os.path.join(folder, info))
    with open(os.path.join(folder, info, "METADATA"), "w", encoding="utf-8") as file:
        file.write(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info
"""


@contextmanager
def _backend() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tinyops-pip-") as folder:
        package = Path(folder) / "setuptools"
        package.mkdir()
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "build_meta.py").write_text(_BACKEND, encoding="utf-8")
        yield folder


def _with_pip(library: Library, work: Path) -> Path:
    requirement = f"{library.package}=={library.version}"
    listed = work / "requirements.txt"
    listed.write_text(f"{requirement} --hash=sha256:{library.sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--no-binary", library.package, "--no-build-isolation", "--require-hashes"]
    options += ["--disable-pip-version-check", "--quiet", "--dest", str(work)]
    if _run([sys.executable, "-m", "pip", "--version"], {}).returncode:
        raise MissingToolError(
            "pip is not installed for this Python",
            where=f"getting {library.name}",
            hint=f"{sys.executable} -m ensurepip (or put {library.archive} into a folder that {OFFLINE} names)",
        )
    with _backend() as backend:
        paths = os.pathsep.join(filter(None, (backend, os.environ.get("PYTHONPATH"))))
        environment = {"PYTHONPATH": paths, "TINYOPS_METADATA": requirement}
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(listed)]
        result = _run(command, environment)
    path = work / library.archive
    if result.returncode or not path.is_file():
        raise _failure(library, result)
    return path


def _with_cargo(library: Library, work: Path) -> Path:
    cargo = shutil.which("cargo")
    if cargo is None:
        raise MissingToolError(
            "cargo is not installed",
            where=f"getting {library.name}",
            hint=f"install Rust's cargo (or put {library.archive} into a folder that {OFFLINE} names)",
        )
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    # Showing a package's facts is the least that makes cargo bring its archive, without those it depends on.
    result = _run([cargo, "info", "--quiet", f"{library.package}@{library.version}"], {}, cwd=work)
    found = sorted((home / "registry" / "cache").glob(f"*/{library.archive}"))
    if not found:  # cargo before 1.82 cannot show them
        (work / "src").mkdir()
        (work / "src" / "lib.rs").write_text("", encoding="utf-8")
        text = f'[package]\nname = "get"\nversion = "0.0.0"\n[dependencies]\n{library.package} = "={library.version}"\n'
        (work / "Cargo.toml").write_text(text, encoding="utf-8")
        result = _run([cargo, "fetch", "--quiet"], {}, cwd=work)
        found = sorted((home / "registry" / "cache").glob(f"*/{library.archive}"))
    if not found:
        raise _failure(library, result)
    return found[0]


def _run(
    command: list[str], environment: dict[str, str], *, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TinyopsError(f"took longer than {_TIMEOUT} s", where=" ".join(command[:4])) from error


def _failure(library: Library, result: subprocess.CompletedProcess[str]) -> TinyopsError:
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return TinyopsError(
        f"{library.client} did not bring {library.package} {library.version}\n" + "\n".join(lines[-8:]),
        where=f"getting {library.name}",
        hint=f"where there is no network: put {library.archive} into a folder that {OFFLINE} names",
    )
