"""`tinyops compare`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyops.device.compare import GUARDED

HASH = "ab" * 32
LAYERS = [("conv_2d_0", "CONV_2D", 500, 64), ("add_1", "ADD", 0, 0), ("softmax_2", "SOFTMAX", 0, 1024)]


def build_report() -> dict[str, Any]:
    return {
        "tinyops": "1.0",
        "model": {"name": "m", "sha256": HASH, "macs": 500, "inputs": []},
        "board": {"name": "b", "kind": "emulated"},
        "toolchain": {"name": "gcc", "version": "12"},
        "memory": {
            "kind": "read from the ELF's sections",
            "arena_bytes": 1000,
            "arena_lower_bound_bytes": 1000,
            "state_bytes": 0,
            "constant_bytes": 1088,
            "flash_bytes": 20_000,
            "flash_model_bytes": 64,
            "flash_library_bytes": 5000,
            "ram_bytes": 6000,
            "flash_sections": {".text": 20_000},
        },
        "layers": [
            {"name": n, "op": op, "macs": macs, "constant_bytes": size, "kernels": [f"to_{op.lower()}_c"]}
            for n, op, macs, size in LAYERS
        ],
        "kernels": ["to_add_c", "to_conv_2d_c", "to_softmax_c"],
    }


def run_report() -> dict[str, Any]:
    return {
        "model": "m.tflite",
        "board": "b",
        "invocations": 1,
        "kind": "emulated-instructions",
        "instructions": 10_000,
        "mismatches": 0,
        "first_mismatch": None,
        "layers": [{"name": n, "op": op, "instructions": 3000 + k} for k, (n, op, _, _) in enumerate(LAYERS)],
    }


def bench_report() -> dict[str, Any]:
    report = build_report()
    one = {
        "model": "folder/m.tflite",
        "board": "b",
        "plan_seconds": 2.0,
        "status": "ok",
        "error": None,
        "sha256": HASH,
        "macs": 500,
        "kind": "emulated-instructions",
        "instructions": 10_000,
        "mismatches": 0,
        "outputs_sha256": HASH,
        "toolchain": report["toolchain"],
        "memory": report["memory"],
        "layers": [layer | {"instructions": 3000} for layer in report["layers"]],
        "kernels": report["kernels"],
    }
    failed = {"model": "junk", "board": "b", "plan_seconds": 2.0, "status": "failed", "error": {"error": "is junk"}}
    return {"tinyops": "1.0", "seed": 0, "results": [one, failed]}


FORMS: list[Callable[[], dict[str, Any]]] = [build_report, run_report, bench_report]


def put(report: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`report` with the value at `a.0.b` set, or removed for KeyError."""
    *way, last = path.split(".")
    at: Any = report
    for step in way:
        at = at[int(step) if step.isdigit() else step]
    key = int(last) if last.isdigit() else last
    if value is KeyError:
        del at[key]
    else:
        at[key] = value
    return report


