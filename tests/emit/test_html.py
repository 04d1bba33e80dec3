"""The pages for people: sound, alone in one file, true to the report, and safe whatever a model's author wrote."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.reference_models import all_models, own_models
from tinyops.device.report import describe_program, find_warnings
from tinyops.emit.html import bench_page, model_page
from tinyops.emit.html.graph import MAX_NODES, draw_graph
from tinyops.emit.html.memory_map import draw_memory_map
from tinyops.load import load_model
from tinyops.lower.compile import compile_model
from tinyops.lower.lowering import lower
from tinyops.passes import run_passes

HOSTILE = "</title><script>alert(1)</script>\"'>&amp;<img src=x onerror=alert(2)>\x00\x1b[31m\u202e\ud800]]>{{ 7*7 }}"
MEASURED = {
    "kind": "read from the ELF's sections",
    "flash_bytes": 61_000,
    "flash_available_bytes": 65_536,
    "flash_model_bytes": 41_003,
    "flash_library_bytes": 12_005,
    "flash_sections": {".text": 61_000},
    "ram_bytes": 50_007,
    "ram_available_bytes": 524_288,
    "ram_sections": {".stack": 4096, ".bss": 45_911},
}


@cache
def _described(path: Path) -> str:
    return json.dumps(describe_program(compile_model(path, name="model").program))


def _report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(_described(path))
    return report


def _built(path: Path) -> dict[str, Any]:
    """A report as a build writes it, with sizes that are told apart easily."""
    report = _report(path)
    report["memory"] |= MEASURED
    report["board"] = {"name": "some-board", "kind": "emulated", "core": "cortex-m4"}
    report["toolchain"] = {"name": "arm-none-eabi", "version": "gcc 99.1"}
    report["flash_split"] = {
        "kind": MEASURED["kind"],
        "model_bytes": 41_003,
        "code_bytes": 9_001,
        "table_bytes": 3_004,
        "firmware_bytes": 7_992,
    }
    report["warnings"] = find_warnings(report, ())
    return report


def _run(report: dict[str, Any]) -> dict[str, Any]:
    layers = [{"name": x["name"], "op": x["op"], "instructions": 1001 + 7 * k} for k, x in enumerate(report["layers"])]
    return {"kind": "emulated-instructions", "instructions": 7_654_321, "layers": layers}


def _result(report: dict[str, Any], model: str, board: str) -> dict[str, Any]:
    return {
        "model": model,
        "board": board,
        "plan_seconds": 2.0,
        "status": "ok",
        "error": None,
        "sha256": report["model"]["sha256"],
        "macs": report["model"]["macs"],
        "kind": "emulated-instructions",
        "instructions": 7_654_321,
        "mismatches": 0,
        "toolchain": report["toolchain"],
        "memory": report["memory"],
        "layers": [x | {"instructions": 1001 + 7 * k} for k, x in enumerate(report["layers"])],
    }


def _tree(page: str) -> ET.Element:
    """The page as XML, which is stricter than HTML: every element is closed, every attribute quoted."""
    first, rest = page.split("\n", 1)
    assert first == "<!DOCTYPE html>"
    return ET.fromstring(rest)


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _tables(tree: ET.Element) -> dict[str, list[list[str]]]:
    """Caption -> rows of the body."""
    found = {}
    for table in tree.iter("table"):
        caption = table.find("caption")
        body = table.find("tbody")
        assert caption is not None
        assert body is not None
        found[_text(caption)] = [[_text(cell) for cell in row] for row in body]
    return found


def _pages(path: Path) -> list[str]:
    report, built = _report(path), _built(path)
    failed = {"model": "b", "board": "y", "plan_seconds": 2.0, "status": "failed"}
    failed["error"] = {"error": "no such tool", "where": None, "allowed": None, "hint": "apt-get install x"}
    bench = {"tinyops": "0", "seed": 0, "results": [_result(built, "a", "x"), failed]}
    return [model_page(report), model_page(built), model_page(built, _run(built)), bench_page(bench)]


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_pages_are_sound_and_alone(path: Path) -> None:
    for page in _pages(path):
        tree = _tree(page)
        assert tree.get("lang") == "en"
        assert not {e.tag for e in tree.iter()} & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        for element in tree.iter():
            assert not [name for name in element.attrib if name.startswith("on") or name in ("src", "href", "srcset")]
        assert not re.search(r"https?:|url\(|@import|javascript:", page)
        assert "default-src 'none'" in page
        ids = [e.get("id") for e in tree.iter() if e.get("id")]
        assert len(ids) == len(set(ids))
        assert len(page.encode()) < 500_000
        assert not re.search(r"\b(None|nan|inf|Undefined)\b", _text(tree))


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_pages_are_accessible(path: Path) -> None:
    for page in _pages(path):
        tree = _tree(page)
        ids = {e.get("id") for e in tree.iter()}
        for svg in tree.iter("svg"):
            if svg.get("aria-hidden") != "true":
                assert svg.get("role") == "img"
                assert svg.find("title") is not None
                assert set((svg.get("aria-labelledby") or "").split()) <= ids
        for table in tree.iter("table"):
            assert table.find("caption") is not None
            assert all(th.get("scope") for th in table.iter("th"))
            widths = {sum(int(c.get("colspan", 1)) for c in row) for row in table.iter("tr")}
            assert len(widths) == 1
        for box in (e for e in tree.iter("div") if e.get("class") == "scroll"):
            assert (box.get("tabindex"), box.get("role")) == ("0", "region")
            assert box.get("aria-label")
        levels = [int(e.tag[1]) for e in tree.iter() if re.fullmatch(r"h\d", e.tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_in_both_schemes() -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for what is drawn."""
    style = model_page(_report(own_models()[0])).split("<style>")[1].split("</style>")[0]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    assert set(light) == set(dark)

    def contrast(a: str, b: str) -> float:
        high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for colours in (light, dark):
        for text in ("text", "muted", "accent", "good", "bad"):
            assert contrast(colours[text], colours["back"]) >= 4.5
        for back in ("raised", "warn-back", "tensor", "input", "output", "scratch", "state", "free"):
            assert contrast(colours["text"], colours[back]) >= 4.5
        assert contrast(colours["muted"], colours["raised"]) >= 4.5
        for line in (name for name in colours if name.endswith("-line") and name != "warn-line"):
            assert contrast(colours[line], colours["back"]) >= 3


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_figures_equal_the_report(path: Path) -> None:
    report = _built(path)
    run = _run(report)
    tree = _tree(model_page(report, run))
    tables = _tables(tree)
    layers = tables["Layers in the order of execution"]
    assert len(layers) == len(report["layers"])
    for k, (row, layer) in enumerate(zip(layers, report["layers"], strict=True)):
        assert row[:3] == [str(k + 1), layer["name"], f"{layer['macs']:,}"]
        assert row[4] == f"{1001 + 7 * k:,}"
        assert row[6] == f"{layer['constant_bytes']:,}"
        assert row[8] == (", ".join(layer["kernels"]) or "shares memory")
    caption = next(name for name in tables if name.startswith("Blocks of the arena"))
    memory = [(b["role"], b["offset"], b["bytes"]) for b in report["plan"]["blocks"]]
    memory += [("state", s["offset"], s["bytes"]) for s in report["states"]]
    assert [tuple(row[1:4]) for row in tables[caption]] == [(r, f"{o:,}", f"{n:,}") for r, o, n in memory]
    text = _text(tree)
    for value in (
        f"{report['memory']['arena_bytes']:,} B exact",
        f"{report['model']['macs']:,} exact",
        "61,000 B read from the ELF's sections",
        "7,654,321 emulated-instructions",
        "weights, biases and data 41,003 B",
        "inference code 9,001 B",
        "requantization, tables and parameters 3,004 B",
        "firmware 7,992 B",
        "93.1 % of 65,536 B on some-board",
        report["model"]["sha256"],
        "gcc 99.1",
        "Flash is tight: 93.1 % used, 4,536 B left",
    ):
        assert value in text
    for port in report["model"]["inputs"] + report["model"]["outputs"]:
        assert f"{port['arena_offset']:,}" in text


