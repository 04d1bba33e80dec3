"""The receiver's parsers under a fuzzer, for a bounded time, from the committed corpora."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fuzzing import FUZZER, find_clang, run_fuzzer
from tests.support.receiver import FIRMWARE, build_program

#: Target: source, more flags, files that it stands for.
TARGETS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "envelope": ("fuzz_suit.c", (), ()),
    "manifest": ("fuzz_suit.c", ("-DFUZZ_MANIFEST",), ("to_cose",)),
    "cose": ("fuzz_cose.c", (), ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_suit(target: str, tmp_path: Path) -> None:
    clang = find_clang(tmp_path)
    source, flags, without = TARGETS[target]
    program = build_program(
        FIRMWARE / "fuzz" / source, tmp_path / "fuzz", cc=clang, flags=[*FUZZER, *flags], without=without
    )
    run_fuzzer(program, FIRMWARE / "fuzz" / f"corpus_{target}", tmp_path, max_bytes=4096, seconds=10)
