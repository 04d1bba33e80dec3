"""`tinyops bench`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tinyops.device import bench
from tinyops.device.board import find_board
from tinyops.device.report_file import BenchReport, read_report
from tinyops.errors import MissingToolError


@pytest.fixture
def junk(tmp_path: Path) -> Path:
    path = tmp_path / "junk.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    return path


def test_models_on_boards(tinyops: Any, digits: Path, speakers: Path, emulator: str) -> None:
    done = tinyops("bench", digits, speakers, "-b", emulator, "-b", "host", "--json", "b.json", "--html", "b.html")
    assert (done.code, done.err) == (0, "")
    results = json.loads(Path("b.json").read_text())["results"]
    assert [(Path(r["model"]).stem, r["board"]) for r in results] == [
        ("digits", emulator),
        ("digits", "host"),
        ("speakers", emulator),
        ("speakers", "host"),
    ]
    assert isinstance(read_report(Path("b.json")), BenchReport)
    page = Path("b.html").read_text(encoding="utf-8")
    for r in results:
        assert (r["status"], r["mismatches"]) == ("ok", 0)
        assert f"{r['memory']['flash_bytes']:,}" in done.out
        assert f">{r['memory']['flash_bytes']:,}<" in page
    counted, host = results[0], results[1]
    assert counted["kind"] == "emulated-instructions"
    assert counted["instructions"] == pytest.approx(sum(x["instructions"] for x in counted["layers"]), rel=0.01)
    assert f"{counted['instructions']:,}" in done.out
    assert host["instructions"] is host["kind"] is None
    assert counted["outputs_sha256"] == host["outputs_sha256"], "the same bits everywhere"
    assert "4 of 4 bit-exact" in done.out
    assert sorted(path.name for path in Path().iterdir()) == ["b.html", "b.json"], "builds are not kept"


def test_the_seed_decides(tinyops: Any, digits: Path) -> None:
    one, again, other = (
        tinyops("bench", digits, "-b", "host", "--seed", seed, "--json").json()["results"][0]["outputs_sha256"]
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_a_failure_does_not_stop_the_others(tinyops: Any, digits: Path, junk: Path) -> None:
    done = tinyops("bench", junk, digits, "-b", "host", "-b", "thingy91", "--json", "b.json", "--html", "b.html")
    assert done.code == 1
    results = json.loads(Path("b.json").read_text())["results"]
    assert [r["status"] for r in results] == ["failed", "failed", "ok", "failed"]
    assert "no bare-metal firmware port" in results[3]["error"]["error"]
    assert done.out.count("failed:") == 3
    assert "1 of 4 bit-exact, 3 not" in done.out
    assert "3 of 4 did not succeed" in Path("b.html").read_text(encoding="utf-8")
    assert isinstance(read_report(Path("b.json")), BenchReport)


def test_a_board_without_its_system_does_not_stop_the_others(
    tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RIOTBASE", raising=False)
    done = tinyops("bench", digits, "-b", "nrf52dk", "-b", "host", "--json")
    assert done.code == 1
    missing, good = done.json()["results"]
    assert (missing["status"], missing["board"], missing["error"]["error"]) == ("failed", "nrf52dk", "no RIOT is named")
    assert (good["status"], good["mismatches"]) == ("ok", 0)


def test_a_fault_of_ours_does_not_stop_the_others(
    tinyops: Any, digits: Path, speakers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.build_firmware

    def build(source: Path, *arguments: Any, **named: Any) -> Any:
        if source == digits:
            raise ZeroDivisionError("in a test")
        return real(source, *arguments, **named)

    monkeypatch.setattr(bench, "build_firmware", build)
    done = tinyops("bench", digits, speakers, "-b", "host")
    assert done.code == 1
    assert "internal error: ZeroDivisionError: in a test" in done.out
    assert "1 of 2 bit-exact, 1 not" in done.out


def test_a_mismatch_is_a_failure(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.run_sequence
    monkeypatch.setattr(bench, "run_sequence", lambda *a, **n: dataclasses.replace(real(*a, **n), mismatches=3))
    done = tinyops("bench", digits, "-b", "host", "--html", "b.html")
    assert done.code == 1
    assert "3 mismatches" in done.out
    assert "3 output values differ from the reference" in Path("b.html").read_text(encoding="utf-8")


def test_settings_and_kept_builds(tinyops: Any, digits: Path) -> None:
    done = tinyops(
        "bench", digits, digits, "-b", "host", "--plan-seconds", 1, "--plan-seconds", 3, "-o", "kept", "--json"
    )
    assert [r["plan_seconds"] for r in done.json()["results"]] == [1, 3], "one model, named twice, is one model"
    assert sorted(path.name for path in Path("kept").iterdir()) == ["digits-host", "digits-host-2"]
    assert tinyops("run", "kept/digits-host", "--verify").code == 0


def test_the_default_is_all_emulated_boards(tinyops: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_arguments: Any, **_named: Any) -> Any:
        raise MissingToolError("no compiler was found", hint="apt-get install one")

    monkeypatch.setattr(bench, "build_firmware", build)
    done = tinyops("bench", digits, "--json")
    results = done.json()["results"]
    assert done.code == 1
    assert {"qemu-cortex-m4", "qemu-cortex-m0plus", "qemu-riscv32"} <= {r["board"] for r in results}
    assert {find_board(r["board"]).kind for r in results} == {"emulated"}
    assert {r["error"]["hint"] for r in results} == {"apt-get install one"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no.tflite",),
        ("junk.tflite", "-b", "nosuchboard"),
        ("junk.tflite", "-b", "host", "--html", "page.txt"),
        ("junk.tflite", "-b", "host", "-o", "junk.tflite"),
        ("junk.tflite", "-b", "host", "--plan-seconds", "0"),
    ],
)
def test_wrong_use(tinyops: Any, junk: Path, arguments: tuple[str, ...]) -> None:
    assert tinyops("bench", *arguments).code == 2
    assert [path.name for path in Path().iterdir()] == ["junk.tflite"]