def test_a_run_of_another_model_is_not_shown() -> None:
    report, other = (_built(path) for path in own_models()[:2])
    assert model_page(report, _run(other)) == model_page(report)


@pytest.mark.parametrize("path", all_models(), ids=lambda path: path.stem)
def test_memory_map_is_to_scale(path: Path) -> None:
    """Blocks that are in use together do not overlap; addresses and sizes are those of the plan."""
    report = _report(path)
    drawing = draw_memory_map(report)
    scale = (drawing.bottom - drawing.top) / max(report["memory"]["arena_bytes"], report["memory"]["state_bytes"])
    blocks = report["plan"]["blocks"]
    assert len(drawing.blocks) == len(blocks) > 0
    for rectangle, block in zip(drawing.blocks, blocks, strict=True):
        assert rectangle.y == pytest.approx(drawing.bottom - (block["offset"] + block["bytes"]) * scale)
        assert rectangle.height == pytest.approx(max(block["bytes"] * scale, 0.5))
        assert drawing.left <= rectangle.x < rectangle.x + rectangle.width <= drawing.right + 1e-6
        assert rectangle.y >= drawing.top - 1e-6
        assert block["offset"] + block["bytes"] <= report["memory"]["arena_bytes"]
    assert drawing.peak.at <= drawing.bound.at
    used = max(b["offset"] + b["bytes"] for b in blocks)
    assert report["memory"]["arena_bytes"] - used < 8, "the highest block ends at the arena's end"
    for k in range(
        -1, len(report["layers"])
    ):  # strictly inside of lifetimes: in its last step a block may be overwritten
        live = sorted((b["offset"], b["bytes"]) for b in blocks if b["first_step"] <= k < b["last_step"])
        assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(live))