@pytest.fixture
def compare(tinyops: Any) -> Any:
    def call(a: Any, b: Any, *arguments: object) -> Any:
        for name, content in (("a.json", a), ("b.json", b)):
            Path(name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tinyops("compare", "a.json", "b.json", *arguments)

    return call


@pytest.mark.parametrize("form", FORMS)
def test_no_difference(compare: Any, form: Any) -> None:
    done = compare(form(), form(), "--fail-above", 0)
    assert (done.code, done.out) == (0, "no difference\n")


def test_changes_are_sorted_and_true(compare: Any) -> None:
    b = build_report()
    for path, value in {
        "memory.flash_bytes": 20_200,
        "memory.arena_bytes": 500,
        "layers.0.macs": 750,
        "layers.2.constant_bytes": 256,
        "layers.1.kernels": ["to_add_arm"],
        "model.sha256": "cd" * 32,
        "toolchain.version": "13",
    }.items():
        put(b, path, value)
    by_percent = compare(build_report(), b, "--json").json()
    rows = [(c["layer"], c["figure"], c["absolute"], c["percent"]) for c in by_percent["changes"]]
    assert rows == [
        (None, "arena bytes", -500, -50.0),
        (None, "flash bytes", 200, 1.0),
        ("softmax_2", "constant bytes", -768, -75.0),
        ("conv_2d_0", "MACs", 250, 50.0),
    ]
    by_size = compare(build_report(), b, "--by", "absolute", "--json").json()["changes"]
    assert [c["figure"] for c in by_size] == ["arena bytes", "flash bytes", "constant bytes", "MACs"]
    facts = {d["fact"]: (d["before"], d["after"]) for d in by_percent["differences"]}
    assert facts == {
        "SHA-256 of the model": (HASH, "cd" * 32),
        "toolchain": ("gcc: 12", "gcc: 13"),
        "kernels of add_1": ("to_add_c", "to_add_arm"),
    }
    text = compare(build_report(), b).out
    assert "flash bytes" in text
    assert "+1.00" in text
    assert "-75.00" in text
    assert {c["kind"] for c in by_percent["changes"]} == {"exact", "read from the ELF's sections"}


def test_a_layer_in_between_is_one_change(compare: Any) -> None:
    """Layers' names hold their positions: those after a new one are the same layers nevertheless."""
    b = build_report()
    b["layers"].insert(1, {"name": "pad_1", "op": "PAD", "macs": 0, "constant_bytes": 8, "kernels": ["to_pad"]})
    b["layers"][2]["name"], b["layers"][3]["name"] = "add_2", "softmax_3"
    result = compare(build_report(), b, "--json").json()
    assert [(c["layer"], c["before"], c["after"]) for c in result["changes"]] == [("pad_1", 0, 8)]
    assert [(d["fact"], d["before"]) for d in result["differences"]] == [("kernels of pad_1", "no such layer")]
    back = compare(b, build_report(), "--json").json()
    assert [(c["absolute"], c["percent"]) for c in back["changes"]] == [(-8, -100.0)]


@pytest.mark.parametrize(("form", "prefix"), [(build_report, ""), (run_report, ""), (bench_report, "results.0.")])
def test_fail_above(compare: Any, form: Any, prefix: str) -> None:
    own = {"flash": "memory.flash_bytes", "RAM": "memory.ram_bytes", "arena": "memory.arena_bytes"}
    paths = {run_report: ["instructions"], build_report: list(own.values())}.get(form, ["instructions", *own.values()])
    for path in paths:
        b = form()
        at: Any = b
        for step in (prefix + path).split("."):
            at = at[int(step) if step.isdigit() else step]
        put(b, prefix + path, at + at // 10)  # 10 % more
        assert compare(form(), b).code == 0
        assert compare(form(), b, "--fail-above", 10).code == 0
        worse = compare(form(), b, "--fail-above", 9.99)
        assert worse.code == 1
        assert "worse:" in worse.out
        assert compare(b, form(), "--fail-above", 0).code == 0, "less is never worse"
        gone = compare(
            form(), put(form(), prefix + path, KeyError if path != "instructions" else None), "--fail-above", 99
        )
        assert gone.code == (2 if "arena" in path else 1)


def test_from_nothing_is_worse(compare: Any) -> None:
    assert compare(build_report(), put(build_report(), "memory.state_bytes", 1), "--fail-above", 1000).code == 1


def test_exactness_and_results_are_guarded(compare: Any) -> None:
    for path, value in {
        "results.0.mismatches": 1,
        "results.0.mismatches ": None,
        "results.0.kind": "measured-on-board",
        "results.0": bench_report()["results"][1] | {"model": "folder/m.tflite"},
        "results": [],
    }.items():
        done = compare(bench_report(), put(bench_report(), path.strip(), value), "--fail-above", 1000)
        assert done.code == 1, path
        assert "worse: m.tflite on b, plan 2 s" in done.out.replace("folder/", "")
    more = [put(bench_report(), "results.0.mismatches", n) for n in (100, 101)]
    assert compare(*more, "--fail-above", 1000).code == 1, "no limit allows more of them"
    mended = compare(put(bench_report(), "results.0.mismatches", 1), bench_report(), "--fail-above", 0)
    assert mended.code == 0
    assert set(GUARDED) >= {"mismatches", "instructions", "flash bytes"}


def test_only_reports_of_one_form(compare: Any) -> None:
    done = compare(build_report(), run_report())
    assert done.code == 2
    assert "a build report and a run cannot be compared" in done.err


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "x"])
def test_limits_that_say_nothing(compare: Any, value: str) -> None:
    assert compare(build_report(), build_report(), f"--fail-above={value}").code == 2


