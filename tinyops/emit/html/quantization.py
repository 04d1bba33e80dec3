"""The page of a quantization: what it cost in accuracy, layer by layer, the ranges, and the sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyops.emit.html.page import KINDS, Part, render

_MAX_LAYERS = 300
_MAX_HISTOGRAMS = 150
_MAX_MATRIX = 40
_LABELLED = 20
_LABEL, _BARS, _ROW, _TOP = 230.0, 480.0, 24.0, 26.0
#: SQNR beyond which a bar is full, in dB.
_FULL = 60.0
_WIDTH, _HEIGHT = 240.0, 72.0

_QUANTIZATION_KINDS = {
    "measured on held-out data": "by running the float model and the integer one on data that calibration did not see",
    "95 %": "interval: of a proportion by Wilson's score, of a paired difference by Newcombe's method 10",
    "SQNR": "signal to quantization noise, in dB: 20 dB is an error of 10 %, 40 dB of 1 % of the signal's amplitude",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A layer's row in the chart: y of its middle, and the x to which its bar goes."""

    y: float
    name: str
    value: float
    width: float
    tint: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: float
    height: float
    left: float
    right: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Heights of equal bins as one path, and where the range's ends are, None where beyond the picture."""

    name: str
    path: str
    width: float
    height: float
    low: float
    high: float
    zero: float | None
    text: str
    clipped: float


@dataclass(frozen=True, slots=True)
class Cell:
    x: float
    y: float
    text: str
    shade: float
    right: bool
    title: str


