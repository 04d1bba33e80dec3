"""Build libFuzzer targets of firmware/fuzz with sanitizers and run them from their committed seeds."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tinyops.resources import data_dir

#: How long each target runs.
SECONDS = int(os.environ.get("TINYOPS_FUZZ_SECONDS", "15"))

FUZZER = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
_WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def find_clang(folder: Path) -> str:
    """A clang with libFuzzer, tried in `folder`; the test is skipped without one."""
    clang = shutil.which("clang") or pytest.skip("clang is not installed")
    probe = folder / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }\n")
    command = [clang, *FUZZER, str(probe), "-o", str(folder / "probe")]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("clang has no libFuzzer here")
    return clang


def run_fuzzer(program: Path, seeds: Path, folder: Path, max_bytes: int = 8192, seconds: int = 5) -> str:
    """Run a target from the seeds of a folder, `seconds` at most for one input.

    Fails with the report when it breaks, else returns the report.
    """
    assert any(seeds.iterdir())
    found = folder / "found"
    found.mkdir()
    limits = [f"-max_total_time={SECONDS}", f"-max_len={max_bytes}", f"-timeout={seconds}", "-rss_limit_mb=512"]
    limits += ["-verbosity=1", f"-artifact_prefix={folder}/"]
    # By way of a shell that forks: the kernel hands the peak memory of who forks, a large pytest, on through exec, and
    # libFuzzer would take it for its own.
    run = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", str(program), *limits, str(found), str(seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    return run.stderr


def fuzz(
    target: str, sources: Sequence[Path], seeds: Path, folder: Path, flags: Sequence[str] = (), max_bytes: int = 8192
) -> None:
    """Compile `target` of firmware/fuzz with `sources`, and run it."""
    clang = find_clang(folder)
    firmware = data_dir("firmware")
    program = folder / Path(target).stem
    files = [str(firmware / "fuzz" / target), *map(str, sources)]
    include = f"-I{firmware / 'common' / 'include'}"
    command = [clang, *FUZZER, *_WARNINGS, *flags, include, *files, "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    run_fuzzer(program, seeds, folder, max_bytes)
