"""The pages' text: reports in, HTML out. All that a model's author chose is escaped and cut to a bounded length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from tinyops.emit.html.graph import draw_graph
from tinyops.emit.html.memory_map import block_name, draw_memory_map, step_name

_LONGEST = 160  # characters of a name

#: What a kind of figure means, for the end of every page.
KINDS = {
    "exact": "follows from the model file and the plan alone",
    "read from the ELF's sections": "measured in the linked firmware; depends on compiler and flags",
    "modelled": "computed from a model of the target; here a lower bound",
    "emulated-instructions": "counted by an emulator: instructions, neither cycles nor time",
    "measured-on-board": "read from a counter of real hardware",
    "fact": "from the board's file",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a stacked bar; `tint` is the name of a colour in the style sheet."""

    name: str
    size: int
    tint: str


def model_page(report: Mapping[str, Any], run: Mapping[str, Any] | None = None) -> str:
    """The page of a report as `tinyops build` writes it, or of one as `tinyops inspect` makes it.

    `run` is what `tinyops run --json` gave for the same model; its counts are shown per layer.
    """
    return render(
        "model.html.j2",
        title=f"{report['model']['source'] or report['model']['name']}",
        report=report,
        run=run,
        counts=_counts(report, run),
        flash=_flash(report),
        ram=_ram(report),
        map=draw_memory_map(report),
        graph=draw_graph(report),
        kinds=_kinds(report, run),
    )


def bench_page(bench: Mapping[str, Any]) -> str:
    """The page of what `tinyops bench --json` gives."""
    done = [r for r in bench["results"] if r["status"] == "ok"]
    models = list(dict.fromkeys(r["model"] for r in bench["results"]))
    kinds = {"exact", "read from the ELF's sections", *(r["kind"] for r in done if r["kind"])}
    return render(
        "bench.html.j2",
        title="tinyops bench",
        bench=bench,
        done=done,
        failed=[r for r in bench["results"] if r["status"] != "ok"],
        models={m: [r for r in done if r["model"] == m] for m in models},
        limits=len({r["plan_seconds"] for r in bench["results"]}) > 1,
        toolchains={r["board"]: r["toolchain"] for r in done},
        most={m: _most([r for r in done if r["model"] == m]) for m in models},
        kinds={kind: text for kind, text in KINDS.items() if kind in kinds},
    )


def _counts(report: Mapping[str, Any], run: Mapping[str, Any] | None) -> list[int] | None:
    """Instructions or cycles per layer, where the run counted them and is one of this model."""
    if run is None or run["kind"] is None:
        return None
    if [x["name"] for x in run["layers"]] != [x["name"] for x in report["layers"]]:
        return None
    return [_count(x) or 0 for x in run["layers"]]


def _unit(counted: Mapping[str, Any]) -> str:
    """What a run, a result or a layer counts: on hardware it has cycles."""
    return "cycles" if counted.get("cycles") is not None else "instructions"


def _count(counted: Mapping[str, Any]) -> int | None:
    count: int | None = counted[_unit(counted)]
    return count


def _most(results: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The largest count of each unit."""
    most = {"cycles": 0, "instructions": 0}
    for result in results:
        most[_unit(result)] = max(most[_unit(result)], _count(result) or 0)
    return most


def _flash(report: Mapping[str, Any]) -> list[Part]:
    if split := report.get("flash_split"):
        return [
            Part("weights, biases and data", split["model_bytes"], "tensor"),
            Part("inference code", split["code_bytes"], "input"),
            Part("requantization, tables and parameters", split["table_bytes"], "output"),
            Part("firmware", split["firmware_bytes"], "scratch"),
        ]
    sizes = report["constants"]
    model = sum(sizes[role] for role in ("weights", "bias", "data"))
    parts = [
        Part("weights, biases and data", model, "tensor"),
        Part("requantization and tables", sizes["requantization"] + sizes["table"], "output"),
    ]
    if features := report.get("features"):
        parts.append(Part("front end", features["constant_bytes"], "input"))
    if fit := report.get("fit"):
        parts.append(Part("firmware, at least", fit["flash_needed_bytes"] - sum(p.size for p in parts), "scratch"))
    return parts


def _ram(report: Mapping[str, Any]) -> list[Part]:
    memory, fit = report["memory"], report.get("fit")
    parts = [Part("arena", memory["arena_bytes"], "tensor"), Part("state", memory["state_bytes"], "state")]
    if features := report.get("features"):
        parts.append(Part("front end", features["ram_bytes"], "input"))
    used = sum(part.size for part in parts)
    if "ram_bytes" in memory:
        stack = memory["ram_sections"].get(".stack", 0)
        parts += [Part("reserved stack", stack, "output")] if stack else []
        parts.append(Part("firmware", memory["ram_bytes"] - used - stack, "scratch"))
    elif fit:
        parts.append(Part("firmware, at least", fit["ram_needed_bytes"] - used, "scratch"))
    return parts


def _kinds(report: Mapping[str, Any], run: Mapping[str, Any] | None) -> dict[str, str]:
    used = {"exact"}
    used |= {report["memory"]["kind"], "fact"} if "kind" in report["memory"] else set()
    used |= {"modelled", "fact"} if "fit" in report else set()
    used |= {run["kind"]} if run and _counts(report, run) else set()
    return {kind: text for kind, text in KINDS.items() if kind in used}


def render(template: str, **context: Any) -> str:
    """A page from one of the templates."""
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyops.emit.html", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
        finalize=_clean,
    )
    environment.filters |= {
        "n": _thousands,
        "share": _share,
        "shape": _shape,
        "file": _file,
        "u": _units,
        "g": _real,
        "count": _count,
        "unit": _unit,
    }
    environment.globals.update(block_name=block_name, step_name=step_name)
    return environment


def _clean(value: Any) -> Any:
    """Text without control characters, lone surrogates or marks that change the direction of reading."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # what a macro made is clean already
        return value
    text = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _thousands(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _real(value: float | None) -> str:
    """Nine digits tell all float32 values apart."""
    return "-" if value is None else f"{value:.9g}"


def _file(path: str) -> str:
    """The last part of a path of any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _units(value: float) -> str:
    """A coordinate: one decimal is finer than a screen shows."""
    return f"{value:.1f}".removesuffix(".0")


def _share(value: int, total: int) -> str:
    """`value` in per cent of `total`."""
    return f"{100 * value / total:.1f} %" if total else "-"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