@dataclass(frozen=True, slots=True)
class Matrix:
    name: str
    size: float
    side: float
    margin: float
    cells: tuple[Cell, ...]
    labels: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A proportion with its interval, all as x in a picture of 440."""

    name: str
    value: float
    low: float
    high: float
    tint: str
    text: str


def quantization_page(report: Mapping[str, Any]) -> str:
    """The page of what `tinyops quantize` gives with --json."""
    size = report["size"]
    most = max(size["file_bytes_before"], 1)
    layers = {layer["name"]: layer for layer in report["layers"]}
    return render(
        "quantization.html.j2",
        title=f"{report['model']['source']}, quantized",
        report=report,
        worst=[layers[name] for name in report["worst_layers"]],
        chart=_chart(report["layers"]),
        histograms=[_histogram(t) for t in report["tensors"][:_MAX_HISTOGRAMS]],
        matrices=_matrices(report["confusion"]),
        spans=_spans(report["accuracy"]),
        sizes=_sizes(report),
        most=most,
        settings=_settings(report["settings"]),
        kinds=_QUANTIZATION_KINDS | {kind: KINDS[kind] for kind in ("exact", "modelled")},
    )


def _sizes(report: Mapping[str, Any]) -> list[tuple[str, list[Part]]]:
    size = report["size"]
    found = []
    for name, key in (("before", "before"), ("after", "after")):
        constants = min(size[f"constant_bytes_{key}"], size[f"file_bytes_{key}"])
        rest = size[f"file_bytes_{key}"] - constants
        found.append(
            (name, [Part("weights and other constants", constants, "tensor"), Part("the rest", rest, "scratch")])
        )
    return found


def _settings(settings: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in settings.items():
        if name == "layers":
            found |= {f"layer {p}": ", ".join(map(str, fields.values())) for p, fields in value.items()}
        else:
            text = ("no", "yes")[value] if isinstance(value, bool) else str(value)
            found[name.replace("_", " ")] = text
    return found


def _chart(layers: Sequence[Mapping[str, Any]]) -> Chart | None:
    """What each layer costs alone at the outputs; the shorter the bar, the more."""
    if not layers or len(layers) > _MAX_LAYERS:
        return None
    ranked = sorted(layer["sqnr_alone_db"] for layer in layers)
    limit = ranked[min(3, len(ranked)) - 1]
    bars = []
    for k, layer in enumerate(layers):
        value = layer["sqnr_alone_db"]
        tint = "output" if value <= limit and (value < _FULL or layer["remedies"]) else "tensor"
        own = "" if layer["sqnr_db"] is None else f", its result {layer['sqnr_db']:.1f} dB"
        title = f"{layer['name']} ({layer['op']}): alone {value:.1f} dB{own}"
        width = _BARS * min(max(value, 0.0), _FULL) / _FULL
        bars.append(Bar(_TOP + (k + 0.5) * _ROW, layer["name"], value, width, tint, title))
    ticks = tuple((_LABEL + _BARS * db / _FULL, f"{db}") for db in range(0, int(_FULL) + 1, 10))
    return Chart(_LABEL + _BARS + 70, _TOP + _ROW * len(layers) + 40, _LABEL, _LABEL + _BARS, tuple(bars), ticks)


def _histogram(tensor: Mapping[str, Any]) -> Histogram:
    """Roots of the counts, so that rare values are seen."""
    low = min(tensor["observed_low"], tensor["low"], 0.0)
    high = max(tensor["observed_high"], tensor["high"], 0.0)
    span = (high - low) or 1.0
    low, high = low - 0.03 * span, high + 0.03 * span

    def x(value: float) -> float:
        return float(_WIDTH * (value - low) / (high - low))

    bins = tensor["histogram"]["bins"]
    most = max(bins, default=0.0)
    points = []
    start, end = tensor["observed_low"], tensor["observed_high"]
    for k, part in enumerate(bins):
        left, right = (x(start + (end - start) * n / len(bins)) for n in (k, k + 1))
        top = _HEIGHT * (1 - 0.94 * math.sqrt(part / most)) if most else _HEIGHT
        points.append(f"H{left:.1f}V{top:.1f}H{right:.1f}")
    path = f"M{x(start):.1f} {_HEIGHT}{''.join(points)}V{_HEIGHT}Z" if points else ""
    method = tensor["method"] or "fixed"
    text = f"{tensor['dtype']}, {tensor['low']:.4g} to {tensor['high']:.4g} ({method})"
    return Histogram(
        tensor["name"], path, _WIDTH, _HEIGHT, x(tensor["low"]), x(tensor["high"]), x(0.0), text, tensor["clipped"]
    )


def _matrices(confusion: Mapping[str, Any] | None) -> list[Matrix]:
    if confusion is None or len(confusion["classes"]) > _MAX_MATRIX:
        return []
    return [
        _matrix(name, confusion["classes"], confusion[key])
        for name, key in (("Float", "float"), ("Integers", "quantized"))
    ]


def _matrix(name: str, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Matrix:
    n = len(classes)
    side = max(12.0, min(34.0, 380.0 / n))
    margin = 70.0 if any(len(c) > 3 for c in classes) else 34.0
    cells = []
    for row, line in enumerate(counts):
        total = max(sum(line), 1)
        for column, count in enumerate(line):
            title = f"{classes[row]} taken for {classes[column]}: {count}"
            text = str(count) if count and n <= _LABELLED else ""
            x, y = margin + column * side, margin + row * side
            cells.append(Cell(x, y, text, count / total, row == column, title))
    labels = tuple((margin + (k + 0.5) * side, c) for k, c in enumerate(classes)) if n <= _LABELLED else ()
    return Matrix(name, margin + n * side + 4, side, margin, tuple(cells), labels)


def _spans(accuracy: Mapping[str, Any] | None) -> tuple[list[Span], list[tuple[float, str]]] | None:
    """Both accuracies on one axis that shows the intervals large."""
    if accuracy is None:
        return None
    found = [
        (name, accuracy[key], tint)
        for name, key, tint in (("float", "float", "tensor"), ("integers", "quantized", "output"))
    ]
    low = min(one["interval"][0] for _, one, _ in found)
    high = max(one["interval"][1] for _, one, _ in found)
    step = next(s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 4 or s == 0.2)
    first, last = math.floor(low / step) * step, math.ceil(high / step) * step

    def x(value: float) -> float:
        return float(78 + 340 * (value - first) / max(last - first, 1e-9))

    spans = [
        Span(
            name,
            x(one["value"]),
            x(one["interval"][0]),
            x(one["interval"][1]),
            tint,
            f"{100 * one['value']:.2f} % ({100 * one['interval'][0]:.2f} to {100 * one['interval'][1]:.2f})",
        )
        for name, one, tint in found
    ]
    digits = 1 if step < 0.01 else 0
    ticks = [
        (x(first + k * step), f"{100 * (first + k * step):.{digits}f} %")
        for k in range(round((last - first) / step) + 1)
    ]
    return spans, ticks
