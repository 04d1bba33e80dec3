"""Build a libFuzzer target of firmware/fuzz with sanitizers and run it from its committed seeds."""

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


def fuzz(
    target: str, sources: Sequence[Path], seeds: Path, folder: Path, flags: Sequence[str] = (), max_bytes: int = 8192
) -> None:
    """Fail with the fuzzer's report if `target` of firmware/fuzz breaks; skip without clang or its libFuzzer."""
    clang = shutil.which("clang") or pytest.skip("clang is not installed")
    firmware = data_dir("firmware")
    program = folder / Path(target).stem
    sanitize = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    files = [str(firmware / "fuzz" / target), *map(str, sources)]
    include = f"-I{firmware / 'common' / 'include'}"
    command = [clang, *sanitize, *warnings, *flags, include, *files, "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "libclang_rt.fuzzer" in built.stderr:
        pytest.skip("clang has no libFuzzer here")
    assert built.returncode == 0, built.stderr
    found = folder / "found"
    found.mkdir()
    assert any(seeds.iterdir())
    limits = [f"-max_total_time={SECONDS}", f"-max_len={max_bytes}", "-timeout=5", "-rss_limit_mb=512"]
    run = subprocess.run(
        [str(program), *limits, "-verbosity=1", f"-artifact_prefix={folder}/", str(found), str(seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    assert run.returncode == 0, run.stderr[-5000:]