_BAD_VALUES: list[tuple[Any, str, Any]] = [
    (build_report, "memory.arena_bytes", -1),
    (build_report, "memory.arena_bytes", True),
    (build_report, "memory.arena_bytes", "1000"),
    (build_report, "memory.arena_bytes", 1000.0),
    (build_report, "memory.arena_bytes", 2**60),
    (build_report, "memory", []),
    (build_report, "model", None),
    (build_report, "model.name", "n" * 5000),
    (build_report, "layers", {"0": {}}),
    (build_report, "layers.0", 7),
    (build_report, "layers.0.name", None),
    (build_report, "layers.0.kernels", "to_conv"),
    (build_report, "layers", [build_report()["layers"][0]] * 20_001),
    (run_report, "instructions", "many"),
    (run_report, "layers", KeyError),
    (bench_report, "results", {}),
    (bench_report, "results.0.status", "perhaps"),
    (bench_report, "results.0.plan_seconds", "2"),
    (bench_report, "results.0.memory", {}),
    (bench_report, "results.1", bench_report()["results"][0]),
]


@pytest.mark.parametrize(("form", "path", "value"), _BAD_VALUES)
def test_unsound_reports_are_refused(compare: Any, form: Any, path: str, value: Any) -> None:
    bad = put(copy.deepcopy(form()), path, value)
    for pair in ((bad, form()), (form(), bad)):
        done = compare(*pair)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert len(done.err) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '"results"',
        "{}",
        '{"results": NaN}',
        '{"results": []}',
        '{"memory": 1, "memory": 2}',
        "[" * 100_000,
        '{"memory":' * 50_000,
        '{"memory": ' + "9" * 10_000 + "}",
        '{"memory": 1e999}',
        "\ufeff{}",
    ],
    ids=range(15),
)
def test_unsound_json_is_refused(compare: Any, text: str) -> None:
    done = compare(text, build_report())
    assert (done.code, done.out) == (2, "")
    assert "a.json" in done.err
    assert len(done.err) < 1000


@pytest.mark.parametrize("more", ['"tinyops": "2"', '"extra": NaN', '"extra": -Infinity', '"extra": ' + "[" * 100_000])
def test_sound_fields_do_not_excuse_unsound_json(compare: Any, more: str) -> None:
    text = json.dumps(build_report())
    assert compare(text[:-1] + ', "extra": [{"a": 1.5}]}', text).code == 0, "further fields are of no interest"
    done = compare(f"{text[:-1]}, {more}}}", text)
    assert (done.code, done.out) == (2, "")
    assert "is not JSON" in done.err


def test_files_that_cannot_be_read(tinyops: Any, compare: Any) -> None:
    compare(build_report(), build_report())
    Path("binary.json").write_bytes(b"\xff\xfe\x00")
    Path("folder.json").mkdir()
    Path("large.json").write_text(json.dumps(build_report()) + " " * (16 << 20))
    for name in ("binary.json", "folder.json", "large.json", "none.json"):
        assert tinyops("compare", "a.json", name).code == 2
        assert tinyops("compare", name, "a.json").code == 2


def test_names_of_others_are_shown_as_text(compare: Any) -> None:
    b = put(build_report(), "layers.0.macs", 9)
    for report in (a := build_report(), b):
        put(report, "layers.0.name", "[red]x[/red]\x1b]0;t\x07\u202e")
    put(b, "toolchain.version", "\x1b[31m[bold]")
    done = compare(a, b)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "[red]x[/red]" in done.out


def test_many_changes_are_cut_short(compare: Any) -> None:
    a, b = build_report(), build_report()
    for report, macs in ((a, 1), (b, 2)):
        report["layers"] = [{"name": f"l{k}", "op": "ADD", "macs": macs + k} for k in range(100)]
    short, full = compare(a, b).out, compare(a, b, "--all").out
    assert "60 smaller changes: --all" in short
    assert len(full.splitlines()) == 101


def test_real_reports(tinyops: Any, host_build: Path, speakers: Path) -> None:
    assert tinyops("compare", host_build / "report.json", host_build / "report.json").out == "no difference\n"
    assert tinyops("build", speakers, "-b", "host", "-o", "s").code == 0
    result = tinyops("compare", host_build / "report.json", "s/report.json", "--json").json()
    arena = next(c for c in result["changes"] if c["figure"] == "arena bytes")
    assert (arena["before"], arena["after"]) == (3096, 192)
