"""The importer under a coverage-guided fuzzer, for a bounded time, from the committed seeds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.make_seeds import SEEDS, seeds
from tests.load.test_hostile import compile_all

SECONDS = int(os.environ.get("TINYOPS_FUZZ_SECONDS", "20"))
_ROOT = Path(__file__).resolve().parents[2]


def test_seeds_are_small_and_accepted(tmp_path: Path) -> None:
    committed = {path.name: path.read_bytes() for path in SEEDS.iterdir()}
    made = dict(seeds())
    assert committed.keys() == made.keys()
    for files in (committed, made):
        assert all(len(content) < 4096 for content in files.values())
        assert set(compile_all(tmp_path, files).values()) == {None}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
def test_fuzz_importer(tmp_path: Path) -> None:
    found = tmp_path / "found"
    shutil.copytree(SEEDS, found)
    limits = [f"-max_total_time={SECONDS}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1024"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.load.fuzz_importer", *limits, f"-artifact_prefix={tmp_path}/", str(found)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
        cwd=_ROOT,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    assert len(list(found.iterdir())) > len(list(SEEDS.iterdir())), "coverage was not extended: nothing was fuzzed"
