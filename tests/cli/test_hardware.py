"""Cycles of hardware, kind measured-on-board: from the device through run, bench, reports and pages, and from nothing
that is emulated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hardware import CLOCK_HZ, STACK_BYTES, attached, build_measured
from tinyops.cli import bench as cli_bench
from tinyops.cli import boot, run
from tinyops.device import bench
from tinyops.device.board import Board, find_board
from tinyops.device.build import REPORT, Build
from tinyops.device.client import DeviceClient
from tinyops.device.compare import compare_reports
from tinyops.device.emulator import launch
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.boards import Outcome
from tinyops.device.report_file import BenchReport, RunReport, read_report
from tinyops.emit.html import model_page
from tinyops.resources import data_dir

DIGITS = data_dir("models") / "digits" / "digits.tflite"
BOARD = "nrf52840dk"


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_measured(DIGITS, tmp_path_factory.mktemp("measured") / "build", name="digits")


@pytest.fixture
def port(firmware: Build) -> Iterator[str]:
    with attached(firmware.elf) as address:
        yield address


@pytest.fixture
def finished(firmware: Build, tmp_path: Path) -> Path:
    """A build's folder as one for hardware is."""
    folder = tmp_path / "finished"
    folder.mkdir()
    board = find_board(BOARD)
    report = firmware.report | {"os": {"name": "riot", "board": BOARD, "network": "slipmux"}}
    report["board"] = {"name": board.name, "kind": board.kind, "core": board.processor.core}
    (folder / REPORT).write_text(json.dumps(report))
    (folder / "model.tflite").write_bytes(DIGITS.read_bytes())
    return folder


def check(result: dict[str, Any]) -> None:
    assert (result["kind"], result["instructions"], result["mismatches"]) == ("measured-on-board", None, 0)
    assert result["cycles"] > 0
    assert (result["clock_hz"], result["stack_bytes_used"]) == (CLOCK_HZ, STACK_BYTES)
    assert result["milliseconds"] == pytest.approx(1000 * result["cycles"] / CLOCK_HZ)
    assert all(layer["cycles"] > 0 and layer["instructions"] is None for layer in result["layers"])


def test_device_says_cycles_and_clock(port: str) -> None:
    with DeviceClient.open(port) as client:
        assert (client.info().counter, client.info().clock_hz) == ("measured-on-board", CLOCK_HZ)
        assert client.profile().kind == "measured-on-board"
        assert client.profile().stack_bytes_used == STACK_BYTES


def test_what_is_launched_is_never_measured(firmware: Build) -> None:
    """Whatever the firmware says: a process or an emulator is no hardware."""
    with launch(find_board("host"), firmware.elf) as client:
        info = client.info()
        assert (info.counter, info.clock_hz) == ("none", None)
        client.infer([firmware_input()], profile=True)
        client.infer([firmware_input()])
        profile = client.profile()
        assert (profile.kind, profile.invocation, profile.layers) == ("none", None, ())


def firmware_input() -> Any:
    import numpy as np

    return np.zeros((1, 8, 8, 1), np.int8)


def test_run_at_a_port(tinyops: Any, port: str) -> None:
    done = tinyops("run", DIGITS, "--port", port, "--verify", "--json", "run.json")
    assert done.code == 0, done.err
    result = json.loads(Path("run.json").read_text())
    check(result)
    said = done.out
    assert re.search(r"^layer +operator +cycles +share$", said, re.MULTILINE)
    ms = f"{result['milliseconds']:,.3f} ms at 64 MHz"
    assert f"one invocation: {result['cycles']:,} cycles, {ms} (measured-on-board)" in said
    assert f"stack used since the start: {STACK_BYTES:,} B at most (measured-on-board)" in said
    assert "instructions" not in said
    assert isinstance(read_report(Path("run.json")), RunReport)


