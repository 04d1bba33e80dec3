"""What comes from a network under a fuzzer: the device's CoAP client, OSCORE, URIs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.fuzzing import FUZZER, find_clang, run_fuzzer
from tests.support.receiver import WARNINGS
from tinyops.device.crypto import crypto_sources
from tinyops.resources import data_dir

OWN = ("to_aes", "to_cbor", "to_coap", "to_fetch", "to_hmac", "to_oscore", "to_sha256", "to_text", "to_uri")


@pytest.mark.slow
def test_fuzz_network(tmp_path: Path) -> None:
    clang = find_clang(tmp_path)
    firmware = data_dir("firmware")
    crypto = crypto_sources(["aes"])
    own = [firmware / "fuzz" / "fuzz_network.c", *(firmware / "common" / "src" / f"{name}.c" for name in OWN)]
    include = [f"-I{path}" for path in (firmware / "common" / "include", *crypto.include_dirs)]
    objects = []
    for number, path in enumerate((*own, *crypto.sources)):
        flags = crypto.source_cflags if path in crypto.sources else (*WARNINGS, "-DTO_NETWORK", "-DTO_OSCORE")
        objects.append(str(tmp_path / f"{number}.o"))
        command = [clang, *flags, *FUZZER, *crypto.cflags, *include, "-c", str(path), "-o", objects[-1]]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
    program = tmp_path / "fuzz_network"
    subprocess.run([clang, *FUZZER, *objects, "-o", str(program)], capture_output=True, check=True)
    run_fuzzer(program, firmware / "fuzz" / "corpus_network", tmp_path)
