"""The receiver's parsers under a fuzzer, for a bounded time, from the committed corpora."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.receiver import FIRMWARE, build_program

SECONDS = int(os.environ.get("TINYOPS_FUZZ_SECONDS", "15"))
FUZZER = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
#: Target: source, more flags, files that it stands for.
TARGETS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "envelope": ("fuzz_suit.c", (), ()),
    "manifest": ("fuzz_suit.c", ("-DFUZZ_MANIFEST",), ("to_cose",)),
    "cose": ("fuzz_cose.c", (), ()),
}


def has_fuzzer(clang: str, folder: Path) -> bool:
    probe = folder / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }\n")
    command = [clang, "-fsanitize=fuzzer", str(probe), "-o", str(folder / "probe")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_suit(target: str, tmp_path: Path) -> None:
    clang = shutil.which("clang") or pytest.skip("clang is not installed")
    if not has_fuzzer(clang, tmp_path):
        pytest.skip("clang has no libFuzzer here")
    source, flags, without = TARGETS[target]
    program = build_program(
        FIRMWARE / "fuzz" / source, tmp_path / "fuzz", cc=clang, flags=[*FUZZER, *flags], without=without
    )
    found = tmp_path / "found"
    found.mkdir()
    seeds = FIRMWARE / "fuzz" / f"corpus_{target}"
    assert any(seeds.iterdir())
    limits = [f"-max_total_time={SECONDS}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=512", "-verbosity=1"]
    run = subprocess.run(
        [str(program), *limits, f"-artifact_prefix={tmp_path}/", str(found), str(seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    assert run.returncode == 0, run.stderr[-5000:]
