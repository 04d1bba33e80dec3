"""What comes from a network under a fuzzer: the device's CoAP client, OSCORE, URIs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.receiver import WARNINGS
from tinyops.device.crypto import crypto_sources
from tinyops.resources import data_dir

SECONDS = int(os.environ.get("TINYOPS_FUZZ_SECONDS", "15"))
OWN = ("to_aes", "to_cbor", "to_coap", "to_fetch", "to_hmac", "to_oscore", "to_sha256", "to_text", "to_uri")


@pytest.mark.slow
def test_fuzz_network(tmp_path: Path) -> None:
    clang = shutil.which("clang") or pytest.skip("clang is not installed")
    firmware = data_dir("firmware")
    crypto = crypto_sources(["aes"])
    own = [firmware / "fuzz" / "fuzz_network.c", *(firmware / "common" / "src" / f"{name}.c" for name in OWN)]
    include = [f"-I{path}" for path in (firmware / "common" / "include", *crypto.include_dirs)]
    sanitize = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    objects = []
    for number, path in enumerate((*own, *crypto.sources)):
        flags = crypto.source_cflags if path in crypto.sources else (*WARNINGS, "-DTO_NETWORK", "-DTO_OSCORE")
        objects.append(str(tmp_path / f"{number}.o"))
        command = [clang, *flags, *sanitize, *crypto.cflags, *include, "-c", str(path), "-o", objects[-1]]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
    program = tmp_path / "fuzz_network"
    linked = subprocess.run(
        [clang, *sanitize, *objects, "-o", str(program)], capture_output=True, text=True, check=False
    )
    if "libclang_rt.fuzzer" in linked.stderr:
        pytest.skip("clang has no libFuzzer here")
    assert linked.returncode == 0, linked.stderr
    found = tmp_path / "found"
    found.mkdir()
    seeds = firmware / "fuzz" / "corpus_network"
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
    (tmp_path / "log").write_text(run.stderr)
