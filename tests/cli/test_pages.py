"""report.html of `tinyops build` and `tinyops run`, and `tinyops inspect --html`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_build_and_run_write_it(tinyops: Any, digits: Path, emulator: str) -> None:
    done = tinyops("build", digits, "-b", emulator, "-o", "out")
    assert "out/report.html" in done.out
    report = json.loads(Path("out/report.json").read_text())
    split, memory = report["flash_split"], report["memory"]
    parts = [split[key] for key in ("model_bytes", "code_bytes", "table_bytes", "firmware_bytes")]
    assert sum(parts) == memory["flash_bytes"]
    assert min(parts) > 0
    assert split["code_bytes"] + split["table_bytes"] == memory["flash_library_bytes"]
    assert split["table_bytes"] >= report["constants"]["requantization"] + report["constants"]["table"]
    before = Path("out/report.html").read_text(encoding="utf-8")
    assert f"{memory['flash_bytes']:,} B" in before
    assert "emulated-instructions" not in before
    run = tinyops("run", "out", "--json").json()
    after = Path("out/report.html").read_text(encoding="utf-8")
    assert f"{run['instructions']:,}" in after
    assert all(f">{layer['instructions']:,}<" in after for layer in run["layers"])
    assert json.loads(Path("out/run.json").read_text()) == run
    tinyops("build", digits, "-b", emulator, "-o", "out")
    assert Path("out/report.html").read_text(encoding="utf-8") == before, "a new build has no counts yet"
    assert not Path("out/run.json").exists()


def test_a_board_that_counts_nothing(tinyops: Any, host_build: Path) -> None:
    before = (host_build / "report.html").read_bytes()
    assert tinyops("run", host_build).code == 0
    assert (host_build / "report.html").read_bytes() == before
    assert not (host_build / "run.json").exists()


def test_a_report_of_another_version_does_not_spoil_the_run(tinyops: Any, digits: Path, emulator: str) -> None:
    tinyops("build", digits, "-b", emulator, "-o", "out")
    report = json.loads(Path("out/report.json").read_text())
    del report["plan"]["blocks"]
    Path("out/report.json").write_text(json.dumps(report))
    done = tinyops("run", "out", "--verify")
    assert done.code == 0
    assert "report.html is not renewed" in done.err
    assert "bit-exact" in done.out


@pytest.mark.parametrize("board", [(), ("-b", "nrf52dk")])
def test_inspect(tinyops: Any, speakers: Path, board: tuple[str, ...]) -> None:
    done = tinyops("inspect", speakers, *board, "--html", "page.html", "--json")
    report = done.json()
    page = Path("page.html").read_text(encoding="utf-8")
    assert f"{report['memory']['state_bytes']:,} B" in page
    assert page.count('<rect class="box') == len(report["layers"]) + 2
    assert ("fits" in page) == bool(board)
    assert [path.name for path in Path().iterdir()] == ["page.html"]
    assert "page: page.html" in tinyops("inspect", speakers, "--html", "page.html").out


def test_edges_of_the_report(tinyops: Any, digits: Path) -> None:
    layers = tinyops("inspect", digits, "--json").json()["layers"]
    assert layers[0]["inputs"] == [-1]
    assert sorted(layers[3]["inputs"]) == [0, 2], "the residual addition"


@pytest.mark.parametrize("target", ["page.txt", "no/such/page.html", "folder.html"])
def test_inspect_refuses(tinyops: Any, digits: Path, target: str) -> None:
    Path("folder.html").mkdir()
    done = tinyops("inspect", digits, "--html", target)
    assert done.code == 2
    assert [path.name for path in Path().iterdir()] == ["folder.html"]
