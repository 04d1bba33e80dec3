"""What changed between two reports of the same form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Literal

from tinyops.device.report_file import (
    BenchReport,
    BenchResult,
    BuildReport,
    LayerFigures,
    MemoryFigures,
    Report,
    RunReport,
)
from tinyops.errors import UsageError

#: Figures that a person pays for: growth of one of them is what `fail_above` is about.
GUARDED = (
    "flash bytes",
    "RAM bytes",
    "arena bytes",
    "state bytes",
    "constant bytes",
    "MACs",
    "instructions",
    "cycles",
    "mismatches",
)
#: Layers of one report times layers of the other, up to which they are aligned.
_MAX_ALIGNED = 300_000
_FORMS = {BuildReport: "a build report", RunReport: "a run", BenchReport: "a bench"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and its kind."""

    value: int
    kind: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's figures; `kernels` is None where the report does not say."""

    name: str
    op: str
    figures: Mapping[str, Figure]
    kernels: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """One build or run: figures of the whole and of each layer, and facts that are no numbers."""

    facts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    layers: Sequence[Layer] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A figure that differs; `before` or `after` is None where only one report has it.

    `layer` is None for the whole. Values of different kinds are not `comparable`.
    """

    subject: str
    layer: str | None
    figure: str
    before: int | None
    after: int | None
    kind: str
    comparable: bool = True

    @property
    def absolute(self) -> int | None:
        if self.before is None or self.after is None or not self.comparable:
            return None
        return self.after - self.before

    @property
    def percent(self) -> float | None:
        """In per cent of `before`; None where there is none, or it is 0."""
        return 100 * self.absolute / self.before if self.absolute is not None and self.before else None


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that differs: a hash, a version, a layer's kernels; "" where one report lacks it."""

    subject: str
    fact: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare_reports` finds; `regressions` say what is worse by more than was allowed."""

    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    regressions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "changes": [
                {k: v for k, v in asdict(c).items() if k != "comparable"}
                | {"absolute": c.absolute, "percent": c.percent}
                for c in self.changes
            ],
            "differences": [asdict(d) for d in self.differences],
            "regressions": list(self.regressions),
        }


def compare_reports(
    a: Report, b: Report, *, fail_above: float | None = None, by: Literal["percent", "absolute"] = "percent"
) -> Comparison:
    """Changes from `a` to `b`: those of the whole before those of layers, the largest first.

    With `fail_above`, a guarded figure that grows by more per cent is a regression. So is then whatever cannot be
    compared any more: a figure or a result that is gone, fails now, or is of another kind. Raises UsageError when
    the reports are of different forms.
    """
    if type(a) is not type(b):
        raise UsageError(f"{_FORMS[type(a)]} and {_FORMS[type(b)]} cannot be compared", allowed="two of one form")
    before, after = _subjects(a), _subjects(b)
    changes: list[Change] = []
    differences: list[Difference] = []
    for name in [*before, *(n for n in after if n not in before)]:
        old, new = before.get(name), after.get(name)
        differences += _facts(name, old or Subject(), new or Subject(), old is None, new is None)
        if old is not None and new is not None and not (old.failure or new.failure):
            changes += _changes(name, old, new)
    changes.sort(key=lambda change: _size(change, by))
    found = [] if fail_above is None else _regressions(before, after, changes, Fraction(fail_above))
    return Comparison(tuple(changes), tuple(differences), tuple(found))


def _subjects(report: Report) -> dict[str, Subject]:
    if isinstance(report, BuildReport):
        return {"": _of_build(report)}
    if isinstance(report, RunReport):
        return {"": _of_run(report)}
    found: dict[str, Subject] = {}
    paths = {result.model for result in report.results}
    short = {path: PurePath(path).name for path in paths}
    unique = len(set(short.values())) == len(paths)
    for result in report.results:
        model = short[result.model] if unique else result.model
        name = f"{model} on {result.board}, plan {result.plan_seconds:g} s"
        if name in found:
            raise UsageError(f"has {name} twice", allowed="each once")
        found[name] = _of_result(result)
    return found


def _of_build(report: BuildReport) -> Subject:
    facts = {"tinyops": report.tinyops, "model": report.model.name, "SHA-256 of the model": report.model.sha256}
    if report.board:
        facts["board"] = report.board.name
    if report.toolchain:
        facts["toolchain"] = f"{report.toolchain.name}: {report.toolchain.version}"
    figures = _memory(report.memory) | {"MACs": Figure(report.model.macs, "exact")}
    return Subject(facts, figures, _layers(report.layers, "exact"))


def _of_run(report: RunReport) -> Subject:
    facts = {"model": report.model, "board": report.board or "-", "kind": report.kind or "-"}
    facts["invocations"] = str(report.invocations)
    figures = _counts(report)
    return Subject(facts, figures, _layers(report.layers, report.kind or "-"))


def _of_result(result: BenchResult) -> Subject:
    if result.status != "ok" or result.memory is None:
        return Subject(failure=result.error.error if result.error else "no figures")
    facts = {"SHA-256 of the model": result.sha256 or "-", "SHA-256 of the outputs": result.outputs_sha256 or "-"}
    if result.toolchain:
        facts["toolchain"] = f"{result.toolchain.name}: {result.toolchain.version}"
    figures = _memory(result.memory) | _counts(result)
    if result.macs is not None:
        figures["MACs"] = Figure(result.macs, "exact")
    return Subject(facts, figures, _layers(result.layers, result.kind or "-"))


def _memory(memory: MemoryFigures) -> dict[str, Figure]:
    measured = memory.kind or "-"
    rows = {
        "arena bytes": (memory.arena_bytes, "exact"),
        "arena lower bound bytes": (memory.arena_lower_bound_bytes, "exact"),
        "state bytes": (memory.state_bytes, "exact"),
        "constant bytes": (memory.constant_bytes, "exact"),
        "flash bytes": (memory.flash_bytes, measured),
        "flash model bytes": (memory.flash_model_bytes, measured),
        "flash library bytes": (memory.flash_library_bytes, measured),
        "RAM bytes": (memory.ram_bytes, measured),
    }
    return {name: Figure(value, kind) for name, (value, kind) in rows.items() if value is not None}


def _counts(report: RunReport | BenchResult) -> dict[str, Figure]:
    kind = report.kind or "-"
    rows = {
        "instructions": (report.instructions, kind),
        "cycles": (report.cycles, kind),
        "mismatches": (report.mismatches, "exact"),
    }
    return {name: Figure(value, k) for name, (value, k) in rows.items() if value is not None}


def _layers(layers: Sequence[LayerFigures], kind: str) -> list[Layer]:
    found = []
    for layer in layers:
        rows = (
            ("MACs", layer.macs, "exact"),
            ("constant bytes", layer.constant_bytes, "exact"),
            ("instructions", layer.instructions, kind),
            ("cycles", layer.cycles, kind),
        )
        figures = {figure: Figure(value, k) for figure, value, k in rows if value is not None}
        kernels = None if layer.kernels is None else ", ".join(layer.kernels) or "shares memory"
        found.append(Layer(layer.name, layer.op, figures, kernels))
    return found


def _pairs(a: Sequence[Layer], b: Sequence[Layer]) -> list[tuple[Layer | None, Layer | None]]:
    """Layers that belong together, in order: names hold positions, so that operators are what is aligned."""
    if len(a) * len(b) > _MAX_ALIGNED:
        names = {layer.name: layer for layer in b}
        own = {layer.name for layer in a}
        return [*((x, names.get(x.name)) for x in a), *((None, y) for y in b if y.name not in own)]
    matcher = SequenceMatcher(None, [x.op for x in a], [y.op for y in b], autojunk=False)
    pairs: list[tuple[Layer | None, Layer | None]] = []
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            pairs += zip(a[i:i_end], b[j:j_end], strict=True)
        else:
            pairs += [(x, None) for x in a[i:i_end]]
            pairs += [(None, y) for y in b[j:j_end]]
    return pairs


def _name(a: Layer | None, b: Layer | None) -> str:
    """What a pair of layers is called."""
    names = dict.fromkeys(layer.name for layer in (a, b) if layer is not None)
    return " -> ".join(names)


def _changes(subject: str, a: Subject, b: Subject) -> Iterator[Change]:
    yield from _compare_figures(subject, None, a.figures, b.figures)
    for old, new in _pairs(a.layers, b.layers):
        yield from _compare_figures(subject, _name(old, new), _or_nothing(old, new), _or_nothing(new, old))


def _or_nothing(layer: Layer | None, other: Layer | None) -> Mapping[str, Figure]:
    """The layer's figures; a layer that is not there costs 0 of what the other one costs."""
    if layer is not None or other is None:
        return layer.figures if layer else {}
    return {name: Figure(0, figure.kind) for name, figure in other.figures.items()}


def _compare_figures(
    subject: str, layer: str | None, a: Mapping[str, Figure], b: Mapping[str, Figure]
) -> Iterator[Change]:
    for name in [*a, *(n for n in b if n not in a)]:
        old, new = a.get(name), b.get(name)
        if old == new:
            continue
        same = old is None or new is None or old.kind == new.kind
        kinds = dict.fromkeys(figure.kind for figure in (old, new) if figure is not None)
        before, after = (figure.value if figure else None for figure in (old, new))
        yield Change(subject, layer, name, before, after, " / ".join(kinds), same)


def _facts(subject: str, a: Subject, b: Subject, added: bool, removed: bool) -> Iterator[Difference]:
    if added or removed:
        yield Difference(subject, "result", "" if added else "there", "" if removed else "there")
        return
    if a.failure != b.failure:
        yield Difference(subject, "result", *(f"failed: {x.failure}" if x.failure else "ok" for x in (a, b)))
    if a.failure or b.failure:
        return
    for name in [*a.facts, *(n for n in b.facts if n not in a.facts)]:
        if a.facts.get(name) != b.facts.get(name):
            yield Difference(subject, name, a.facts.get(name, ""), b.facts.get(name, ""))
    for old, new in _pairs(a.layers, b.layers):
        before, after = (layer.kernels or "" if layer else "no such layer" for layer in (old, new))
        if before != after:
            yield Difference(subject, f"kernels of {_name(old, new)}", before, after)


def _size(change: Change, by: str) -> tuple[bool, float, float]:
    """The sort key: figures of the whole first, in each part those without a measure of their change."""
    percent = -float("inf") if change.percent is None else -abs(change.percent)
    absolute = -float("inf") if change.absolute is None else -abs(change.absolute)
    return (change.layer is not None, *((percent, absolute) if by == "percent" else (absolute, percent)))


def _regressions(
    before: Mapping[str, Subject], after: Mapping[str, Subject], changes: Sequence[Change], limit: Fraction
) -> list[str]:
    found = []
    for name, old in before.items():
        if not old.failure and (name not in after or after[name].failure):
            found.append(f"{name}: {after[name].failure if name in after else 'no result any more'}")
    for change in changes:
        if change.layer is not None or change.figure not in GUARDED or change.before is None:
            continue
        where = f"{change.subject}: " if change.subject else ""
        if change.after is None:
            found.append(f"{where}{change.figure}: no figure any more")
        elif not change.comparable:
            found.append(f"{where}{change.figure}: of another kind ({change.kind})")
        elif _grows(change.before, change.after, Fraction(0) if change.figure == "mismatches" else limit):
            percent = "" if change.percent is None else f", {change.percent:+.2f} %"
            found.append(f"{where}{change.figure}: {change.before:,} -> {change.after:,}{percent}")
    return found


def _grows(before: int, after: int, limit: Fraction) -> bool:
    return (after - before) * 100 > limit * before
