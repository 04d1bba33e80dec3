"""Power cuts before, in and after every flash operation of an update and of its recovery, on the device's own code.

firmware/powercut explores them; here it runs optimized and sanitized, and on journals and banks with an essential
step removed, which it must find. TINYOPS_POWERCUT_SCENARIOS and TINYOPS_POWERCUT_SEED say how far it goes and where
(ci/nightly.sh: far).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.resources import data_dir

SCENARIOS = int(os.environ.get("TINYOPS_POWERCUT_SCENARIOS", "60000"))
SEED = os.environ.get("TINYOPS_POWERCUT_SEED", "1")

#: What is removed: file, text, what takes its place. Each text occurs exactly once.
MUTATIONS = {
    "no record before a try": (
        "to_banks.c",
        "record.tries++;\n    to_banks_result result = append(banks, &record);",
        "record.tries++;\n    to_banks_result result = TO_BANKS_OK;",
    ),
    "no CRC": ("to_journal.c", " || get_u32(in + CRC_OFFSET) != crc32(in, CRC_OFFSET)", ""),
    "no other page": ("to_journal.c", "*page ^= 1u;", "*page ^= 0u;"),
    "a page in use is appended to": (
        "to_journal.c",
        "journal->next = page_bytes;\n    journal->kept",
        "journal->next = 0;\n    journal->kept",
    ),
    "what may be torn stays": (
        "to_journal.c",
        "return sealed ? TO_JOURNAL_OK :",
        "return sealed < 2 ? TO_JOURNAL_OK :",
    ),
    "the page that is surely complete is erased": ("to_journal.c", "if (!sealed && order == 1 &&", "if (order == 0 &&"),
    "generations without a gap": (
        "to_journal.c",
        "kept = 1;\n    journal->step = 2;",
        "kept = 1;\n    journal->step = 1;",
    ),
    "resumed units are not erased": (
        "to_banks.c",
        "erase_units(banks, record.bank, record.offset, size);",
        "record.offset != 0 ? TO_BANKS_OK : erase_units(banks, record.bank, 0, size);",
    ),
    "no record before the erasure": (
        "to_banks.c",
        "result = append(banks, &record);\n    if (result == TO_BANKS_OK) {\n        result = erase",
        "result = TO_BANKS_OK;\n    if (result == TO_BANKS_OK) {\n        result = erase",
    ),
    "resumed where anything was written": (
        "to_banks.c",
        "(at - 1u) / flash->erase_bytes * flash->erase_bytes",
        "at / flash->write_bytes * flash->write_bytes",
    ),
    "the digest of a download is not compared": (
        "to_banks.c",
        "if (memcmp(banks->image.digest, digest, sizeof banks->image.digest) != 0) {",
        "(void)digest;\n    if (banks->size == 0) {",
    ),
    "sequence numbers are not committed": (
        "to_banks.c",
        "= banks->image;\n    memcpy(record.sequences, sequences, sizeof record.sequences);",
        "= banks->image;\n    (void)sequences;",
    ),
}


def build(folder: Path, flags: tuple[str, ...] = ("-O2",), mutation: tuple[str, str, str] | None = None) -> Path:
    compiler = shutil.which("gcc") or shutil.which("clang") or pytest.skip("neither gcc nor clang is installed")
    firmware = data_dir("firmware")
    sources = [*sorted((firmware / "powercut").glob("*.c")), firmware / "host" / "flash_file.c"]
    for name in ("to_journal.c", "to_banks.c", "to_sha256.c"):
        source = firmware / "common" / "src" / name
        if mutation is not None and mutation[0] == name:
            _, old, new = mutation
            text = source.read_text()
            assert text.count(old) == 1, f"{name} does not have once: {old}"
            source = folder / name
            source.write_text(text.replace(old, new))
        sources.append(source)
    includes = [f"-I{firmware / part}" for part in ("common/include", "host", "powercut")]
    program = folder / "powercut"
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", *(["-Werror"] if mutation is None else [])]
    command = [compiler, *warnings, *flags, *includes, *map(str, sources), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


def explore(program: Path, *arguments: str) -> tuple[int, int, str]:
    """Scenarios, failures, and the whole output."""
    run = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False, timeout=3600)
    assert run.returncode in (0, 1), run.stderr
    counts = re.search(r"^(\d+) scenarios, (\d+) failures$", run.stdout, re.MULTILINE)
    assert counts, run.stdout
    assert run.returncode == (counts[2] != "0")
    return int(counts[1]), int(counts[2]), run.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("powercut"))


@pytest.mark.slow
def test_no_power_cut_does_harm(program: Path) -> None:
    scenarios, failures, output = explore(program, "--scenarios", str(SCENARIOS), "--seed", SEED)
    assert scenarios >= SCENARIOS
    assert failures == 0, output


@pytest.mark.slow
def test_every_cut_and_every_second_cut_of_a_case(program: Path) -> None:
    scenarios, failures, output = explore(program, "--seed", "5", "--case", "14", "--exhaustive")
    assert scenarios > 100_000
    assert failures == 0, output


def test_no_undefined_behaviour(tmp_path: Path) -> None:
    sanitized = build(tmp_path, ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    scenarios, failures, output = explore(sanitized, "--scenarios", "3000", "--seed", "2")
    assert scenarios >= 3000
    assert failures == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_removed_step_is_found(name: str, tmp_path: Path) -> None:
    mutant = build(tmp_path, mutation=MUTATIONS[name])
    _, failures, output = explore(mutant, "--scenarios", "400000", "--until-failure")
    assert failures > 0
    found = re.search(r"^FAILED --seed (\d+) --case (\d+): ", output, re.MULTILINE)
    assert found
    _, again, _ = explore(mutant, "--seed", found[1], "--case", found[2])
    assert again > 0, "a failure does not repeat"


@pytest.mark.parametrize("arguments", [["--scenarios"], ["--seed", "x"], ["--nothing"], ["--shard", "1"]])
def test_usage(program: Path, arguments: list[str]) -> None:
    run = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr
