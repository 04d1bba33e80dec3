"""The libraries of updatable firmware: what is brought must be exactly what is pinned, whole, or nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from tinyops.device import crypto
from tinyops.device.crypto import ALGORITHMS, OFFLINE, CryptoSources, crypto_sources
from tinyops.device.crypto_libraries import LIBRARIES, MONOCYPHER, Library
from tinyops.errors import MissingToolError, TinyopsError, UsageError


def quiet(line: str) -> None:
    del line


def archive(library: Library, folder: Path, files: dict[str, bytes]) -> Path:
    """An archive as a registry has it."""
    path = folder / library.archive
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{library.folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Library, Path]:
    """A library of two files in an archive, that stands for the one of Ed25519."""
    files = {"lib.c": b"int lib;\n", "LICENSE": b"free\n"}
    library = dataclasses.replace(
        MONOCYPHER,
        package="small",
        version="1.0",
        licence="LICENSE",
        sources=("lib.c",),
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        written=(("config.h", "#define X\n"),),
    )
    offline = tmp_path / "offline"
    offline.mkdir()
    path = archive(library, offline, {**files, "setup.py": b"raise SystemExit('run')\n"})
    library = dataclasses.replace(library, sha256=crypto._sha256(path))
    monkeypatch.setitem(LIBRARIES, "ed25519", library)
    monkeypatch.setenv(OFFLINE, str(offline))
    return library, path


def test_pinned_libraries() -> None:
    """The real ones, from the cache or brought."""
    found = crypto_sources(ALGORITHMS, progress=quiet)
    assert {path.name for path in found.sources} == {"monocypher.c", "tinyops_uECC.c", "aes.c", "tinyops_zeroize.c"}
    assert all(path.is_file() for path in found.sources)
    assert all(licence.text.is_file() for licence in found.licences)
    assert [licence.library for licence in found.licences] == ["Monocypher", "micro-ecc", "Mbed TLS"]
    assert {flag for flag in found.cflags if flag.startswith("-DTO_")} == {
        f"-DTO_CRYPTO_{name.upper()}=1" for name in ALGORITHMS
    }


def test_only_what_is_asked_for() -> None:
    found = crypto_sources(["hsslms"], progress=quiet)
    assert found == CryptoSources((), (), ("-DTO_CRYPTO_HSSLMS=1",), ("-w",), ())
    with pytest.raises(UsageError, match="'rsa' is not known"):
        crypto_sources(["ed25519", "rsa"])


def test_offline(small: tuple[Library, Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    said: list[str] = []
    found = crypto_sources(["ed25519"], cache=cache, progress=said.append)
    folder = cache / "small-1.0"
    assert found.sources == (folder / "lib.c",)
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "config.h", "lib.c"]  # nothing else of it
    assert [path.name for path in cache.iterdir()] == ["small-1.0"]
    assert said == []
    # Kept: the archive is not needed again. A changed file is brought again.
    small[1].rename(small[1].with_suffix(".away"))
    assert crypto_sources(["ed25519"], cache=cache) == found
    (folder / "lib.c").write_text("int evil;\n")
    with pytest.raises(MissingToolError, match="there is no small-1"):
        crypto_sources(["ed25519"], cache=cache)
    small[1].with_suffix(".away").rename(small[1])
    crypto_sources(["ed25519"], cache=cache)
    assert (folder / "lib.c").read_text() == "int lib;\n"
    (folder / "config.h").write_text("#define Y\n")
    crypto_sources(["ed25519"], cache=cache)
    assert (folder / "config.h").read_text() == "#define X\n"


def test_wrong_archives(small: tuple[Library, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, path = small
    cache = tmp_path / "cache"

    def refused(match: str) -> None:
        with pytest.raises(TinyopsError, match=match):
            crypto_sources(["ed25519"], cache=cache)
        assert not any(cache.iterdir())

    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused("not the archive")
    for data in (whole[: len(whole) // 2], b"", b"not gzip"):
        path.write_bytes(data)
        pinned = dataclasses.replace(library, sha256=crypto._sha256(path))
        monkeypatch.setitem(LIBRARIES, "ed25519", pinned)
        refused("not readable")
    archive(library, path.parent, {"lib.c": b"int evil;\n", "LICENSE": b"free\n"})
    monkeypatch.setitem(LIBRARIES, "ed25519", dataclasses.replace(library, sha256=crypto._sha256(path)))
    refused("lib.c is not the file")
    archive(library, path.parent, {"lib.c": b"int lib;\n"})
    monkeypatch.setitem(LIBRARIES, "ed25519", dataclasses.replace(library, sha256=crypto._sha256(path)))
    refused("not readable: there is no small-1.0/LICENSE")


def test_missing_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OFFLINE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="cargo is not installed") as caught:
        crypto_sources(["es256"], cache=tmp_path / "cache", progress=quiet)
    assert OFFLINE in (caught.value.hint or "")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(MissingToolError, match="pip is not installed") as caught:
        crypto_sources(["ed25519"], cache=tmp_path / "cache", progress=quiet)
    assert OFFLINE in (caught.value.hint or "")


def test_client_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OFFLINE, raising=False)
    tool = tmp_path / "cargo"
    tool.write_text("#!/bin/sh\necho 'error: no network' >&2\nexit 101\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    said: list[str] = []
    with pytest.raises(TinyopsError, match="cargo did not bring micro-ecc-sys") as caught:
        crypto_sources(["es256"], cache=tmp_path / "cache", progress=said.append)
    assert "no network" in str(caught.value)
    assert said == ["getting micro-ecc 0.3.2 with cargo (once)"]


def test_brought_by_pip_and_cargo(tmp_path: Path) -> None:
    """With an empty cache the clients bring them."""
    algorithms = ["ed25519"] if shutil.which("cargo") is None else ["ed25519", "es256", "aes"]
    found = crypto_sources(algorithms, cache=tmp_path, progress=quiet)
    assert all(path.is_file() for path in found.sources)
    assert all(path.is_relative_to(tmp_path) for path in found.sources)