def test_run_of_a_finished_build_finds_the_board(
    tinyops: Any, port: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is flashed: the board runs what it was flashed with. The page of the build gets the cycles."""
    asked: list[Board] = []
    monkeypatch.setattr(run, "find_serial_port", lambda board: asked.append(board) or port)
    monkeypatch.setattr(boot, "flash_board", lambda *_: pytest.fail("was flashed"))
    done = tinyops("run", finished, "--verify", "--json")
    assert done.code == 0, done.err
    check(done.json())
    assert done.json()["board"] == BOARD
    assert [board.name for board in asked] == [BOARD]
    page = (finished / "report.html").read_text(encoding="utf-8")
    for text in (
        "Cycles per invocation",
        "Time at 64 MHz",
        "Stack used, at most",
        "read from a counter of real hardware",
    ):
        assert text in page
    assert "Instructions" not in page
    assert f"{done.json()['cycles']:,}" in page


def test_run_of_a_network_wants_its_address(tinyops: Any, finished: Path) -> None:
    report = json.loads((finished / REPORT).read_text())
    report["os"]["network"] = "802154"
    (finished / REPORT).write_text(json.dumps(report))
    done = tinyops("run", finished)
    assert done.code == 2
    assert "is reached by its network, 802154" in done.err
    assert "--port" in done.err


def test_run_of_a_model_flashes_it(
    tinyops: Any, port: str, firmware: Build, finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flashed: list[tuple[Path, str]] = []
    board = find_board(BOARD)
    target = boot.Target(BOARD, board, None)
    monkeypatch.setattr(run, "choose_boot", lambda *_: boot.Boot(finished, board, target, riot=True))
    monkeypatch.setattr(
        boot, "build", lambda *_, **__: Build(finished, board, firmware.elf, None, None, {}, firmware.compiled, None)
    )
    monkeypatch.setattr(
        boot, "flash_board", lambda folder, _report, b, _: flashed.append((folder, b.name)) or [outcome()]
    )
    monkeypatch.setattr(run, "find_serial_port", lambda _: port)
    done = tinyops("run", DIGITS, "--board", BOARD, "--verify")
    assert done.code == 0, done.err
    assert flashed == [(finished, BOARD)]
    assert f"{BOARD}: flashed by pyocd through J-Link (123)" in done.err
    assert "bit-exact" in done.out


def outcome() -> Outcome:
    return Outcome(BOARD, "pyocd", Attached("jlink", "123", "J-Link"), 1000, "read back")


def test_bench_flashes_and_measures(
    tinyops: Any, port: str, firmware: Build, emulator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Hardware beside an emulated board: cycles beside instructions, never in one unit."""
    flashed: list[Path] = []
    riot = tmp_path / "RIOT"
    for name in ("boards/nrf52840dk", "core", "sys"):
        (riot / name).mkdir(parents=True)
    for name in ("Makefile.include", "Makefile.base", "boards/nrf52840dk/Makefile"):
        (riot / name).write_text("")

    def build_riot(_source: Path, _riot: Any, board: Board, folder: Path, **_: Any) -> Build:
        return Build(folder, board, firmware.elf, None, None, firmware.report, firmware.compiled, None)

    monkeypatch.setattr(bench, "build_riot", build_riot)
    monkeypatch.setattr(bench, "flash_board", lambda folder, *_: flashed.append(folder) or [outcome()])
    monkeypatch.setenv("RIOTBASE", str(riot))
    options = ("-b", BOARD, "-b", emulator, "--port", f"{BOARD}={port}", "--json", "b.json", "--html", "b.html")
    done = tinyops("bench", DIGITS, *options)
    assert done.code == 0, done.err
    measured, emulated = json.loads(Path("b.json").read_text())["results"]
    check(measured)
    assert emulated["kind"] == "emulated-instructions"
    assert "cycles" not in emulated
    assert len(flashed) == 1
    assert re.search(r"^model +board +flash B +RAM B +arena B +count +outputs *$", done.out, re.MULTILINE)
    assert f" {measured['cycles']:,} cycles " in done.out
    assert f" {emulated['instructions']:,} instructions " in done.out
    assert "count of one invocation, seed 0: emulated-instructions, measured-on-board" in done.out
    assert isinstance(read_report(Path("b.json")), BenchReport)
    page = Path("b.html").read_text(encoding="utf-8")
    assert "Cycles or instructions per layer" in page
    assert f"{measured['cycles']:,} cycles" in page
    assert f"{emulated['instructions']:,} instructions" in page


def test_bench_of_hardware_alone(tinyops: Any, port: str, firmware: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only board's port needs no name; the tables are of cycles."""
    target = bench.BenchTarget(BOARD, find_board(BOARD), None, port)
    built = Build(Path(), find_board(BOARD), firmware.elf, None, None, firmware.report, firmware.compiled, None)
    monkeypatch.setattr(bench, "build_firmware", lambda *_, **__: built)
    monkeypatch.setattr(bench, "flash_board", lambda *_: [outcome()])
    monkeypatch.setattr(cli_bench, "_target", lambda *given: target if given[3] == port else None)
    done = tinyops("bench", DIGITS, "-b", BOARD, "--port", port, "--html", "b.html")
    assert done.code == 0, done.err
    assert re.search(r"^model +board +flash B +RAM B +arena B +cycles +outputs *$", done.out, re.MULTILINE)
    assert "cycles of one invocation, seed 0: measured-on-board" in done.out
    page = Path("b.html").read_text(encoding="utf-8")
    assert "Cycles per layer" in page
    assert "nstructions" not in page


@pytest.mark.parametrize(
    "ports", [("nosuch=unix:x",), ("unix:x",), (f"{BOARD}=",)], ids=["other board", "two boards", "nothing"]
)
def test_bench_wants_ports_of_its_boards(tinyops: Any, ports: tuple[str, ...]) -> None:
    done = tinyops("bench", DIGITS, "-b", BOARD, "-b", "nrf52dk", "--port", *ports)
    assert done.code == 2
    assert "BOARD=PORT" in done.err


def _run_report(kind: str, unit: str, count: int) -> RunReport:
    layers = [{"name": "a", "op": "ADD", "instructions": None, unit: count - 1}]
    return RunReport.model_validate(
        {"model": "m", "board": "b", "invocations": 1, "kind": kind, "instructions": None, unit: count}
        | {"mismatches": 0, "layers": layers}
    )


def test_cycles_are_compared_with_cycles() -> None:
    before, after = (_run_report("measured-on-board", "cycles", n) for n in (1000, 1100))
    found = compare_reports(before, after, fail_above=5)
    assert [(c.figure, c.before, c.after, c.kind) for c in found.changes] == [
        ("cycles", 1000, 1100, "measured-on-board"),
        ("cycles", 999, 1099, "measured-on-board"),
    ]
    assert found.regressions == ("cycles: 1,000 -> 1,100, +10.00 %",)


def test_cycles_are_not_compared_with_instructions() -> None:
    before = _run_report("emulated-instructions", "instructions", 1000)
    found = compare_reports(before, _run_report("measured-on-board", "cycles", 1000), fail_above=5)
    assert found.regressions == ("instructions: no figure any more",)


def test_page_without_a_clock(firmware: Build) -> None:
    layers = [{"name": x["name"], "op": x["op"], "instructions": None, "cycles": 7} for x in firmware.report["layers"]]
    counts = {"kind": "measured-on-board", "instructions": None, "cycles": 321, "layers": layers}
    page = model_page(firmware.report, counts | {"clock_hz": None, "milliseconds": None, "stack_bytes_used": None})
    assert "Cycles per invocation" in page
    assert "Time at" not in page
    assert "Stack used" not in page
