"""The tables of docs/boards.md: from the board files, and from the sizes that benchmarks/riot_sizes.py measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.markdown import table
from tinyops.device.board import Board, Memory, load_board
from tinyops.resources import data_dir

_KINDS = ("host", "emulated", "real")
SIZES = Path(__file__).resolve().parents[2] / "benchmarks" / "riot_sizes.json"
_COUNTERS = {
    "none": "nothing",
    "dwt": "DWT",
    "systick": "SysTick",
    "mcycle": "mcycle",
    "mpccr": "mpccr",
    "ccount": "CCOUNT",
}


def _boards() -> list[Board]:
    loaded = [load_board(path) for path in data_dir("boards").glob("*.toml")]
    return sorted(loaded, key=lambda board: (_KINDS.index(board.kind), board.name))


def boards() -> str:
    """The boards that ship with tinyops."""
    rows = [
        (f"`{b.name}`", b.kind, b.title, _core(b), _megahertz(b), _size(b.flash), _size(b.ram), ", ".join(b.links))
        for b in _boards()
    ]
    return table(("board", "kind", "what it is", "core", "MHz:", "flash:", "RAM:", "links"), rows)


def real_boards() -> str:
    """What real boards are called elsewhere, what flashes them and what counts their cycles."""
    rows = [
        (
            f"`{b.name}`",
            f"`{b.os.riot}`" if b.os.riot else "-",
            f"`{b.os.ariel}`" if b.os.ariel else "-",
            ", ".join(b.probe.backends),
            _COUNTERS[b.firmware.counter],
        )
        for b in _boards()
        if b.kind == "real"
    ]
    return table(("board", "in RIOT", "in Ariel OS", "flashed by", "cycles counted by"), rows)


def sizes() -> dict[str, Any]:
    """What benchmarks/riot_sizes.py wrote."""
    measured: dict[str, Any] = json.loads(SIZES.read_text(encoding="utf-8"))
    return measured


def riot_sizes() -> str:
    """Whole applications on RIOT, in bytes."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for row in sizes()["rows"]:
        rows.setdefault(row["board"], {})[row["model"]] = row
    models = list(dict.fromkeys(row["model"] for row in sizes()["rows"]))
    headings = [f"{model}, {what}:" for model in models for what in ("flash", "RAM")]
    cells = [
        (f"`{board}`", *(f"{found[m][key]:,}" for m in models for key in ("flash_bytes", "ram_bytes")))
        for board, found in rows.items()
    ]
    return table(("board", *headings), cells)


def _core(board: Board) -> str:
    cores = f"{board.processor.cores} x " if board.processor.cores > 1 else ""
    return cores + board.processor.core


def _megahertz(board: Board) -> str:
    return f"{board.processor.clock_hz / 1e6:g}" if board.processor.clock_hz else "-"


def _size(memory: Memory | None) -> str:
    return f"{memory.bytes / 1024:,.0f} KiB" if memory else "-"
