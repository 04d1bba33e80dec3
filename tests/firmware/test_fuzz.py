"""The device's parsers under a fuzzer, for a bounded time, from the committed corpus."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware import FAKE_MODEL
from tinyops.device.board import find_board
from tinyops.device.firmware import firmware_sources
from tinyops.resources import data_dir

SECONDS = int(os.environ.get("TINYOPS_FUZZ_SECONDS", "15"))


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-DTO_FEATURES",), ("-DTO_NETWORK", "-DTO_DEVICE_PEERS=3")], ids=str)
def test_fuzz_device(options: tuple[str, ...], tmp_path: Path) -> None:
    clang = shutil.which("clang") or pytest.skip("clang is not installed")
    firmware = data_dir("firmware")
    everywhere = firmware_sources(find_board("qemu-cortex-m4")).sources
    common = [path for path in everywhere if path.parent.name == "src" and path.name != "main.c"]
    sources = [firmware / "fuzz" / "fuzz_device.c", FAKE_MODEL, *common]
    program = tmp_path / "fuzz_device"
    sanitize = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", '-DTINYOPS_VERSION="fuzz"']
    flags += options
    include = f"-I{firmware / 'common' / 'include'}"
    built = subprocess.run(
        [clang, *sanitize, *flags, include, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "libclang_rt.fuzzer" in built.stderr:
        pytest.skip("clang has no libFuzzer here")
    assert built.returncode == 0, built.stderr
    found = tmp_path / "found"
    found.mkdir()
    seeds = firmware / "fuzz" / "corpus"
    assert any(seeds.iterdir())
    limits = [f"-max_total_time={SECONDS}", "-max_len=8192", "-timeout=5", "-rss_limit_mb=512", "-verbosity=1"]
    run = subprocess.run(
        [str(program), *limits, f"-artifact_prefix={tmp_path}/", str(found), str(seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    assert run.returncode == 0, run.stderr[-5000:]