def _synthetic(layers: int, width: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    one = {"op": "ADD", "macs": 1, "constant_bytes": 0, "kernels": ["k"], "dtypes": ["int8"], "output_shapes": [[1]]}
    port = {"dtype": "int8", "shape": [1], "name": "p"}
    return {
        "model": {"inputs": [port], "outputs": [port | {"layer": layers - 1}]},
        "layers": [
            one | {"name": f"l{k}", "inputs": [max(-1, k - 1 - rng.randrange(width)) for _ in range(2)]}
            for k in range(layers)
        ],
    }


@pytest.mark.parametrize(("layers", "width"), [(1, 1), (2, 2), (30, 1), (60, 4), (200, 12), (700, 3), (790, 600)])
def test_graph_layout(layers: int, width: int) -> None:
    report = _synthetic(layers, width, seed=layers)
    drawing = draw_graph(report)
    assert drawing is not None
    assert len(drawing.nodes) == layers + 2
    edges = {(source, k) for k, layer in enumerate(report["layers"]) for source in layer["inputs"]}
    assert len(drawing.paths) == len(edges) + 1
    rows: dict[float, list[float]] = {}
    for node in drawing.nodes:
        rows.setdefault(node.y, []).append(node.x)
        assert 0 <= node.x <= drawing.width - drawing.box_width
        assert 0 <= node.y <= drawing.height - drawing.box_height
    for xs in rows.values():
        xs.sort()
        assert all(b - a >= drawing.box_width for a, b in itertools.pairwise(xs))
    corners = [(node.x + drawing.box_width / 2, node.y) for node in drawing.nodes]
    for path in drawing.paths:
        numbers = [float(n) for n in re.findall(r"-?\d+\.\d", path)]
        start, end = numbers[:2], numbers[-2:]
        assert start[1] < end[1], "edges lead down"
        assert any(abs(x - start[0]) < 0.1 and abs(y + drawing.box_height - start[1]) < 0.1 for x, y in corners)
        assert any(abs(x - end[0]) < 0.1 and abs(y - end[1]) < 0.1 for x, y in corners)


def test_edges_that_need_not_cross_do_not() -> None:
    report = _synthetic(4, 1, 0)
    report["model"]["inputs"] *= 2
    for layer, inputs in zip(report["layers"], ([-1], [-2], [1], [0]), strict=True):
        layer["inputs"] = inputs
    drawing = draw_graph(report)
    assert drawing is not None
    first, second, of_second, of_first = (node.x for node in drawing.nodes[2:6])
    assert (first < second) == (of_first < of_second)


def test_a_chain_is_straight() -> None:
    drawing = draw_graph(_synthetic(40, 1, seed=0))
    assert drawing is not None
    assert len({round(node.x, 3) for node in drawing.nodes}) == 1


def test_too_large_a_graph_is_said_to_be() -> None:
    report = _report(own_models()[0])
    report["layers"] = _synthetic(MAX_NODES, 1, 0)["layers"]
    assert draw_graph(report) is None
    assert "800 layers are too many for a picture" in model_page(report)


def test_hostile_names_are_text() -> None:
    """Names of tensors and operators, through planner and lowering, and every other string of the report."""
    model = run_passes(load_model(own_models()[0]))
    graph = dataclasses.replace(
        model.main,
        tensors=tuple(dataclasses.replace(t, name=f"{HOSTILE}{k}") for k, t in enumerate(model.main.tensors)),
        ops=tuple(dataclasses.replace(op, name=f"{HOSTILE}{k}") for k, op in enumerate(model.main.ops)),
    )
    program = lower(dataclasses.replace(model, graphs=(graph,)), name="model", source=HOSTILE)
    plain = describe_program(program)
    built = plain | {
        "memory": plain["memory"] | MEASURED,
        "board": {"name": HOSTILE, "kind": HOSTILE, "core": HOSTILE},
        "toolchain": {"name": HOSTILE, "version": HOSTILE},
        "kernels": [HOSTILE],
        "warnings": [HOSTILE],
        "tinyops": HOSTILE,
    }
    error = {"error": HOSTILE, "where": HOSTILE, "allowed": HOSTILE, "hint": HOSTILE}
    failed = {"model": HOSTILE, "board": HOSTILE, "plan_seconds": 2.0, "status": "failed", "error": error}
    results = [_result(built, HOSTILE, HOSTILE), failed]
    harmless = _tree(model_page(_built(own_models()[0])))
    for page in (model_page(plain), model_page(built), bench_page({"tinyops": HOSTILE, "seed": 0, "results": results})):
        tree = _tree(page)
        page.encode("utf-8")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", page)
        assert "<script" not in page
        assert "onerror=alert" not in re.sub(r"&lt;img src=x onerror=alert", "", page)
        assert {e.tag for e in tree.iter()} <= {e.tag for e in harmless.iter()}
        assert "7*7" in _text(tree)
        assert "49 " not in _text(tree.find("body/main/header") or tree)


def test_long_names_are_cut() -> None:
    report = _report(own_models()[0])
    report["plan"]["blocks"][0]["tensor"] = "n" * 1_000_000
    report["model"]["inputs"][0]["name"] = "m" * 1_000_000
    assert len(model_page(report)) < 200_000


def test_warnings() -> None:
    report = _built(own_models()[0])
    assert find_warnings(report, ()) == ["Flash is tight: 93.1 % used, 4,536 B left for everything else."]
    report["plan"] |= {"optimal": False, "gap": 0.25}
    report["memory"] |= {"flash_bytes": 10, "ram_bytes": 600_000}
    report["layers"][0]["dtypes"] = ["float32"]
    found = find_warnings(report, ("dsp",))
    assert len(found) == 3
    assert "25.0 % above its lower bound" in found[0]
    assert found[1] == "The model does not fit: 600,000 B of RAM needed, 524,288 B there."
    assert report["layers"][0]["name"] in found[2]
    assert len(find_warnings(report, ("fpu",))) == 2
